"""A SQLite database that several threads and processes share, brought to the newest schema on open."""

import fcntl
import shutil
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import sqlite_utils
from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]  # the one it uses itself, pysqlite3 or the standard library's

from imgindex.errors import BusyError, DiskFullError, IndexFormatError, StorageError, storage_error
from imgindex.migrations import migrations

VECTOR = np.dtype("<f4")  # how BLOBs of numbers are laid out, on every machine
BUSY_SECONDS = 120  # a batch is written in milliseconds; this only bounds a writer that hangs
ENDING_SECONDS = 10  # a query ends at once when it is interrupted, a commit when it is on the disk
CLOSED = "{} was closed while this was under way; open the index again."
FULL = 1 << 20  # bytes free


class Database:
    """One connection a thread; every failure of SQLite is an error with a sentence.

    Raises IndexFormatError on open when the file is no database of ours or of a newer imgindex, and StorageError
    from any method when the disk is full, read-only or failing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()
        self._connections: list[Any] = []
        self._watcher: Any = None  # a connection that never writes
        self._watching = threading.Lock()
        self._file: tuple[int, int] | None = None  # device and inode, once it is open
        self._closed = False
        self._running = 0  # calls, of all threads
        self._idle = threading.Condition()
        try:
            self._prepare()
            self._file = _identity(path)
        except BaseException:
            self.close()
            raise

    def _prepare(self) -> None:
        database = self._connection()
        with self._sentences():
            self._refuse_foreign(database)
            # Up to 3.51.2, SQLite can corrupt a WAL database that has two writers.
            mode = "wal" if sqlite3.sqlite_version_info > (3, 51, 2) else "delete"
            if self.rows("PRAGMA journal_mode") == [(mode,)] and not migrations.pending(database):
                return
            with alone(self.path.with_suffix(".lock")):  # SQLite does not wait for a change of journal mode
                database.conn.execute(f"PRAGMA journal_mode = {mode}")
                with self.transaction():
                    migrations.apply(database)

    def close(self) -> None:
        """End what other threads are at, and close the connections of all."""
        self._closed = True
        with self._idle:
            for connection in self._connections if self._running else ():  # an idle one would skip its checkpoint
                connection.interrupt()
            idle = self._idle.wait_for(lambda: not self._running, ENDING_SECONDS)
        while idle and self._connections:  # one in use would take the process down
            self._connections.pop().close()

    def _connection(self) -> sqlite_utils.Database:
        self._same_file()
        if not hasattr(self._local, "database"):
            self._local.database = sqlite_utils.Database(self._connect())
        database: sqlite_utils.Database = self._local.database
        return database

    def _same_file(self) -> None:
        """SQLite would go on writing into a file that was deleted, and begin an empty one for another thread."""
        if self._file and _identity(self.path) != self._file:
            raise StorageError(
                f"{self.path} was removed or replaced while it was open; bring it back if it was not meant to go, "
                "and start this program again."
            )

    def _connect(self) -> Any:
        with self._sentences():
            conn = sqlite3.connect(str(self.path), timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
            # Names of files need not be UTF-8; they go in by CAST(? AS TEXT) from their bytes.
            conn.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
            conn.execute("PRAGMA foreign_keys = ON")
            conn.execute("PRAGMA synchronous = FULL")
        self._connections.append(conn)
        return conn

    def version(self) -> int:
        """Another number after any change by anyone; says nothing to another process."""
        self._same_file()
        with self._watching, self._sentences():
            self._watcher = self._watcher or self._connect()
            return int(self._watcher.execute("PRAGMA data_version").fetchone()[0])

    def _refuse_foreign(self, database: sqlite_utils.Database) -> None:
        tables = database.table_names()  # first: another process may be creating them together with their record
        applied = {step.name for step in migrations.applied(database)}
        ours = {step.name for step in migrations._migrations}
        if tables and not applied:
            raise IndexFormatError(f"{self.path} is not an imgindex database; choose another folder with --index.")
        if applied - ours:
            raise IndexFormatError(
                f"{self.path} was written by a newer imgindex; upgrade this one with pip install --upgrade imgindex."
            )

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All writes inside happen together or not at all; other writers wait. May be nested."""
        with self._sentences():
            conn = self._connection().conn
            if conn.in_transaction:
                yield
                return
            conn.execute("BEGIN IMMEDIATE")
            try:
                yield
                conn.execute("COMMIT")
            except BaseException:
                if conn.in_transaction:  # a full disk may have rolled it back already
                    conn.execute("ROLLBACK")
                raise

    @contextmanager
    def _sentences(self) -> Iterator[None]:
        with self._idle:
            if self._closed:
                raise StorageError(CLOSED.format(self.path))
            self._running += 1
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise StorageError(CLOSED.format(self.path)) if self._closed else _sentence(error, self.path) from error
        finally:
            with self._idle:
                self._running -= 1
                self._idle.notify_all()

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """All rows of a query."""
        with self._sentences():
            return list(self._connection().conn.execute(sql, parameters).fetchall())

    def write(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run a statement once for each row of parameters, in a transaction."""
        with self.transaction():
            self._connection().conn.executemany(sql, rows)


def now() -> str:
    """ISO 8601, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@contextmanager
def alone(lock: Path, busy: str | None = None) -> Iterator[None]:
    """Only one process (and thread) at a time; the next one waits, or raises BusyError with the sentence `busy`."""
    try:
        file = open(lock, "ab")  # noqa: SIM115  # `with` comes below, so that only opening is blamed on the disk
    except OSError as error:
        raise storage_error(
            error,
            f"{lock} cannot be written ({error.strerror}); check its disk and permissions, or choose another folder "
            "with --index.",
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (fcntl.LOCK_NB if busy else 0))
        except BlockingIOError:
            raise BusyError(busy) from None
        yield


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _is_full(folder: Path) -> bool:
    try:
        return shutil.disk_usage(folder).free < FULL
    except OSError:
        return False


def _sentence(error: Exception, path: Path) -> Exception:
    text = str(error)
    folder = path.parent
    # At the end of a disk, SQLite's shared memory fails as a disk I/O error.
    if "is full" in text or ("I/O" in text and _is_full(folder)):
        return DiskFullError(
            f"The disk that holds {folder} is full; free some room and run the same command again: "
            "what was added so far is kept."
        )
    if "not a database" in text:
        return IndexFormatError(f"{path} is not an imgindex database; choose another folder with --index.")
    if "malformed" in text:
        return IndexFormatError(
            f"{path} is damaged ({text}); restore it from a backup, or delete {folder} and add again."
        )
    if "locked" in text:
        return StorageError(
            f"Another program has been writing to {folder} for {BUSY_SECONDS} s; try again when it is done."
        )
    return StorageError(f"The index in {folder} cannot be read or written ({text}); check its disk and permissions.")
