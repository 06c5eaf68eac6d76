"""What a clean would do: which files, for which others, and why some stay. Pure."""

import json
import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal, NamedTuple, get_args

from imgindex.duplicates.records import Group, GroupFile, Held
from imgindex.errors import UsageError

How = Literal["trash", "quarantine", "hardlink"]
_PLAINNESS: tuple[Held, ...] = ("exact", "same", "version")


class Skipped(NamedTuple):
    """A file that stays as it is, and why."""

    path: str
    reason: str


class Sidecar(NamedTuple):
    """A file that belongs to a picture, as it was when the plan was made."""

    path: str
    bytes: int
    mtime_ns: int


@dataclass(frozen=True)
class Step:
    """One redundant file as it was indexed, what belongs to it, and the file that stays for it."""

    path: str
    sha256: bytes
    keep: str
    keep_sha256: bytes
    bytes: int
    mtime_ns: int
    image: int
    group: int
    why: str = ""
    sidecars: tuple[Sidecar, ...] = ()


@dataclass(frozen=True)
class Cleaned:
    """What carrying out a plan did."""

    done: tuple[str, ...]  # paths
    skipped: tuple[Skipped, ...]  # those of the plan, too
    freed: int  # bytes; those of a trash once it is emptied


@dataclass(frozen=True)
class Undone:
    """What taking a clean back did."""

    restored: tuple[str, ...]  # paths; the index does not know them yet
    failed: tuple[Skipped, ...]


@dataclass(frozen=True)
class Plan:
    """What a clean would do; making one does nothing."""

    how: How
    steps: tuple[Step, ...]
    skipped: tuple[Skipped, ...]
    keep: tuple[str, ...] = ()  # the order of ties that it was made with

    def without(self, views: Collection[tuple[str, str]]) -> "Plan":
        """This plan, in which no file goes that is the one which stays, seen by another path."""
        same = [step for step in self.steps if (step.path, step.keep) in views]
        steps = tuple(step for step in self.steps if step not in same)
        return replace(self, steps=steps, skipped=(*self.skipped, *(Skipped(s.path, seen_twice(s.keep)) for s in same)))

    def whole(self, groups: Iterable[Group]) -> "Plan":
        """This plan, in which no file goes without another one of its shot that could go, too."""
        units = {file.path: file.unit for group in groups for file in group.redundant if file.unit is not None}
        going = {step.path for step in self.steps}
        torn = {unit: path for path, unit in units.items() if path not in going}
        steps, skipped = [], []
        for step in self.steps:
            mate = torn.get(units.get(step.path, ""))
            if mate is None:
                steps.append(step)
            else:
                skipped.append(Skipped(step.path, f"belongs to {mate}, which is not in this plan"))
        return replace(self, steps=tuple(steps), skipped=(*self.skipped, *skipped))

    def to_json(self) -> str:
        """ASCII, whatever the names are."""
        steps = [
            asdict(step) | {"sha256": step.sha256.hex(), "keep_sha256": step.keep_sha256.hex()} for step in self.steps
        ]
        skipped = [one._asdict() for one in self.skipped]
        return json.dumps({"how": self.how, "keep": self.keep, "steps": steps, "skipped": skipped}, indent=1)

    @staticmethod
    def from_json(text: str) -> "Plan":
        """Raises UsageError for anything but what `to_json` gives."""
        try:
            data = json.loads(text)
            for step in data["steps"]:
                step |= {name: bytes.fromhex(step[name]) for name in ("sha256", "keep_sha256")}
                step["sidecars"] = tuple(Sidecar(*sidecar) for sidecar in step.get("sidecars", ()))
                for path in (step["path"], step["keep"], *(sidecar.path for sidecar in step["sidecars"])):
                    if not os.path.isabs(path):
                        raise ValueError(f"{path} is not an absolute path")
            if data["how"] not in get_args(How):
                raise ValueError(f"{data['how']} is not a way to clean")
            return Plan(
                data["how"],
                tuple(Step(**step) for step in data["steps"]),
                tuple(Skipped(**skipped) for skipped in data["skipped"]),
                tuple(map(str, data.get("keep", ()))),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"This is not a valid cleaning plan ({error}); make a new one.") from error


def seen_twice(keep: str) -> str:
    """Why a file stays that is its keeper itself, in a view of its folder."""
    return f"is the same file as {keep}, seen by another path, so it takes no room of its own"


def plan(groups: Iterable[Group], how: How, *, keep: Sequence[str] = (), only: Held | None = None) -> Plan:
    """What to do about the files of each group that one which stays holds; `only`: those held so, or more plainly."""
    steps, skipped = [], []
    for group in groups:
        for file in group.files:
            if file.stays or file.holder is None or file.holder_sha256 is None:
                if file.facts is None and file is not group.files[0]:
                    skipped.append(Skipped(file.path, file.why))
            elif only and _PLAINNESS.index(file.held or "version") > _PLAINNESS.index(only):
                continue
            elif why := _spared(group, file, how):
                skipped.append(Skipped(file.path, why))
            else:
                own = (file.path, file.sha256, file.holder, file.holder_sha256, file.bytes, file.mtime_ns)
                steps.append(Step(*own, file.image, group.id, file.why))
    return Plan(how, tuple(steps), tuple(skipped), tuple(keep))


def _spared(group: Group, file: GroupFile, how: How) -> str:
    if file.facts is None:  # an older version recorded it, so what belongs to it is not known, either
        return "was not looked at closely yet; sync, and plan again"
    if group.loose:
        pair = f"images {group.weakest.a} and {group.weakest.b}" if group.weakest else "one pair"
        return f"look at group {group.id} first: only the likeness of {pair} holds it together"
    if how == "hardlink" and file.held != "exact":
        return f"does not have the same bytes as {file.holder}, so it cannot be a hard link to it"
    return ""
