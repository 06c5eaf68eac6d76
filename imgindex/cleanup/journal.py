"""What `clean` does to files: written down, done, settled after a kill, taken back."""

import os
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Literal

from imgindex.cleanup.plan import How
from imgindex.records import Sha256
from imgindex.storage.database import Database, now
from imgindex.storage.lock import alone

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
    drive: str = ""  # of the path, as `drives` writes it; of older versions there is none
    target_drive: str = ""
    seal: Sha256 = b""  # of `seal`, by which it is known as this user's

    def on(self, drive: str, target_drive: str) -> "Entry":
        """The same one, with where its places are mounted."""
        return replace(self, drive=drive, target_drive=target_drive)


class Journal:
    """What an index has written down; raises as `Database` does."""

    def __init__(self, database: Database) -> None:
        self._database = database  # that of the images, so that an entry and they change in one transaction

    def alone(self) -> AbstractContextManager[None]:
        """Only one clean or undo at a time. Raises BusyError when another is at work."""
        lock = self._database.path.with_name("clean.lock")
        return alone(lock, f"Another imgindex is cleaning with the index in {lock.parent}; try again when it is done.")

    def next_run(self) -> int:
        """A number that no run has had."""
        return int(self._database.rows("SELECT coalesce(max(run), 0) + 1 FROM ledger")[0][0])

    def begun(self) -> list[Entry]:
        """What is being done, or was when its process was killed, the newest first."""
        return self._entries("state = 'begun'")

    def open(self) -> list[Entry]:
        """What is not brought back, the newest first."""
        return self._entries("state IN ('begun', 'done')")

    def _entries(self, which: str) -> list[Entry]:
        rows = self._database.rows(
            "SELECT run, path, sha256, bytes, mtime_ns, mode, kept, action, target, state, note, id, drive, "
            f"target_drive, seal FROM ledger WHERE {which} ORDER BY id DESC"
        )
        return [Entry(*row) for row in rows]

    def begin(self, entry: Entry) -> Entry:
        """Record what is about to be done; on disk when this returns. Returns it with its id."""
        names = (entry.path, entry.kept, entry.action, entry.target, entry.drive, entry.target_drive)
        numbers = (entry.run, now(), entry.sha256, entry.bytes, entry.mtime_ns, entry.mode, entry.seal)
        with self._database.transaction():
            self._database.write(
                "INSERT INTO ledger (run, created, sha256, bytes, mtime_ns, mode, seal, path, kept, action, target, "
                "drive, target_drive, state, note) VALUES (?, ?, ?, ?, ?, ?, ?, CAST(? AS TEXT), CAST(? AS TEXT), "
                "CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS TEXT), 'begun', '')",
                [(*numbers, *map(os.fsencode, names))],
            )
            return replace(entry, id=int(self._database.rows("SELECT last_insert_rowid()")[0][0]))

    def end(self, entry: Entry, state: Ended, note: str = "") -> None:
        """Record how it went; `note` is for a person."""
        self._database.write(
            "UPDATE ledger SET state = ?, note = CAST(? AS TEXT) WHERE id = ?",
            [(state, os.fsencode(note), entry.id)],
        )

    def views(self) -> set[tuple[str, str]]:
        """Pairs of paths that were found to be one file, in both orders."""
        rows = self._database.rows("SELECT one, other FROM views")
        return {pair for one, other in rows for pair in ((one, other), (other, one))}

    def put_view(self, one: str, other: str) -> None:
        """Remember that two paths are one file."""
        pair = [os.fsencode(path) for path in sorted((one, other))]
        self._database.write("INSERT OR REPLACE INTO views VALUES (CAST(? AS TEXT), CAST(? AS TEXT))", [tuple(pair)])
