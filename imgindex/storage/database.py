"""A SQLite database that several threads and processes share, brought to the newest schema on open."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import sqlite_utils
from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]  # the one it uses itself, pysqlite3 or the standard library's

from imgindex.errors import IndexFormatError, StorageError
from imgindex.migrations import migrations
from imgindex.storage.lock import alone
from imgindex.storage.sqlite_errors import BUSY_SECONDS, not_ours, sentence_of

VECTOR = np.dtype("<f4")  # how BLOBs of numbers are laid out, on every machine
ENDING_SECONDS = 10  # a query ends at once when it is interrupted, a commit when it is on the disk
VARIABLES = 500  # of one statement; SQLite takes at least 999
CLOSED = "{} was closed while this was under way; open the index again."


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
            # Looking for plugins reads a file of every installed package, and one could change what we rely on.
            self._local.database = sqlite_utils.Database(self._connect(), execute_plugins=False)
        database: sqlite_utils.Database = self._local.database
        return database

    def _same_file(self) -> None:
        """SQLite would go on writing into a file that was deleted, and begin an empty one for another thread."""
        if self._file and _identity(self.path) != self._file:
            raise StorageError(
                f"{self.path} was removed or replaced while it was open; put it back unless that was intended, and "
                "start this program again."
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
            raise not_ours(self.path)
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
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # the latter of SQLite's own words about damage
            raise StorageError(CLOSED.format(self.path)) if self._closed else sentence_of(error, self.path) from error
        finally:
            with self._idle:
                self._running -= 1
                self._idle.notify_all()

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """All rows of a query."""
        with self._sentences():
            try:
                return list(self._connection().conn.execute(sql, parameters).fetchall())
            except MemoryError as error:  # a damaged length asks for it
                raise sentence_of(MemoryError("it asks for more memory than there is"), self.path) from error

    def write(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run a statement once for each row of parameters, in a transaction."""
        with self.transaction():
            self._connection().conn.executemany(sql, rows)


def now() -> str:
    """ISO 8601, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def slices(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """These items in parts that fit into one statement's variables."""
    return (items[start : start + VARIABLES] for start in range(0, len(items), VARIABLES))


def marks(items: Sequence[Any]) -> str:
    """A question mark for each."""
    return ", ".join("?" * len(items))


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
