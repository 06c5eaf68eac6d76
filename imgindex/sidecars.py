"""Which files belong to a picture: what programs and phones write beside it, and what is one shot."""

import os
from collections.abc import Iterator
from datetime import datetime

_BESIDE = frozenset({".xmp", ".aae", ".thm", ".mov"})  # IMG.xmp for IMG.jpg; .mov: the film of a live photo
_BEHIND = frozenset({".xmp", ".aae"})  # IMG.jpg.xmp
_LIVE = frozenset({".jpg", ".jpeg", ".heic", ".heif"})  # what a phone's live photo is beside its film
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
