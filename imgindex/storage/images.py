"""SQL of images, their files, what could not be read, and the folders that are walked again."""

import json
import os
from collections.abc import Collection, Sequence
from dataclasses import astuple
from typing import Any

from imgindex.facts import Facts, from_json
from imgindex.records import LARGEST_ID, Counts, Decoded, Entry, Failure, File, Image, ImageFile
from imgindex.storage.database import Database, marks, slices

_FILES = "SELECT path, image, bytes, mtime_ns, device, inode, ctime_ns"


class Images:
    """What an index's database knows of contents and paths; raises StorageError as `Database` does."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._rows, self._write = database.rows, database.write

    def counts(self) -> Counts:
        """How many images and files there are."""
        return Counts(*self._rows("SELECT (SELECT count(*) FROM images), (SELECT count(*) FROM files)")[0])

    def id_of(self, sha256: bytes) -> int | None:
        """The id of a content by its SHA-256 (32 bytes)."""
        rows = self._rows("SELECT id FROM images WHERE sha256 = ?", [sha256])
        return int(rows[0][0]) if rows else None

    def is_described(self, sha256: bytes) -> bool:
        """Whether there is nothing left to learn of this content; older versions kept no local features or facts."""
        sql = (
            "SELECT 1 FROM images JOIN features ON features.image = id JOIN facts ON facts.image = id WHERE sha256 = ?"
        )
        return bool(self._rows(sql, [sha256]))

    def get(self, image: int) -> Image | None:
        """An image by its id."""
        rows = self._rows("SELECT id, sha256, width, height, bytes FROM images WHERE id = ?", [image])
        return Image(*rows[0]) if rows else None

    def entries(self, *, before: int, limit: int, theme: int | None) -> list[Entry]:
        """The newest images with an id below `before`, of one theme or of all."""
        sql = """SELECT newest.*, path FROM (
                SELECT id, sha256, width, height, bytes, theme FROM images LEFT JOIN placements ON image = id
                WHERE id < ?1 AND (?2 IS NULL OR theme = ?2) AND EXISTS (SELECT 1 FROM files WHERE image = id)
                ORDER BY id DESC LIMIT ?3
            ) AS newest JOIN files ON image = newest.id ORDER BY newest.id DESC, path"""
        paths: dict[tuple[Any, ...], list[str]] = {}
        for *row, path in self._rows(sql, [before, theme, limit]):  # one query, so of one moment
            paths.setdefault(tuple(row), []).append(path)
        return [Entry(*(*row, tuple(held))) for row, held in paths.items()]

    def add(self, image: Image) -> int:
        """Record a content that is not known yet; returns its id."""
        with self._database.transaction():
            self._write("INSERT INTO images (sha256, width, height, bytes) VALUES (?, ?, ?, ?)", [astuple(image)[1:]])
            return int(self._rows("SELECT id FROM images WHERE sha256 = ?", [image.sha256])[0][0])

    def describe(self, image: int, read: Decoded) -> None:
        """Record what is read of an image; its local features stay as they are, as what is proven depends on them."""
        digest = read.digest
        with self._database.transaction():
            self._write("INSERT OR IGNORE INTO features VALUES (?, ?, ?)", [(image, digest, read.description)])
            self._write("UPDATE features SET pixels = ? WHERE image = ? AND pixels <> ?", [(digest, image, digest)])
            self._write("INSERT OR REPLACE INTO facts VALUES (?, ?)", [(image, read.facts.to_json())])

    def facts(self, images: Collection[int]) -> dict[int, Facts]:
        """What is known of these images; nothing of those that an older version recorded."""
        sql = "SELECT image, facts FROM facts WHERE image IN (SELECT value FROM json_each(?))"
        found = {image: from_json(text) for image, text in self._rows(sql, [json.dumps(list(images))])}
        return {image: facts for image, facts in found.items() if facts}

    def put_file(self, file: File) -> None:
        """Point a path at its image; an image that loses its last path goes."""
        with self._database.transaction():
            before = self.files_at([file.path])
            self._write(
                "INSERT OR REPLACE INTO files VALUES (CAST(? AS TEXT), ?, ?, ?, ?, ?, ?)",
                [(os.fsencode(file.path), *astuple(file)[1:])],
            )
            self.forget_failures([file.path])
            self._drop_images_without_files([known.image for known in before])

    def remove_files(self, paths: Sequence[str]) -> None:
        """Forget paths, and the images that have no other."""
        with self._database.transaction():
            images = [file.image for file in self.files_at(paths)]
            self._write("DELETE FROM files WHERE path = CAST(? AS TEXT)", [(os.fsencode(path),) for path in paths])
            self._drop_images_without_files(images)

    def rename(self, path: str, to: str) -> None:
        """A path has another name now, also in what a person decided."""
        names = [(os.fsencode(to), os.fsencode(path))]
        with self._database.transaction():
            for table in ("files", "failures", "keepers"):
                self._write(f"UPDATE OR REPLACE {table} SET path = CAST(? AS TEXT) WHERE path = CAST(? AS TEXT)", names)

    def _drop_images_without_files(self, images: Sequence[int]) -> None:
        self._write(
            "DELETE FROM images WHERE id = ? AND NOT EXISTS (SELECT 1 FROM files WHERE image = images.id)",
            [(image,) for image in images],
        )

    def files_at(self, paths: Sequence[str]) -> list[File]:
        """The recorded ones among these paths."""
        return self._at(File, f"{_FILES} FROM files", paths)

    def described_at(self, paths: Sequence[str]) -> list[File]:
        """The recorded ones among these paths of whose images there is nothing left to learn."""
        return self._at(File, f"{_FILES} FROM files JOIN features USING (image) JOIN facts USING (image)", paths)

    def files_of(self, images: Sequence[int]) -> list[File]:
        """All paths of these images, by image and path."""
        return [
            File(*row)
            for part in slices([image for image in images if image <= LARGEST_ID])
            for row in self._rows(
                f"{_FILES} FROM files WHERE image IN ({marks(part)}) ORDER BY image, path",
                part,
            )
        ]

    def first_files(self, images: Collection[int]) -> list[ImageFile]:
        """The first file of each of these images."""
        sql = """SELECT min(path), image, width, height, files.bytes, mtime_ns, sha256, device, inode FROM files
            JOIN images ON id = image WHERE image IN (SELECT value FROM json_each(?)) GROUP BY image"""
        return [ImageFile(*row) for row in self._rows(sql, [json.dumps(list(images))])]

    def shots(self) -> list[ImageFile]:
        """All files with raw sensor data, and those beside them that are named so but for the ending."""
        files = """SELECT path, image, width, height, files.bytes, mtime_ns, sha256, device, inode FROM {}
            JOIN images ON id = image"""
        raw = files.format("facts CROSS JOIN files USING (image)") + " WHERE json_extract(facts, '$.raw')"
        raws = [ImageFile(*row) for row in self._rows(raw)]
        beside = files.format("files") + " WHERE path >= CAST(? AS TEXT) AND path < CAST(? AS TEXT)"
        found = {file.path: file for file in raws}
        for stem in {os.path.splitext(file.path)[0] for file in raws}:
            for row in self._rows(beside, [os.fsencode(f"{stem}."), os.fsencode(f"{stem}/")]):  # a dot, then a slash
                found[row[0]] = ImageFile(*row)
        return [found[path] for path in sorted(found)]

    def contents(self) -> list[tuple[str, bytes]]:
        """All recorded paths, each with the SHA-256 of what was indexed there."""
        rows = self._rows("SELECT path, sha256 FROM files JOIN images ON id = image ORDER BY path")
        return [(path, sha256) for path, sha256 in rows]

    def views(self) -> list[tuple[str, str]]:
        """Pairs of paths that were found to be one file, which no number of it tells."""
        return [(one, other) for one, other in self._rows("SELECT one, other FROM views")]

    def files_below(self, folder: str) -> list[File]:
        """All recorded paths inside a folder."""
        start = os.fsencode(folder.rstrip(os.sep) + os.sep)
        end = start[:-1] + bytes([start[-1] + 1])
        return [
            File(*row)
            for row in self._rows(
                f"{_FILES} FROM files WHERE path >= CAST(? AS TEXT) AND path < CAST(? AS TEXT) ORDER BY path",
                [start, end],
            )
        ]

    def failures_at(self, paths: Sequence[str], decoder: str) -> list[Failure]:
        """What this decoder could not read among these paths."""
        sql = "SELECT path, reason, bytes, mtime_ns FROM (SELECT * FROM failures WHERE decoder = ?)"
        return self._at(Failure, sql, paths, [decoder])

    def put_failures(self, failures: Sequence[Failure], decoder: str) -> None:
        """Record what this decoder could not read, instead of what was known of these paths."""
        with self._database.transaction():
            self.forget_failures([failure.path for failure in failures])
            self._write(
                "INSERT INTO failures VALUES (CAST(? AS TEXT), ?, ?, ?, ?)",
                [(os.fsencode(f.path), f.reason, f.bytes, f.mtime_ns, decoder) for f in failures],
            )

    def forget_failures(self, paths: Sequence[str]) -> None:
        """Try these again; unknown ones are no error."""
        self._write("DELETE FROM failures WHERE path = CAST(? AS TEXT)", [(os.fsencode(path),) for path in paths])

    def _at(self, record: Any, select: str, paths: Sequence[str], before: Sequence[Any] = ()) -> list[Any]:
        return [
            record(*row)
            for part in slices(paths)
            for row in self._rows(
                f"{select} WHERE path IN ({', '.join(['CAST(? AS TEXT)'] * len(part))})",
                [*before, *map(os.fsencode, part)],
            )
        ]

    # Folders that `sync` walks again

    def folders(self) -> list[str]:
        """All of them, by name."""
        return [row[0] for row in self._rows("SELECT path FROM folders ORDER BY path")]

    def add_folder(self, path: str) -> None:
        """Record one; one that is known stays."""
        self._write("INSERT OR IGNORE INTO folders VALUES (CAST(? AS TEXT))", [(os.fsencode(path),)])

    def remove_folders(self, paths: Sequence[str]) -> None:
        """Forget them; unknown ones are no error."""
        self._write("DELETE FROM folders WHERE path = CAST(? AS TEXT)", [(os.fsencode(path),) for path in paths])
