"""Ledger entries on disk: carried out, settled after a kill, taken back.

A file moves by a second name (link, then unlink) or a whole copy, so at every moment one of its two places holds all of
it, and nothing is ever overwritten.
"""

import errno
import hashlib
import os
import shutil
import stat
from contextlib import suppress
from datetime import datetime
from io import BufferedReader
from itertools import count

from imgindex import files
from imgindex.cleanup.journal import Entry
from imgindex.cleanup.plan import How
from imgindex.cleanup.trash import info, info_head, trash_of


class GoneError(OSError):
    """A file that nobody can bring back: it is in neither of its places."""


def open_regular(path: str) -> BufferedReader:
    """Open for reading what must be a file; never waits for a pipe. Raises OSError."""
    file = open(path, "rb", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK))  # noqa: SIM115  # it is the caller's
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(None, "not a regular file")
    return file


def carry_out(entry: Entry) -> None:
    """Do what an entry says. Raises OSError, after which `settle` tells how far it went."""
    _discard_parts(entry)
    if entry.action == "hardlink":
        os.link(os.path.realpath(entry.kept), entry.target)
        status = os.lstat(entry.path)  # once more, as its bytes go for good
        if files.stamp(status) != (entry.bytes, entry.mtime_ns):
            raise OSError(None, "changed just now")
        os.replace(entry.target, entry.path)
        _sync(os.path.dirname(entry.path))
        return
    if entry.action == "trash":
        part = _part(entry.path, info(entry.target))
        with open(part, "xb") as file:
            file.write(
                info_head(entry.path, entry.target) + f"DeletionDate={datetime.now():%Y-%m-%dT%H:%M:%S}\n".encode()
            )
            file.flush()
            os.fsync(file.fileno())
        _rename(part, info(entry.target))
    _move(entry, entry.path, entry.target)


def settle(entry: Entry) -> bool:
    """Whether an entry is done, by what is on disk; if not, the file is back where it was.

    Raises GoneError when it is in neither place, and OSError when that cannot be told now.
    """
    _discard_parts(entry)
    if entry.action == "hardlink":
        return os.path.samefile(entry.path, entry.kept)
    ours = entry.action == "quarantine" or _read(info(entry.target)).startswith(info_head(entry.path, entry.target))
    moved = ours and _holds(entry.target, entry)
    if moved and _holds(entry.path, entry):
        os.unlink(entry.target)
        moved = False
    if not moved and not os.path.lexists(entry.path):
        raise _lost(entry)
    if not moved and ours and entry.action == "trash":
        _discard(info(entry.target))
    return moved


def bring_back(entry: Entry) -> None:
    """Undo an entry that is done, also when an undo before was killed.

    Raises GoneError when its file was deleted for good, and OSError when it cannot be brought back now.
    """
    _discard_parts(entry)
    intact = _holds(entry.path, entry)
    if entry.action == "hardlink":
        if os.path.lexists(entry.path) and not intact:
            raise OSError(None, "has changed since, or another file has come there")
        source = entry.path if intact else entry.kept
        if not _holds(source, entry):
            raise _lost(entry)
        os.replace(_copy(entry, source, entry.path), entry.path)
        _sync(os.path.dirname(entry.path))
        return
    if intact and os.lstat(entry.path).st_mtime_ns == entry.mtime_ns:  # by the killed undo
        if _holds(entry.target, entry):
            os.unlink(entry.target)
    elif os.path.lexists(entry.path):
        raise OSError(None, f"another file has come there; move it away and undo again (it is kept as {entry.target})")
    elif _holds(entry.target, entry):
        _move(entry, entry.target, entry.path)
    elif os.path.lexists(entry.target):
        raise OSError(None, f"{entry.target} is not as it was put there")
    else:
        raise _lost(entry)
    if entry.action == "trash":
        _discard(info(entry.target))


def _lost(entry: Entry) -> OSError:
    if any(os.path.isdir(os.path.dirname(place)) for place in (entry.path, entry.target)):
        return GoneError(None, f"is gone: it is not at {entry.target} any more")
    return OSError(None, f"is not at {entry.target}; connect its drive and try again")


def _move(entry: Entry, source: str, target: str) -> None:
    os.makedirs(os.path.dirname(target), exist_ok=True)
    try:
        _rename(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _rename(_copy(entry, source, target), target)
        _sync(os.path.dirname(target))
        os.unlink(source)
    for place in target, source:
        _sync(os.path.dirname(place))


def _rename(source: str, target: str) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            raise
        if os.path.lexists(target):  # a file system without hard links cannot promise more
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from error
        os.rename(source, target)
    else:
        os.unlink(source)


def _copy(entry: Entry, source: str, target: str) -> str:
    """A whole copy beside the target, safe on disk; returns its path."""
    part = _part(entry.path, target)
    try:
        with open(source, "rb") as old, open(part, "xb", opener=lambda path, flags: os.open(path, flags, 0o600)) as new:
            shutil.copyfileobj(old, new, 1 << 20)
            new.flush()
            status = os.fstat(old.fileno())
            with suppress(OSError):  # what a file system cannot keep, `bring_back` knows
                os.chown(part, status.st_uid, status.st_gid)
            with suppress(OSError):
                shutil.copystat(source, part)
            with suppress(OSError):
                os.chmod(part, entry.mode)
            os.utime(part, ns=(status.st_atime_ns, entry.mtime_ns))
            os.fsync(new.fileno())
        if not _holds(part, entry):
            raise OSError(None, "changed while it was copied")
    except BaseException:
        _discard(part)
        raise
    return part


def _holds(path: str, entry: Entry) -> bool:
    """Whether an entry's file is at a path."""
    with suppress(OSError):
        if stat.S_ISREG(os.lstat(path).st_mode) and os.lstat(path).st_size == entry.bytes:
            with open_regular(path) as file:
                return hashlib.file_digest(file, "sha256").digest() == entry.sha256
    return False


def _part(path: str, place: str) -> str:
    """The name beside a place of a file that is not whole yet; nobody else gives such names."""
    name = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    return os.path.join(os.path.dirname(place), f".imgindex-{name}.part")


def _discard_parts(entry: Entry) -> None:
    for place in entry.path, entry.target, info(entry.target):
        _discard(_part(entry.path, place))


def _discard(path: str) -> None:
    with suppress(FileNotFoundError, NotADirectoryError):
        os.unlink(path)


def _read(path: str) -> bytes:
    with suppress(OSError), open(path, "rb") as file:
        return file.read()
    return b""


def _sync(folder: str) -> None:
    with suppress(OSError):
        place = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(place)
        finally:
            os.close(place)


def target(path: str, how: How, folder: str) -> str:
    """A free place for a file that is put away, in a quarantine folder or a trash. Raises OSError."""
    if how == "hardlink":
        return _part(path, path)
    if how == "quarantine":
        wanted = folder + path
    else:
        name, suffix = os.path.splitext(os.fsencode(os.path.basename(path)))
        wanted = os.path.join(trash_of(path), "files", os.fsdecode(name[:200] + suffix[-30:]))
    stem, ending = os.path.splitext(wanted)
    names = (f"{stem} {number}{ending}" if number > 1 else wanted for number in count(1))
    return next(name for name in names if not os.path.lexists(name) and not os.path.lexists(info(name)))
