"""SQL of policies."""

import json
import os
from collections.abc import Iterable, Sequence

from imgindex.errors import NotIndexedError, UsageError
from imgindex.retention.originals import order_of
from imgindex.retention.policies import Policies, PolicyKind
from imgindex.storage.database import Database, now
from imgindex.types import AnyPath

_DONE = {"protect": "protected", "prefer": "preferred"}


class PolicyStore:
    """`index.policies`: what a person wants of all groups; raises as `Database` does."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._rows, self._write = database.rows, database.write

    def get(self) -> Policies:
        """All of them."""
        with self._database.transaction():
            folders = self._rows("SELECT folder, kind FROM policies ORDER BY folder")
            settings = {name: json.loads(value) for name, value in self._rows("SELECT name, value FROM settings")}
        protect, prefer = (tuple(folder for folder, kind in folders if kind == name) for name in ("protect", "prefer"))
        return Policies(protect, prefer, tuple(settings.get("keep", ())), bool(settings.get("separate_raw", False)))

    def change(
        self,
        *,
        protect: Iterable[AnyPath] = (),
        prefer: Iterable[AnyPath] = (),
        forget: Iterable[AnyPath] = (),
        keep: Sequence[str] | None = None,
        separate_raw: bool | None = None,
    ) -> None:
        """Take back, add and set what is given, or change nothing; raises as `remove`, `put`, `add` and `set` do."""
        protect, prefer = _apart(protect, prefer)
        with self._database.transaction():
            self.remove(forget)
            self.add("protect", protect)
            self.add("prefer", prefer)
            self.set(keep=keep, separate_raw=separate_raw)

    def add(self, kind: PolicyKind, folders: Iterable[AnyPath]) -> None:
        """Protect or prefer folders from now on, whether they are there or not.

        Raises UsageError for an empty path, and for a folder of the other kind, which must not lose that unasked.
        """
        chosen = _absolute(folders)
        with self._database.transaction():
            known = dict(self._rows("SELECT folder, kind FROM policies"))
            if other := [folder for folder in chosen if known.get(folder, kind) != kind]:
                is_now, again = _DONE[known[other[0]]], f"imgindex policy --forget {other[0]} --{kind} {other[0]}"
                raise UsageError(f"{other[0]} is {is_now}, and would not be any more; to {kind} it, run `{again}`.")
            self._write(
                "INSERT OR REPLACE INTO policies VALUES (CAST(? AS TEXT), ?, ?)",
                [(os.fsencode(folder), kind, now()) for folder in chosen],
            )

    def remove(self, folders: Iterable[AnyPath]) -> None:
        """Neither protect nor prefer these any more, or none: raises NotIndexedError for one without a policy."""
        chosen = _absolute(folders)
        with self._database.transaction():
            known = {row[0] for row in self._rows("SELECT folder FROM policies")}
            if strange := [folder for folder in chosen if folder not in known]:
                raise NotIndexedError(f"There is no policy for {strange[0]}.")
            self._write(
                "DELETE FROM policies WHERE folder = CAST(? AS TEXT)", [(os.fsencode(folder),) for folder in chosen]
            )

    def put(self, policies: Policies) -> None:
        """Replace all, or change nothing. Raises UsageError for an unknown criterion or a folder of both kinds."""
        protect, prefer = _apart(policies.protect, policies.prefer)
        with self._database.transaction():
            self._write("DELETE FROM policies", [()])
            self.add("protect", protect)
            self.add("prefer", prefer)
            self.set(keep=policies.keep, separate_raw=policies.separate_raw)

    def set(self, *, keep: Sequence[str] | None = None, separate_raw: bool | None = None) -> None:
        """Change what is given. Raises UsageError for an unknown criterion."""
        if keep is not None:
            order_of(keep)
        values = {"keep": None if keep is None else list(keep), "separate_raw": separate_raw}
        rows = [(name, json.dumps(value)) for name, value in values.items() if value is not None]
        self._write("INSERT OR REPLACE INTO settings VALUES (?, ?)", rows)


def _apart(protect: Iterable[AnyPath], prefer: Iterable[AnyPath]) -> tuple[list[str], list[str]]:
    protected, preferred = _absolute(protect), _absolute(prefer)
    if both := sorted({*protected} & {*preferred}):
        raise UsageError(f"{both[0]} is both protected and preferred; name it once.")
    return protected, preferred


def _absolute(folders: Iterable[AnyPath]) -> list[str]:
    names = [os.fspath(folder) for folder in folders]
    if not all(names):
        raise UsageError("The path is empty; use . for the current folder.")
    return [os.path.abspath(os.path.expanduser(name)) for name in names]
