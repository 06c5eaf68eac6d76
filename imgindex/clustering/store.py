"""SQL of themes: runs of the clustering, the themes that live through them, and where each image belongs."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from imgindex.clustering.records import Candidate, Lineage, Member, Run
from imgindex.records import Projection
from imgindex.storage.database import VECTOR, Database
from imgindex.types import Floats, Ids

_RUN = f"SELECT {', '.join(field.name for field in fields(Run))} FROM runs"


class Runs:
    """What an index's database knows of themes; raises as `Database` does."""

    def __init__(self, database: Database) -> None:
        self._rows, self._write = database.rows, database.write
        self.transaction = database.transaction

    def last_id(self) -> int:
        """Of the newest run; 0 before any."""
        return int(self._rows("SELECT coalesce(max(id), 0) FROM runs")[0][0])

    def run(self, run: int) -> Run | None:
        """A run by its id; None where there is none."""
        rows = self._rows(f"{_RUN} WHERE id = ?", [run])
        return _run(rows[0]) if rows else None

    def history(self) -> list[Run]:
        """All runs, the newest first."""
        return [_run(row) for row in self._rows(f"{_RUN} ORDER BY id DESC")]

    def put_run(self, run: Run, space: Projection | None) -> int:
        """Record a run under an id of its own, which is returned, with the projection in which its centroids lie."""
        fitted = (space.mean, space.components, space.singular) if space else ()
        blobs: list[bytes | None] = [array.astype(VECTOR).tobytes() for array in fitted] or [None] * 3
        row = (
            run.created, run.seconds, run.why, run.images, run.k, run.elbow, run.silhouette,
            json.dumps([asdict(candidate) for candidate in run.curve]), run.model, run.space, run.far,
            json.dumps(asdict(run.lineage)), *blobs,
        )  # fmt: skip
        with self.transaction():
            self._write("UPDATE runs SET mean = NULL, components = NULL, singular = NULL WHERE mean IS NOT NULL", [()])
            self._write(f"INSERT INTO runs VALUES (NULL{', ?' * len(row)})", [row])
            return self.last_id()

    def projection(self, run: int) -> tuple[Projection | None, Ids, Floats]:
        """The newest run's fit, (k,) its themes, and (k, T) their centroids."""
        (mean, components, singular), *_ = self._rows("SELECT mean, components, singular FROM runs WHERE id = ?", [run])
        space = None
        if mean:
            weights = _floats(singular)
            space = Projection(run, 0, _floats(mean), _floats(components).reshape(len(weights), -1), weights)
        rows = self._rows("SELECT theme, centroid FROM run_themes WHERE run = ? ORDER BY theme", [run])
        return space, np.array([row[0] for row in rows], np.int64), np.stack([_floats(row[1]) for row in rows])

    def new_theme(self) -> int:
        """Begin a theme without a name, and return its id, which none has had."""
        with self.transaction():
            self._write("INSERT INTO themes (name) VALUES (NULL)", [()])
            return int(self._rows("SELECT max(id) FROM themes")[0][0])

    def put_themes(self, run: int, themes: Iterable[tuple[int, int, Floats]]) -> None:
        """Record the themes of a run: id, size, centroid."""
        rows = [(run, theme, size, centroid.astype(VECTOR).tobytes()) for theme, size, centroid in themes]
        self._write("INSERT INTO run_themes VALUES (?, ?, ?, ?)", rows)

    def sizes(self, run: int) -> dict[int, int]:
        """How many images each theme had in a run."""
        return dict(self._rows("SELECT theme, size FROM run_themes WHERE run = ?", [run]))

    def count(self) -> int:
        """How many themes of the newest run have images."""
        sql = """SELECT count(*) FROM run_themes WHERE run = (SELECT max(id) FROM runs)
            AND EXISTS (SELECT 1 FROM placements WHERE placements.theme = run_themes.theme)"""
        return int(self._rows(sql)[0][0])

    def names(self) -> dict[int, str]:
        """Names that a person gave to themes."""
        return dict(self._rows("SELECT id, name FROM themes WHERE name IS NOT NULL"))

    def rename(self, theme: int, name: str | None) -> None:
        """Give a theme a name; None takes it back."""
        self._write("UPDATE themes SET name = ? WHERE id = ?", [(name, theme)])

    def forget_placements(self) -> None:
        """No image has a theme after it."""
        self._write("DELETE FROM placements", [()])

    def place(self, rows: Iterable[tuple[int, int, float, float | None]]) -> None:
        """Record image, theme, distance, and the silhouette if it is of the run; not of what has one, or is gone."""
        self._write(
            "INSERT OR IGNORE INTO placements SELECT ?1, ?2, ?3, ?4 WHERE EXISTS (SELECT 1 FROM images WHERE id = ?1)",
            rows,
        )

    def placed(self) -> dict[int, int]:
        """The theme of each image."""
        return dict(self._rows("SELECT image, theme FROM placements"))

    def images(self, theme: int) -> Ids:
        """(N,) ids of the images of a theme."""
        rows = self._rows("SELECT image FROM placements WHERE theme = ? ORDER BY image", [theme])
        return np.array([row[0] for row in rows], np.int64)

    def unplaced(self) -> Ids:
        """(N,) ids of images that have no theme."""
        rows = self._rows("SELECT image FROM vectors WHERE image NOT IN (SELECT image FROM placements) ORDER BY image")
        return np.array([row[0] for row in rows], np.int64)

    def members(self) -> dict[int, list[Member]]:
        """The images of each theme, with their first path: those of the run first, by distance."""
        sql = """SELECT theme, image, min(path), distance, silhouette FROM placements JOIN files USING (image)
            GROUP BY image ORDER BY theme, silhouette IS NULL, distance, image"""
        found: dict[int, list[Member]] = {}
        for theme, *member in self._rows(sql):
            found.setdefault(theme, []).append(Member(*member))
        return found

    def since(self, far: float) -> tuple[int, int, int]:
        """How many images are left of the run, how many came since, and how many of these lie farther than `far`."""
        sql = """SELECT count(silhouette), count(*) - count(silhouette),
            coalesce(sum(silhouette IS NULL AND distance > ?), 0) FROM placements"""
        left, placed, out = self._rows(sql, [far])[0]
        return left, placed, out

    def files(self) -> dict[int, int]:
        """How many files each theme has."""
        return dict(self._rows("SELECT theme, count(*) FROM files JOIN placements USING (image) GROUP BY theme"))


def _floats(blob: bytes) -> Floats:
    return np.frombuffer(blob, VECTOR).astype(np.float32)


def _run(row: Sequence[Any]) -> Run:
    values = dict(zip([field.name for field in fields(Run)], row, strict=True))
    values["curve"] = tuple(Candidate(**candidate) for candidate in json.loads(values["curve"]))
    values["lineage"] = Lineage(**{key: _tuples(value) for key, value in json.loads(values["lineage"]).items()})
    return Run(**values)


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
