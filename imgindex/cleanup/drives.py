"""Which drive a path lies on, so that nothing comes back below the empty mount point of one that is away."""

import os
import re
from contextlib import suppress

from imgindex.cleanup.journal import Entry


class GoneError(OSError):
    """A file that nobody can bring back: it is in neither of its places."""


def drive_of(path: str) -> str:
    """The number of a path's file system and its mount point; the path itself need not exist."""
    mount = _mount_of(os.path.realpath(path))
    number = 0
    with suppress(OSError):  # a mount of another user tells no number
        number = os.statvfs(mount).f_fsid
    return f"{number:x} {mount}"


def is_there(drive: str, path: str) -> bool:
    """Whether the drive that a path was on is mounted there again, as far as that can be told.

    Some file systems get another number at each mount; then the folder of the path speaks for it.
    """
    if not drive:  # written down by an older version
        return True
    now = drive_of(path)
    return now == drive or (mount_point(now) == mount_point(drive) and os.path.isdir(os.path.dirname(path)))


def mount_point(drive: str) -> str:
    """Where a drive was mounted."""
    return drive.partition(" ")[2]


def _mount_of(real: str) -> str:
    points = _mount_points()
    while real not in points and not (points == set() and os.path.ismount(real)):
        above = os.path.dirname(real)
        if above == real:
            break
        real = above
    return real


def _mount_points() -> set[str]:
    """All of them, also those of binds, which `os.path.ismount` does not see; none where the kernel does not tell."""
    try:
        with open("/proc/self/mountinfo", "rb") as mounts:
            lines = mounts.read().splitlines()
    except OSError:
        return set()
    return {os.fsdecode(_unescaped(line.split(b" ")[4])) for line in lines}


def _unescaped(name: bytes) -> bytes:
    return re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8)]), name)


def check_drive(entry: Entry) -> None:
    if not is_there(entry.drive, entry.path):
        mount = mount_point(entry.drive)
        raise OSError(
            None, f"its drive is not at {mount} now; connect it there, or make its folder again, and try again"
        )


def lost(entry: Entry) -> OSError:
    known = entry.target_drive
    if known and drive_of(entry.target) != known:
        mount = mount_point(known)
        return OSError(None, f"is not at {entry.target}; connect the drive that was at {mount} and try again")
    if known or os.path.isdir(os.path.dirname(entry.target)):
        return GoneError(None, f"is gone: it is not at {entry.target} any more")
    return OSError(None, f"is not at {entry.target}; connect its drive and try again")
