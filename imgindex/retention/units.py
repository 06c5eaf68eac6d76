"""Files that stay or go as one: the paths of one file, and the raw, the JPEG and the sidecars of one shot."""

from collections.abc import Sequence
from dataclasses import dataclass

from imgindex.records import same_file


@dataclass(frozen=True)
class File:
    """One file of a group, and what speaks for it beside its picture."""

    path: str
    image: int
    width: int  # pixels, upright
    height: int
    bytes: int
    mtime_ns: int
    device: int
    inode: int  # 0: not known
    protected: bool = False  # lies where nothing may go
    preferred: bool = False
    kept: bool = False  # a person said that it stays
    volatile: bool = False  # lies where a restart of the machine loses it
    unit: str | None = None  # of the shot that it belongs to


def units(files: Sequence[File], *, separate_raw: bool) -> list[tuple[File, ...]]:
    """Files that stay or go together, those of a unit by path and the units by their first one."""
    leader: dict[object, int] = {}
    parts: dict[int, list[File]] = {}
    ordered = sorted(files, key=lambda file: file.path)
    part = list(range(len(ordered)))
    for at, file in enumerate(ordered):
        for key in (same_file(file), None if separate_raw or file.unit is None else ("unit", file.unit)):
            if key is not None and leader.setdefault(key, part[at]) != part[at]:
                old, new = part[at], leader[key]
                part = [new if number == old else number for number in part]
                leader |= {key: new for key, number in leader.items() if number == old}
    for number, file in zip(part, ordered, strict=True):
        parts.setdefault(number, []).append(file)
    return [tuple(members) for members in parts.values()]
