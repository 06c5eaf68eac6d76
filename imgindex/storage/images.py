"""All SQL: the database is the truth, everything else is derived from it."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from imgindex.records import Counts, Entry, Failure, File, Image, ModelInfo, Projection, State
from imgindex.storage.database import VECTOR, Database, now

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]

SCAN_BYTES = 8 << 20  # what one step of a scan holds in memory


class Store:
    """An index's database. Usable from several threads and processes at once; raises as `Database` does."""

    def __init__(self, path: Path) -> None:
        self.database = Database(path)
        self._rows, self._write = self.database.rows, self.database.write
        self.transaction = self.database.transaction
        self.close = self.database.close
        self.version = self.database.version

    # What the index was made with

    def state(self) -> State:
        """Which database this is, how many changes of vectors it has seen, and its newest compare space."""
        return State(
            *self._rows(
                "SELECT uid, generation, coalesce(version, 0), coalesce(images, 0) FROM state "
                "LEFT JOIN spaces ON version = (SELECT max(version) FROM spaces)"
            )[0]
        )

    def model(self) -> ModelInfo | None:
        rows = self._rows(f"SELECT {', '.join(f.name for f in fields(ModelInfo))} FROM model")
        return ModelInfo(*rows[0]) if rows else None

    def set_model(self, model: ModelInfo) -> None:
        """Record what the index is begun with."""
        self._write("INSERT INTO model VALUES (?, ?, ?, ?, ?, ?, ?)", [astuple(model)])

    def space(self, version: int) -> Projection | None:
        """A fitted compare space; None for version 0, before any fit."""
        rows = self._rows("SELECT version, images, mean, components, singular FROM spaces WHERE version = ?", [version])
        if not rows:
            return None
        version, images, *blobs = rows[0]
        mean, components, singular = (np.frombuffer(blob, VECTOR).astype(np.float32) for blob in blobs)
        return Projection(version, images, mean, components.reshape(len(singular), len(mean)), singular)

    def add_space(self, space: Projection) -> int:
        """Record a fit; returns the version it was given."""
        with self.transaction():
            blobs = [array.astype(VECTOR).tobytes() for array in (space.mean, space.components, space.singular)]
            self._write(
                "INSERT INTO spaces (images, mean, components, singular, created) VALUES (?, ?, ?, ?, ?)",
                [(space.images, *blobs, now())],
            )
            return self.state().space

    # Images and their files

    def counts(self) -> Counts:
        return Counts(*self._rows("SELECT (SELECT count(*) FROM images), (SELECT count(*) FROM files)")[0])

    def image_id(self, sha256: bytes) -> int | None:
        rows = self._rows("SELECT id FROM images WHERE sha256 = ?", [sha256])
        return int(rows[0][0]) if rows else None

    def is_described(self, sha256: bytes) -> bool:
        """Whether there is nothing left to learn of this content; older versions kept no local features."""
        return bool(self._rows("SELECT 1 FROM images JOIN features ON image = id WHERE sha256 = ?", [sha256]))

    def image(self, image: int) -> Image | None:
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

    def add_image(self, image: Image, vector: Floats, digest: bytes, description: bytes) -> int:
        """Record a content, its embedding and its local features; returns its id, also when another was faster."""
        with self.transaction():
            known = self.image_id(image.sha256)
            if known is None:
                columns = "INSERT INTO images (sha256, width, height, bytes) VALUES (?, ?, ?, ?)"
                self._write(columns, [astuple(image)[1:]])
                known = self.image_id(image.sha256)
                assert known is not None
                self._write("INSERT INTO vectors VALUES (?, ?)", [(known, vector.astype(VECTOR).tobytes())])
            self._write("INSERT OR IGNORE INTO features VALUES (?, ?, ?)", [(known, digest, description)])
            return known

    def put_file(self, file: File) -> None:
        """Point a path at its image; an image that loses its last path goes."""
        with self.transaction():
            before = self.files_at([file.path])
            self._write(
                "INSERT OR REPLACE INTO files VALUES (CAST(? AS TEXT), ?, ?, ?)",
                [(os.fsencode(file.path), file.image, file.bytes, file.mtime_ns)],
            )
            self._forget_failures([file.path])
            self._drop_images_without_files([known.image for known in before])

    def remove_files(self, paths: Sequence[str]) -> None:
        """Forget paths, and the images that have no other."""
        with self.transaction():
            images = [file.image for file in self.files_at(paths)]
            self._write("DELETE FROM files WHERE path = CAST(? AS TEXT)", [(os.fsencode(path),) for path in paths])
            self._drop_images_without_files(images)

    def _drop_images_without_files(self, images: Sequence[int]) -> None:
        self._write(
            "DELETE FROM images WHERE id = ? AND NOT EXISTS (SELECT 1 FROM files WHERE image = images.id)",
            [(image,) for image in images],
        )

    def files_at(self, paths: Sequence[str]) -> list[File]:
        """The recorded ones among these paths."""
        return self._at(File, "SELECT path, image, bytes, mtime_ns FROM files", paths)

    def described_at(self, paths: Sequence[str]) -> list[File]:
        """The recorded ones among these paths of whose images there is nothing left to learn."""
        return self._at(File, "SELECT path, image, bytes, mtime_ns FROM files JOIN features USING (image)", paths)

    def files_of(self, images: Sequence[int]) -> list[File]:
        """All paths of these images, by image and path."""
        return [
            File(*row)
            for part in _parts(images)
            for row in self._rows(
                f"SELECT path, image, bytes, mtime_ns FROM files WHERE image IN ({_marks(part)}) ORDER BY image, path",
                part,
            )
        ]

    def files_below(self, folder: str) -> list[File]:
        """All recorded paths inside a folder."""
        start = os.fsencode(folder.rstrip(os.sep) + os.sep)
        end = start[:-1] + bytes([start[-1] + 1])
        return [
            File(*row)
            for row in self._rows(
                "SELECT path, image, bytes, mtime_ns FROM files "
                "WHERE path >= CAST(? AS TEXT) AND path < CAST(? AS TEXT) ORDER BY path",
                [start, end],
            )
        ]

    def failures_at(self, paths: Sequence[str], decoder: str) -> list[Failure]:
        """What this decoder could not read among these paths."""
        sql = "SELECT path, reason, bytes, mtime_ns FROM (SELECT * FROM failures WHERE decoder = ?)"
        return self._at(Failure, sql, paths, [decoder])

    def put_failures(self, failures: Sequence[Failure], decoder: str) -> None:
        with self.transaction():
            self._forget_failures([failure.path for failure in failures])
            self._write(
                "INSERT INTO failures VALUES (CAST(? AS TEXT), ?, ?, ?, ?)",
                [(os.fsencode(f.path), f.reason, f.bytes, f.mtime_ns, decoder) for f in failures],
            )

    def _forget_failures(self, paths: Sequence[str]) -> None:
        self._write("DELETE FROM failures WHERE path = CAST(? AS TEXT)", [(os.fsencode(path),) for path in paths])

    def _at(self, record: Any, select: str, paths: Sequence[str], before: Sequence[Any] = ()) -> list[Any]:
        return [
            record(*row)
            for part in _parts(paths)
            for row in self._rows(
                f"{select} WHERE path IN ({', '.join(['CAST(? AS TEXT)'] * len(part))})",
                [*before, *map(os.fsencode, part)],
            )
        ]

    # Folders that `sync` walks again

    def folders(self) -> list[str]:
        return [row[0] for row in self._rows("SELECT path FROM folders ORDER BY path")]

    def add_folder(self, path: str) -> None:
        self._write("INSERT OR IGNORE INTO folders VALUES (CAST(? AS TEXT))", [(os.fsencode(path),)])

    def remove_folders(self, paths: Sequence[str]) -> None:
        self._write("DELETE FROM folders WHERE path = CAST(? AS TEXT)", [(os.fsencode(path),) for path in paths])

    # Vectors

    def image_ids(self, *, after: int = 0) -> Ids:
        """(N,) ids of all images with a vector, ascending; or of those that came after one."""
        rows = self._rows("SELECT image FROM vectors WHERE image > ? ORDER BY image", [after])
        return np.array([row[0] for row in rows], np.int64)

    def removed_since(self, generation: int) -> Ids:
        """(N,) ids of images that are gone since the database was in this generation, and some gone before."""
        rows = self._rows("SELECT image FROM removals WHERE generation >= ?", [generation])
        return np.array([row[0] for row in rows], np.int64)

    def vectors(self, images: Sequence[int]) -> tuple[Ids, Floats]:
        """(N,) ids ascending and (N, D) embeddings of those that are whole."""
        rows = [
            row
            for part in _parts(sorted(images))
            for row in self._rows(
                f"SELECT image, vector FROM vectors WHERE image IN ({_marks(part)}) "
                "AND length(vector) = (SELECT 4 * dimension FROM model) ORDER BY image",
                part,
            )
        ]
        matrix = np.frombuffer(b"".join(row[1] for row in rows), VECTOR).astype(np.float32, copy=False)
        return np.array([row[0] for row in rows], np.int64), matrix.reshape(len(rows), -1 if rows else 0)

    def scan(self, images: Ids) -> Iterator[tuple[Ids, Floats]]:
        """The embeddings of these images in parts of bounded memory, as `vectors` gives them."""
        model = self.model()
        step = max(1, SCAN_BYTES // (4 * model.dimension)) if model else 1
        for start in range(0, len(images), step):
            ids, vectors = self.vectors([int(image) for image in images[start : start + step]])
            if len(ids):  # others may have forgotten them all
                yield ids, vectors

    def matrix(self, images: Ids) -> Floats:
        """(N, D) embeddings of these images, those that are whole."""
        model = self.model()
        held = np.empty((len(images), model.dimension if model else 0), np.float32)
        filled = 0
        for _, part in self.scan(images):
            held[filled : filled + len(part)] = part
            filled += len(part)
        return held[:filled]

    def problems(self) -> list[str]:
        """What is wrong inside the database, one sentence each."""
        found = [f"The database is damaged: {row[0]}." for row in self._rows("PRAGMA quick_check(5)") if row[0] != "ok"]
        for sql, sentence in (  # each sees one moment of the database, however fast others write
            ("SELECT id FROM images WHERE id NOT IN (SELECT image FROM vectors)", "has no embedding"),
            ("SELECT id FROM images WHERE id NOT IN (SELECT image FROM files)", "has no file"),
            (
                "SELECT id FROM images WHERE id NOT IN (SELECT image FROM features)",
                "has no local features, so its copies cannot be proven; imgindex sync adds them",
            ),
            (
                "SELECT image FROM vectors WHERE length(vector) <> coalesce((SELECT 4 * dimension FROM model), 0)",
                "has an embedding of another length",
            ),
        ):
            found += [f"Image {row[0]} {sentence}." for row in self._rows(sql)]
        return found

    def repair(self) -> None:
        """Forget images that are not whole, so that the next `add` takes them again."""
        broken = (
            "SELECT id FROM images LEFT JOIN vectors ON image = id WHERE vector IS NULL OR length(vector) <> "
            "coalesce((SELECT 4 * dimension FROM model), 0) OR id NOT IN (SELECT image FROM files)"
        )
        with self.transaction():
            images = self._rows(broken)
            self._write("DELETE FROM files WHERE image = ?", images)
            self._write("DELETE FROM images WHERE id = ?", images)


def _parts(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Slices that fit into one statement's variables."""
    return (items[start : start + 500] for start in range(0, len(items), 500))


def _marks(items: Sequence[Any]) -> str:
    return ", ".join("?" * len(items))
