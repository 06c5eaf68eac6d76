"""Which files belong to a picture: what programs and phones write beside it, and the other half of raw and JPEG."""

import os
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import PurePath

_BESIDE = frozenset({".xmp", ".aae", ".thm", ".mov"})  # IMG.xmp for IMG.jpg; .mov: the film of a live photo
_BEHIND = frozenset({".xmp", ".aae"})  # IMG.jpg.xmp
_LIVE = frozenset({".jpg", ".jpeg", ".heic", ".heif"})  # what a phone's live photo is beside its film
_RAW = frozenset({".dng", ".nef", ".cr2", ".cr3", ".arw", ".raf", ".orf", ".rw2", ".pef"})
_DEVELOPED = frozenset({".jpg", ".jpeg", ".heic", ".heif", ".hif"})
_SECONDS = 2.0  # between the capture times that a camera writes for both halves of a shot


def sidecars(path: str) -> tuple[str, ...]:
    """The regular files in a picture's folder that belong to it, in the order of their names."""
    folder, name = os.path.split(path)
    stem, suffix = os.path.splitext(name.lower())
    found = []
    for entry in _entries(folder):
        own, kind = os.path.splitext(entry.name.lower())
        beside = own == stem and kind in _BESIDE and (kind != ".mov" or suffix in _LIVE)
        behind = own == name.lower() and kind in _BEHIND
        if (beside or behind) and entry.name != name and entry.is_file(follow_symlinks=False):
            found.append(os.path.join(folder, entry.name))
    return tuple(sorted(found))


def stem_of(path: str) -> str:
    """What the files of one shot have in common: a path without its ending, in any case of letters."""
    return os.path.splitext(path)[0].lower()


def is_sidecar(path: str) -> bool:
    """Whether a name is one that belongs to a picture of the same name."""
    return os.path.splitext(path)[1].lower() in _BESIDE


def partner(path: str) -> str | None:
    """The raw file of a developed picture, or the developed one of a raw file, by folder and stem.

    Whether the two are one shot, `one_shot` says by their capture times. None without one, or with more than one.
    """
    folder, name = os.path.split(path)
    stem, suffix = os.path.splitext(name.lower())
    wanted = _DEVELOPED if suffix in _RAW else _RAW if suffix in _DEVELOPED else frozenset()
    found = [
        os.path.join(folder, entry.name)
        for entry in (_entries(folder) if wanted else ())
        if os.path.splitext(entry.name.lower())[0] == stem
        and os.path.splitext(entry.name.lower())[1] in wanted
        and entry.is_file(follow_symlinks=False)
    ]
    return found[0] if len(found) == 1 else None


def partners(paths: Iterable[str]) -> dict[str, str]:
    """Both directions of raw and developed pictures among known paths, without a look at the disk."""
    shots: dict[tuple[str, str], list[str]] = {}
    for path in paths:
        pure = PurePath(path)
        if pure.suffix.lower() in _RAW | _DEVELOPED:
            shots.setdefault((str(pure.parent), pure.stem.lower()), []).append(path)
    found: dict[str, str] = {}
    for members in shots.values():
        raw = [path for path in members if PurePath(path).suffix.lower() in _RAW]
        developed = [path for path in members if PurePath(path).suffix.lower() not in _RAW]
        if len(raw) == len(developed) == 1:
            found |= {raw[0]: developed[0], developed[0]: raw[0]}
    return found


def one_shot(captured: str | None, other: str | None) -> bool:
    """Whether two capture times (ISO 8601) may be of one shot; a missing one excludes nothing."""
    try:
        if not captured or not other:
            return True
        a, b = datetime.fromisoformat(captured), datetime.fromisoformat(other)
    except ValueError:
        return True
    if (a.tzinfo is None) != (b.tzinfo is None):
        a, b = a.replace(tzinfo=None), b.replace(tzinfo=None)
    return abs((a - b).total_seconds()) <= _SECONDS


def _entries(folder: str) -> Iterator["os.DirEntry[str]"]:
    try:
        with os.scandir(folder or ".") as entries:
            yield from entries
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return  # a folder that is away has no sidecars now; whoever moves files finds that out by itself
