"""What a clean would do: which files, for which others, and why some stay. Pure."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal, NamedTuple, get_args

from imgindex.duplicates.records import Group
from imgindex.errors import UsageError
from imgindex.records import ImageFile

How = Literal["trash", "quarantine", "hardlink"]


class Skipped(NamedTuple):
    """A file that stays as it is, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Step:
    """One redundant file as it was indexed, and the file that stays for it."""

    path: str
    sha256: bytes
    keep: str
    keep_sha256: bytes
    bytes: int
    mtime_ns: int
    image: int
    group: int


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

    def to_json(self) -> str:
        """ASCII, whatever the names are."""
        steps = [
            asdict(step) | {"sha256": step.sha256.hex(), "keep_sha256": step.keep_sha256.hex()} for step in self.steps
        ]
        return json.dumps({"how": self.how, "steps": steps, "skipped": [s._asdict() for s in self.skipped]}, indent=1)

    @staticmethod
    def from_json(text: str) -> "Plan":
        """Raises UsageError for anything but what `to_json` gives."""
        try:
            data = json.loads(text)
            for step in data["steps"]:
                step |= {name: bytes.fromhex(step[name]) for name in ("sha256", "keep_sha256")}
                if not (os.path.isabs(step["path"]) and os.path.isabs(step["keep"])):
                    raise ValueError(f"{step['path']} or {step['keep']} is no absolute path")
            if data["how"] not in get_args(How):
                raise ValueError(f"{data['how']} is no way to clean")
            return Plan(
                data["how"],
                tuple(Step(**step) for step in data["steps"]),
                tuple(Skipped(**skipped) for skipped in data["skipped"]),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"This is no plan of imgindex clean ({error}); make a new one.") from error


def plan(groups: Sequence[Group], how: How) -> Plan:
    """What to do about each group's files beyond the first."""
    steps, skipped = [], []
    for group in groups:
        keep, *others = group.files
        for copy in others:
            if why := _spared(group, copy, how):
                skipped.append(Skipped(copy.path, why))
                continue
            file = (copy.path, copy.sha256, keep.path, keep.sha256, copy.bytes, copy.mtime_ns)
            steps.append(Step(*file, copy.image, group.id))
    return Plan(how, tuple(steps), tuple(skipped))


def _spared(group: Group, copy: ImageFile, how: How) -> str:
    if group.loose:
        pair = f"images {group.weakest.a} and {group.weakest.b}" if group.weakest else "one pair"
        return f"look at group {group.id} first: only the likeness of {pair} holds it together"
    if how == "hardlink" and copy.sha256 != group.files[0].sha256:
        return f"has not the same bytes as {group.files[0].path}, so it cannot be a hard link to it"
    return ""
