"""SQL of reports."""

import json
import os
from collections.abc import Mapping

from imgindex.reports.records import PastReport
from imgindex.storage.database import Database, now


class ReportStore:
    """The reports that were kept, and what they count; raises as `Database` does."""

    def __init__(self, database: Database) -> None:
        self._rows, self._write = database.rows, database.write

    def folders(self) -> dict[str, int]:
        """How many files each folder holds itself."""
        counts: dict[str, int] = {}
        for path in [row[0] for row in self._rows("SELECT path FROM files")]:
            folder = os.path.dirname(path)
            counts[folder] = counts.get(folder, 0) + 1
        return counts

    def last(self) -> tuple[str, dict[int, int]] | None:
        """When the last report was made, and how many files each of its groups had."""
        rows = self._rows("SELECT created, groups FROM reports ORDER BY id DESC LIMIT 1")
        return (rows[0][0], {int(group): files for group, files in json.loads(rows[0][1]).items()}) if rows else None

    def history(self) -> list[PastReport]:
        """Those that were kept, the oldest first."""
        return [
            PastReport(*row) for row in self._rows("SELECT created, images, files, redundant FROM reports ORDER BY id")
        ]

    def put(self, images: int, files: int, redundant: int, groups: Mapping[int, int]) -> str:
        """Returns the time that it was given."""
        created = now()
        self._write(
            "INSERT INTO reports (created, images, files, redundant, groups) VALUES (?, ?, ?, ?, ?)",
            [(created, images, files, redundant, json.dumps(groups))],
        )
        return created
