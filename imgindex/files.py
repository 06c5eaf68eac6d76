"""Walking folders, reading files, hashing their bytes."""

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from imgindex.errors import UsageError
from imgindex.records import LARGEST_ID, Failure, File

EMPTY_PATH = "The path is empty; use . for the current folder."


class Found(NamedTuple):
    """A regular file as the walk saw it."""

    path: str  # absolute
    bytes: int
    mtime_ns: int


class Content(NamedTuple):
    """The bytes of a file and their SHA-256 (32 bytes)."""

    data: bytes
    sha256: bytes


def absolute(paths: Iterable[str | os.PathLike[str]]) -> list[str]:
    """Absolute paths, links kept. Raises UsageError for one that is empty or does not exist."""
    full = []
    for path in paths:
        if not os.fspath(path):
            raise UsageError(EMPTY_PATH)
        full.append(os.path.abspath(os.path.expanduser(path)))
        try:
            os.lstat(full[-1])
        except (FileNotFoundError, NotADirectoryError):
            raise UsageError(f"{full[-1]} does not exist.") from None
        except OSError:  # it may; `walk` lists what keeps us from it
            pass
    return full


def walk(paths: Iterable[str], *, skip: str) -> Iterator[Found | Failure]:
    """Regular files at and below these absolute paths, by name, each once.

    Below a folder, hidden names and the folder `skip` are skipped and links are not followed; a path that is named is
    taken as it is.
    """
    seen: set[str] = set()
    paths = list(paths)
    for path in paths:
        for item in _below(path, skip) if os.path.isdir(path) else [_found(path)]:
            if len(paths) > 1:  # only then may one lie inside another
                if item.path in seen:
                    continue
                seen.add(item.path)
            yield item


def _below(folder: str, skip: str) -> Iterator[Found | Failure]:
    waiting = [folder]
    while waiting:
        folder = waiting.pop()
        if os.path.realpath(folder) == os.path.realpath(skip):
            continue
        try:
            with os.scandir(folder) as entries:
                visible = sorted((e for e in entries if not e.name.startswith(".")), key=lambda e: e.name)
        except OSError as error:
            yield Failure(folder, reason(error))
            continue
        yield from (_found(entry.path) for entry in visible if entry.is_file(follow_symlinks=False))
        waiting += [entry.path for entry in reversed(visible) if entry.is_dir(follow_symlinks=False)]


def _found(path: str) -> Found | Failure:
    try:
        status = os.stat(path)
    except OSError as error:
        return Failure(path, reason(error))
    if not stat.S_ISREG(status.st_mode):
        return Failure(path, "not a regular file")
    return Found(path, *stamp(status))


def stamp(status: os.stat_result) -> tuple[int, int]:
    """A file's size and time of change in nanoseconds, as the database has them."""
    return status.st_size, min(status.st_mtime_ns, LARGEST_ID)


def is_as_indexed(file: File) -> bool:
    """Whether a file is there, by its size and time the one that was indexed."""
    try:
        return stamp(os.stat(file.path)) == (file.bytes, file.mtime_ns)
    except OSError:
        return False


def read(path: str, limit: int) -> Content:
    """A file's bytes, read once. Raises OSError, also for a file of more than `limit` bytes."""
    with open(path, "rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise OSError(None, f"larger than {limit // 1_000_000} MB")
    return Content(data, hashlib.sha256(data).digest())


def reason(error: OSError) -> str:
    """An operating system's error in a few words, without the path."""
    return (error.strerror or str(error)).lower() if error.errno else str(error.args[-1])
