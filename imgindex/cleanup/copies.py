"""Whole copies of files on disk, and what tells that they are whole."""

import os
import shutil
import stat
from contextlib import suppress
from io import BufferedReader

from imgindex.cleanup.journal import Entry
from imgindex.cleanup.opened import digest, open_regular
from imgindex.cleanup.renames import hidden


def copy(entry: Entry, old: BufferedReader, source: str, target: str) -> str:
    """A whole copy of an open file beside the target, safe on disk; returns its path."""
    made = part(entry.path, target)
    try:
        old.seek(0)
        with open(made, "xb", opener=lambda path, flags: os.open(path, flags, 0o600)) as new:
            shutil.copyfileobj(old, new, 1 << 20)
            new.flush()
            status = os.fstat(old.fileno())
            with suppress(OSError):  # what a file system cannot keep, `bring_back` knows
                os.chown(made, status.st_uid, status.st_gid)
            with suppress(OSError):
                shutil.copystat(source, made)
            with suppress(OSError):
                os.chmod(made, entry.mode)
            os.utime(made, ns=(status.st_atime_ns, entry.mtime_ns))
            os.fsync(new.fileno())
        if not holds(made, entry):
            raise OSError(None, "changed while it was copied")
    except BaseException:
        discard(made)
        raise
    return made


def holds(path: str, entry: Entry) -> bool:
    """Whether an entry's file is at a path."""
    with suppress(OSError):
        if stat.S_ISREG(os.lstat(path).st_mode) and os.lstat(path).st_size == entry.bytes:
            with open_regular(path) as file:
                return digest(file) == entry.sha256
    return False


def part(path: str, place: str) -> str:
    """The name beside a place of a file that is not whole yet."""
    return os.path.join(os.path.dirname(place), os.path.basename(hidden(path, "part")))


def discard(path: str) -> None:
    with suppress(FileNotFoundError, NotADirectoryError):
        os.unlink(path)


def sync(folder: str) -> None:
    with suppress(OSError):
        place = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(place)
        finally:
            os.close(place)
