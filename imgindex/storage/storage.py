"""The database of an index, by what it holds: the truth from which everything else is derived."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from imgindex.records import Decoded, Image
from imgindex.storage.database import Database
from imgindex.storage.embeddings import Embeddings
from imgindex.storage.images import Images
from imgindex.storage.settings import Settings
from imgindex.types import Floats


@dataclass(frozen=True)
class Storage:
    """One database and its rooms. Usable from several threads and processes at once; raises as `Database` does."""

    database: Database
    images: Images
    embeddings: Embeddings
    settings: Settings

    @classmethod
    def open(cls, path: Path) -> "Storage":
        """Open the database at a path, or begin one there. Raises IndexFormatError, StorageError."""
        database = Database(path)
        return cls(database, Images(database), Embeddings(database), Settings(database))

    def close(self) -> None:
        """End what other threads are at, and close the database."""
        self.database.close()

    def transaction(self) -> AbstractContextManager[None]:
        """All writes inside happen together or not at all; other writers wait. May be nested."""
        return self.database.transaction()

    def add_image(self, image: Image, vector: Floats, decoded: Decoded) -> int:
        """Record a content, its (D,) embedding and what was read of it; returns its id, also if another was faster."""
        with self.transaction():
            known = self.images.id_of(image.sha256)
            if known is None:
                known = self.images.add(image)
                self.embeddings.add(known, vector)
            self.images.describe(known, decoded)
            return known

    def problems(self) -> list[str]:
        """What is wrong inside the database, one sentence each."""
        rows = self.database.rows
        found = [f"The database is damaged: {row[0]}." for row in rows("PRAGMA quick_check(5)") if row[0] != "ok"]
        for sql, sentence in (  # each sees one moment of the database, however fast others write
            ("SELECT id FROM images WHERE id NOT IN (SELECT image FROM vectors)", "has no embedding"),
            ("SELECT id FROM images WHERE id NOT IN (SELECT image FROM files)", "has no file"),
            (
                "SELECT id FROM images WHERE id NOT IN (SELECT image FROM features)",
                "has no local features, so its copies cannot be proven; the next sync adds them",
            ),
            (
                "SELECT image FROM vectors WHERE length(vector) <> coalesce((SELECT 4 * dimension FROM model), 0)",
                "has an embedding of another length",
            ),
        ):
            found += [f"Image {row[0]} {sentence}." for row in rows(sql)]
        return found

    def repair(self) -> None:
        """Forget images that are not whole, so that the next `add` takes them again."""
        broken = (
            "SELECT id FROM images LEFT JOIN vectors ON image = id WHERE vector IS NULL OR length(vector) <> "
            "coalesce((SELECT 4 * dimension FROM model), 0) OR id NOT IN (SELECT image FROM files)"
        )
        with self.transaction():
            images = self.database.rows(broken)
            self.database.write("DELETE FROM files WHERE image = ?", images)
            self.database.write("DELETE FROM images WHERE id = ?", images)
