"""SQL of embeddings: the model that gives them, the vectors, and the spaces that were fitted to them."""

from collections.abc import Iterator, Sequence
from dataclasses import astuple, fields

import numpy as np
import numpy.typing as npt

from imgindex.records import ModelInfo, Projection, State
from imgindex.storage.database import VECTOR, Database, marks, now, slices

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]

SCAN_BYTES = 8 << 20  # what one step of a scan holds in memory


class Embeddings:
    """What an index's database knows of vectors; raises StorageError as `Database` does."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._rows, self._write = database.rows, database.write

    def state(self) -> State:
        """Which database this is, how many changes of vectors it has seen, and its newest compare space."""
        return State(
            *self._rows(
                "SELECT uid, generation, coalesce(version, 0), coalesce(images, 0) FROM state "
                "LEFT JOIN spaces ON version = (SELECT max(version) FROM spaces)"
            )[0]
        )

    def model(self) -> ModelInfo | None:
        """What the index was begun with; None before its first image."""
        rows = self._rows(f"SELECT {', '.join(f.name for f in fields(ModelInfo))} FROM model")
        return ModelInfo(*rows[0]) if rows else None

    def set_model(self, model: ModelInfo) -> None:
        """Record what the index is begun with, in the order of the table's columns."""
        self._write("INSERT INTO model VALUES (?, ?, ?, ?, ?, ?, ?)", [astuple(model)])

    def projection(self, version: int) -> Projection | None:
        """A fitted compare space; None for version 0, before any fit."""
        rows = self._rows("SELECT version, images, mean, components, singular FROM spaces WHERE version = ?", [version])
        if not rows:
            return None
        version, images, *blobs = rows[0]
        mean, components, singular = (np.frombuffer(blob, VECTOR).astype(np.float32) for blob in blobs)
        return Projection(version, images, mean, components.reshape(len(singular), len(mean)), singular)

    def add_projection(self, projection: Projection) -> int:
        """Record a fit; returns the version it was given."""
        with self._database.transaction():
            arrays = (projection.mean, projection.components, projection.singular)
            blobs = [array.astype(VECTOR).tobytes() for array in arrays]
            self._write(
                "INSERT INTO spaces (images, mean, components, singular, created) VALUES (?, ?, ?, ?, ?)",
                [(projection.images, *blobs, now())],
            )
            return self.state().space

    def add(self, image: int, vector: Floats) -> None:
        """Record the (D,) embedding of an image that has none."""
        self._write("INSERT INTO vectors VALUES (?, ?)", [(image, vector.astype(VECTOR).tobytes())])

    def ids(self, *, after: int = 0) -> Ids:
        """(N,) ids of all images with a vector, ascending; or of those that came after one."""
        rows = self._rows("SELECT image FROM vectors WHERE image > ? ORDER BY image", [after])
        return np.array([row[0] for row in rows], np.int64)

    def removed_since(self, generation: int) -> Ids:
        """(N,) ids of images that are gone since the database was in this generation, and some gone before."""
        rows = self._rows("SELECT image FROM removals WHERE generation >= ?", [generation])
        return np.array([row[0] for row in rows], np.int64)

    def of(self, images: Sequence[int]) -> tuple[Ids, Floats]:
        """(N,) ids ascending and (N, D) embeddings of those that are whole."""
        rows = [
            row
            for part in slices(sorted(images))
            for row in self._rows(
                f"SELECT image, vector FROM vectors WHERE image IN ({marks(part)}) "
                "AND length(vector) = (SELECT 4 * dimension FROM model) ORDER BY image",
                part,
            )
        ]
        matrix = np.frombuffer(b"".join(row[1] for row in rows), VECTOR).astype(np.float32, copy=False)
        return np.array([row[0] for row in rows], np.int64), matrix.reshape(len(rows), -1 if rows else 0)

    def scan(self, images: Ids) -> Iterator[tuple[Ids, Floats]]:
        """The embeddings of these images in parts of bounded memory, as `of` gives them."""
        model = self.model()
        step = max(1, SCAN_BYTES // (4 * model.dimension)) if model else 1
        for start in range(0, len(images), step):
            ids, vectors = self.of([int(image) for image in images[start : start + step]])
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
