"""What `clean` does to files: written down, done, settled after a kill, taken back."""

import errno
import fcntl
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import BufferedReader
from itertools import count
from typing import Literal
from urllib.parse import quote

from imgindex.errors import StorageError
from imgindex.files import reason
from imgindex.store import Store

How = Literal["trash", "quarantine", "hardlink"]
Ended = Literal["done", "undone", "failed"]


@dataclass(frozen=True)
class Entry:
    """One file that was, or is being, put away."""

    run: int  # all files of one `apply`
    path: str
    sha256: bytes
    bytes: int
    mtime_ns: int
    mode: int  # permissions
    kept: str  # the file that stays for it
    action: How
    target: str  # where it goes; for a hard link, the name that the link has before it takes the file's place
    state: Literal["begun", "done", "undone", "failed"] = "begun"
    note: str = ""
    id: int = 0


class Ledger:
    """The entries of an index. Raises as `Store` does."""

    def __init__(self, store: Store) -> None:
        self._database = store.database  # so that an entry and the index change in one transaction

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Only one clean or undo at a time. Raises StorageError when another is at work."""
        lock = self._database._path.with_name("clean.lock")
        try:
            file = open(lock, "ab")  # noqa: SIM115
        except OSError as error:
            raise StorageError(
                f"{lock} cannot be written ({reason(error)}); check its disk and permissions."
            ) from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StorageError(
                    f"Another imgindex is cleaning with the index in {lock.parent}; try again when it is done."
                ) from None
            yield

    def next_run(self) -> int:
        return int(self._database.rows("SELECT coalesce(max(run), 0) + 1 FROM ledger")[0][0])

    def latest(self) -> int | None:
        """The newest run of which something is not brought back."""
        run = self._database.rows("SELECT max(run) FROM ledger WHERE state IN ('begun', 'done')")[0][0]
        return None if run is None else int(run)

    def begun(self) -> list[Entry]:
        """What is being done, or was when its process was killed, the newest first."""
        return self._entries("state = 'begun'", [])

    def open_of(self, run: int | None) -> list[Entry]:
        """What of a run is not brought back, the newest first."""
        return self._entries("run = ? AND state IN ('begun', 'done')", [run])

    def _entries(self, which: str, parameters: list[int | None]) -> list[Entry]:
        rows = self._database.rows(
            "SELECT run, path, sha256, bytes, mtime_ns, mode, kept, action, target, state, note, id FROM ledger "
            f"WHERE {which} ORDER BY id DESC",
            parameters,
        )
        return [Entry(*row) for row in rows]

    def begin(self, entry: Entry) -> Entry:
        """Record what is about to be done; on disk when this returns. Returns it with its id."""
        created = datetime.now(UTC).isoformat(timespec="seconds")
        path, kept, target = (os.fsencode(name) for name in (entry.path, entry.kept, entry.target))
        with self._database.transaction():
            self._database.write(
                "INSERT INTO ledger (run, created, path, sha256, bytes, mtime_ns, mode, kept, action, target, state, "
                "note) VALUES (?, ?, CAST(? AS TEXT), ?, ?, ?, ?, CAST(? AS TEXT), ?, CAST(? AS TEXT), 'begun', '')",
                [(entry.run, created, path, entry.sha256, entry.bytes, entry.mtime_ns, entry.mode, kept, entry.action,
                  target)],
            )  # fmt: skip
            return replace(entry, id=int(self._database.rows("SELECT last_insert_rowid()")[0][0]))

    def end(self, entry: Entry, state: Ended, note: str = "") -> None:
        """Record how it went; `note` is for a person."""
        self._database.write(
            "UPDATE ledger SET state = ?, note = CAST(? AS TEXT) WHERE id = ?",
            [(state, os.fsencode(note), entry.id)],
        )


# Entries on disk. A file moves by a second name (link, then unlink) or a whole copy, so at every moment one of its two
# places holds all of it, and nothing is ever overwritten.


class GoneError(OSError):
    """A file that nobody can bring back: it is in neither of its places."""


def open_regular(path: str) -> BufferedReader:
    """Open for reading what must be a file; never waits for a pipe. Raises OSError."""
    file = open(path, "rb", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK))  # noqa: SIM115
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
        if (status.st_size, min(status.st_mtime_ns, 2**63 - 1)) != (entry.bytes, entry.mtime_ns):
            raise OSError(None, "changed just now")
        os.replace(entry.target, entry.path)
        _sync(os.path.dirname(entry.path))
        return
    if entry.action == "trash":
        part = _part(entry.path, _info(entry.target))
        with open(part, "xb") as file:
            file.write(_info_head(entry) + f"DeletionDate={datetime.now():%Y-%m-%dT%H:%M:%S}\n".encode())
            file.flush()
            os.fsync(file.fileno())
        _rename(part, _info(entry.target))
    _move(entry, entry.path, entry.target)


def settle(entry: Entry) -> bool:
    """Whether an entry is done, by what is on disk; if not, the file is back where it was.

    Raises GoneError when it is in neither place, and OSError when that cannot be told now.
    """
    _discard_parts(entry)
    if entry.action == "hardlink":
        return os.path.samefile(entry.path, entry.kept)
    ours = entry.action == "quarantine" or _read(_info(entry.target)).startswith(_info_head(entry))
    moved = ours and _holds(entry.target, entry)
    if moved and _holds(entry.path, entry):
        os.unlink(entry.target)
        moved = False
    if not moved and not os.path.lexists(entry.path):
        raise _lost(entry)
    if not moved and ours and entry.action == "trash":
        _discard(_info(entry.target))
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
        _discard(_info(entry.target))


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
    for place in entry.path, entry.target, _info(entry.target):
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


# Where files go. The trash is that of the freedesktop.org specification, version 1.0. (Send2Trash 2.2 does not tell
# where a file went, and takes a name in the trash without making sure that it is free.)


def target(path: str, how: How, folder: str) -> str:
    """A free place for a file that is put away, in a quarantine folder or a trash. Raises OSError."""
    if how == "hardlink":
        return _part(path, path)
    if how == "quarantine":
        wanted = folder + path
    else:
        name, suffix = os.path.splitext(os.fsencode(os.path.basename(path)))
        wanted = os.path.join(_trash(path), "files", os.fsdecode(name[:200] + suffix[-30:]))
    stem, ending = os.path.splitext(wanted)
    names = (f"{stem} {number}{ending}" if number > 1 else wanted for number in count(1))
    return next(name for name in names if not os.path.lexists(name) and not os.path.lexists(_info(name)))


def _trash(path: str) -> str:
    """The trash that a file belongs in, made if need be: the user's, or that at the top of another file system."""
    home = os.path.join(os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share"), "Trash")
    _make_trash(home)
    top = os.path.realpath(os.path.dirname(path))
    if os.stat(top).st_dev == os.stat(home).st_dev:
        return home
    while not os.path.ismount(top):
        top = os.path.dirname(top)
    user, shared = os.getuid(), os.path.join(top, ".Trash")
    for trash in os.path.join(shared, str(user)), os.path.join(top, f".Trash-{user}"):
        with suppress(OSError):
            if trash.startswith(shared + os.sep) and not _is_shared_trash(shared):
                continue
            _make_trash(trash)
            status = os.lstat(trash)
            if stat.S_ISDIR(status.st_mode) and status.st_uid == user:
                return trash
    return home  # by copying


def _is_shared_trash(folder: str) -> bool:
    mode = os.lstat(folder).st_mode
    return stat.S_ISDIR(mode) and bool(mode & stat.S_ISVTX)


def _make_trash(trash: str) -> None:
    for folder in trash, os.path.join(trash, "files"), os.path.join(trash, "info"):
        os.makedirs(folder, 0o700, exist_ok=True)


def _info(target: str) -> str:
    folder, name = os.path.split(target)
    return os.path.join(os.path.dirname(folder), "info", name + ".trashinfo")


def _info_head(entry: Entry) -> bytes:
    trash, path = os.path.dirname(os.path.dirname(entry.target)), entry.path
    if os.path.basename(trash) != "Trash":  # a drive's own, so that the drive may be mounted elsewhere
        top = os.path.dirname(trash.removesuffix(f"/{os.getuid()}"))
        path = os.path.relpath(os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path)), top)
    return b"[Trash Info]\nPath=" + quote(os.fsencode(path)).encode() + b"\n"
