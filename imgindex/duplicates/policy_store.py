"""SQL of policies."""

import json
import os
from collections.abc import Iterable, Sequence

from imgindex.errors import NotIndexedError, UsageError
from imgindex.retention.originals import order_of
from imgindex.retention.policies import Policies, PolicyKind
from imgindex.storage.database import Database, now
from imgindex.types import AnyPath


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

    def add(self, kind: PolicyKind, folders: Iterable[AnyPath]) -> None:
        """Protect or prefer folders from now on, whether they are there or not. Raises UsageError for an empty path."""
        self._write(
            "INSERT OR REPLACE INTO policies VALUES (CAST(? AS TEXT), ?, ?)",
            [(os.fsencode(folder), kind, now()) for folder in _absolute(folders)],
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
        protect, prefer = _absolute(policies.protect), _absolute(policies.prefer)
        if both := sorted({*protect} & {*prefer}):
            raise UsageError(f"{both[0]} is both protected and preferred; name it once.")
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


def _absolute(folders: Iterable[AnyPath]) -> list[str]:
    names = [os.fspath(folder) for folder in folders]
    if not all(names):
        raise UsageError("The path is empty; use . for the current folder.")
    return [os.path.abspath(os.path.expanduser(name)) for name in names]
