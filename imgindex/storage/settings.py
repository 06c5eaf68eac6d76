"""SQL of settings: values by name, as JSON."""

import json
from typing import Any

from imgindex.storage.database import Database


class Settings:
    """What an index remembers of how it is used; raises StorageError as `Database` does."""

    def __init__(self, database: Database) -> None:
        self._rows, self._write = database.rows, database.write

    def get(self, name: str, default: Any = None) -> Any:
        """A value; paths in it are as they were, also those that are not UTF-8."""
        rows = self._rows("SELECT value FROM settings WHERE name = ?", [name])
        return json.loads(rows[0][0]) if rows else default

    def put(self, name: str, value: Any) -> None:
        """Set one, instead of what it was."""
        self._write("INSERT OR REPLACE INTO settings VALUES (?, ?)", [(name, json.dumps(value))])
