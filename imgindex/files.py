"""Looking at files, reading them, hashing their bytes."""

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from io import BytesIO
from itertools import islice
from typing import NamedTuple

from imgindex.errors import UsageError
from imgindex.patience import answer, answers
from imgindex.records import LARGEST_ID, Failure, File

_PART = 256 << 10  # bytes: the slowest network brings them in the time that `patience` waits for a word
_ASKED = 100  # paths about which a drive is asked before it must have answered

EMPTY_PATH = "The path is empty; use . for the current folder."


class NotRegularError(OSError):
    """A path leads to no regular file."""


class Found(NamedTuple):
    """A regular file as the walk saw it."""

    path: str  # absolute
    bytes: int
    mtime_ns: int
    device: int
    inode: int
    ctime_ns: int


class Content(NamedTuple):
    """The bytes of a file and their SHA-256 (32 bytes)."""

    data: bytes
    sha256: bytes


def absolute(paths: Iterable[str | os.PathLike[str]]) -> list[str]:
    """Absolute paths, links kept. Raises UsageError for one that is empty, does not exist or does not answer."""
    full = []
    for path in paths:
        if not os.fspath(path):
            raise UsageError(EMPTY_PATH)
        full.append(os.path.abspath(os.path.expanduser(path)))
        try:
            answer(lambda: os.lstat(full[-1]))
        except (FileNotFoundError, NotADirectoryError):
            raise UsageError(f"{full[-1]} does not exist.") from None
        except TimeoutError as error:
            raise UsageError(f"{full[-1]} is {reason(error)}; see to its drive, and try again.") from None
        except OSError:  # it may; `walk` lists what keeps us from it
            pass
    return full


def look(path: str) -> Found | Failure:
    """The regular file at a path, or why there is none."""
    try:
        status = os.stat(path)
    except OSError as error:
        return Failure(path, reason(error))
    if not stat.S_ISREG(status.st_mode):
        return Failure(path, "not a regular file")
    return found(path, status)


def found(path: str, status: os.stat_result) -> Found:
    """A file as its status says; numbers as the database has them."""
    inode, ctime_ns = status.st_ino & LARGEST_ID, min(status.st_ctime_ns, LARGEST_ID)
    return Found(path, *stamp(status), status.st_dev & LARGEST_ID, inode, ctime_ns)


def stamp(status: os.stat_result) -> tuple[int, int]:
    """A file's size and time of change in nanoseconds, as the database has them."""
    return status.st_size, min(status.st_mtime_ns, LARGEST_ID)


def is_unchanged(file: File, now: Found | Failure) -> bool:
    """Whether a file is as it was recorded; a copy with the old one's time has another inode, or a newer ctime."""
    if isinstance(now, Failure):
        return False
    known = (file.bytes, file.mtime_ns, file.device, file.inode, file.ctime_ns)
    return now[1:3] == known[:2] and (not file.inode or now[4:] == known[3:])  # older versions recorded no inode


def is_in(path: str, folder: str) -> bool:
    """Whether a path is that of a folder, or below it, by the names alone."""
    return os.path.join(path, "").startswith(os.path.join(folder, ""))


def is_as_indexed(file: File) -> bool:
    """Whether a file is there, by its size and time the one that was indexed."""
    try:
        return stamp(os.stat(file.path)) == (file.bytes, file.mtime_ns)
    except OSError:
        return False


def read(path: str, limit: int) -> Content:
    """A file's bytes, read once. Raises OSError, also for more than `limit` bytes, or TimeoutError by `answers`."""
    whole = BytesIO()
    for part in answers(lambda: _parts(path)):
        whole.write(part)
        if whole.tell() > limit:
            raise OSError(None, f"larger than {limit // 1_000_000} MB")
    data = whole.getvalue()  # which copies nothing
    return Content(data, hashlib.sha256(data).digest())


def head(path: str, count: int) -> bytes:
    """A file's first bytes. Raises OSError, also where its drive does not answer."""
    return next(answers(lambda: _parts(path, count)), b"")


def _parts(path: str, size: int = _PART) -> Iterator[bytes]:
    """A file's bytes, in parts of `size`."""
    with open(path, "rb", buffering=0, opener=_opener) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise NotRegularError(None, "not a regular file")
        while part := file.read(size):
            yield part
        if part is None:  # such as the kernel's log
            raise OSError(None, "has nothing to read yet")


def _opener(path: str, flags: int) -> int:
    """Opens what may be a pipe, which must not hold us up, or a file that a file server lends to somebody else."""
    try:
        return os.open(path, flags | os.O_NONBLOCK)
    except BlockingIOError:  # whoever has the lease is asked to give it back; only regular files have one
        return os.open(path, flags)


def gone(paths: Iterable[str]) -> Iterator[str]:
    """Those where nothing lies any more; where a drive errs, or does not answer, something may."""

    def ask() -> Iterator[list[str]]:
        waiting = iter(paths)
        while some := list(islice(waiting, _ASKED)):
            yield list(filter(_is_gone, some))

    with suppress(TimeoutError):
        for some in answers(ask):
            yield from some


def _is_gone(path: str) -> bool:
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def sha256_of(path: str) -> bytes | None:
    """The SHA-256 of a file as it is now, however large; None for what is no file any more. Raises OSError."""
    digest = hashlib.sha256()
    try:
        for part in answers(lambda: _parts(path)):
            digest.update(part)
    except NotRegularError:
        return None
    return digest.digest()


def reason(error: OSError) -> str:
    """An operating system's error in a few words, without the path."""
    return (error.strerror or str(error)).lower() if error.errno else str(error.args[-1])
