"""Themes: the whole index clustered now and then, new images placed as they come."""

import math
import time
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from imgindex.clustering.kmeans import assign
from imgindex.clustering.lineage import heirs, lineage
from imgindex.clustering.records import Clusters, Drift, Lineage, Run, Theme
from imgindex.clustering.selection import Clustering, cluster
from imgindex.clustering.store import Runs
from imgindex.errors import NotIndexedError, UsageError
from imgindex.records import Projection
from imgindex.schedule import is_due
from imgindex.search import projection as spaces
from imgindex.storage.database import alone, now
from imgindex.storage.images import Store

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]
Progress = Callable[[int, int], None]

FAR = 0.95  # of a run's images lie nearer to their centroid than what is called far
ENOUGH, DRIFTED = 20, 0.1  # images that came since, and which share of them may lie far out
SURE = 2.33  # standard deviations above that
GROWN = 0.5  # images that came, as a share of the run's
EVERY = "7d"
LONGEST = 80  # letters of a name
EMPTY = "The index is empty, so there is nothing to cluster; imgindex add FOLDER takes pictures in."
_NONE: tuple[int, Projection | None, Ids, Floats] = (0, None, np.empty(0, np.int64), np.empty((0, 0), np.float32))


class Themes:
    """Sorts an index into themes. Usable from several threads."""

    def __init__(self, store: Store, runs: Runs, lock: Path) -> None:
        self._store = store
        self._runs = runs
        self._lock = lock
        self._projection = _NONE

    def due(self, every: str) -> str | None:
        """Why the index should be clustered again, as a sentence; None: it need not be. Raises UsageError."""
        last = self._runs.run(self._runs.last_id())
        overdue = is_due(every, datetime.fromisoformat(last.created if last else now()))
        if not self._store.counts().images:
            return None
        return self._reason(last, every, overdue) if last else "It is the first run."

    def _reason(self, last: Run, every: str, overdue: bool) -> str | None:
        drift = self._drift(last)
        if not drift.placed and not drift.removed:
            return None
        if overdue:
            return f"The schedule ({every}) says so."
        if drift.placed >= ENOUGH and drift.far > _more_than_chance(drift.placed):
            return f"{drift.far} of the {drift.placed} images that came since lie far from every theme."
        if drift.growth >= GROWN:
            return f"{drift.placed} images came since, to {last.images}."
        return None

    def recluster(self, clusters: int | None, why: str, progress: Progress | None) -> Run:
        """Cluster all images and publish the result in one transaction; until then the last one stays."""
        with alone(self._lock, "Another recluster of this index is running; wait for it to end."):
            try:
                return self._recluster(clusters, why, progress)
            finally:
                self._projection = _NONE  # that of a run which was not published would have the next one's id

    def _recluster(self, clusters: int | None, why: str, progress: Progress | None) -> Run:
        start = time.monotonic()
        model, ids = self._store.model(), self._store.image_ids()
        if model is None or not len(ids):
            raise NotIndexedError(EMPTY)
        if clusters is not None and not 1 <= clusters <= len(ids):
            raise UsageError(f"{clusters} clusters cannot be made of {len(ids)} images; ask for 1 to {len(ids)}.")
        sample = ids[np.linspace(0, len(ids) - 1, min(len(ids), spaces.THEMES_SAMPLE)).astype(int)]
        space = spaces.fit(self._store.matrix(sample), len(ids), spaces.THEMES_RANK)
        parts = [(part, spaces.themes(vectors, space)) for part, vectors in self._store.scan(ids)]
        if not parts:
            raise NotIndexedError(EMPTY)  # another process has just removed them
        ids, vectors = np.concatenate([part for part, _ in parts]), np.concatenate([part for _, part in parts])
        placed = self._runs.placed()
        before = np.array([placed.get(image, -1) for image in ids.tolist()], np.int64)
        found = cluster(
            vectors, clusters=clusters, before=before if placed else None, progress=progress
        )  # fmt: skip
        _, distances = assign(vectors, found.centroids)
        run = Run(
            id=0, created=now(), seconds=0, why=why, images=len(ids), k=len(found.centroids), elbow=found.elbow,
            silhouette=found.silhouette, curve=found.curve, model=model.name, space=self._store.state().space,
            far=float(np.quantile(distances, FAR)), lineage=Lineage(),
        )  # fmt: skip
        with self._runs.transaction():
            return self._publish(run, space, ids, before, found, distances, start)

    def _publish(
        self,
        run: Run,
        space: Projection | None,
        ids: Ids,
        before: Ids,
        found: Clustering,
        distances: Floats,
        start: float,
    ) -> Run:
        inherited = heirs(before, found.labels)
        themes = {
            cluster: inherited[cluster] if cluster in inherited else self._runs.new_theme() for cluster in range(run.k)
        }
        done = replace(
            run, lineage=lineage(before, found.labels, themes), seconds=round(time.monotonic() - start, 3)
        )  # fmt: skip
        number = self._runs.put_run(done, space)
        sizes = np.bincount(found.labels)
        self._runs.put_themes(number, zip(themes.values(), sizes.tolist(), found.centroids, strict=True))
        self._runs.forget_placements()
        rows = zip(ids.tolist(), found.labels.tolist(), distances.tolist(), found.silhouettes.tolist(), strict=True)
        self._runs.place(
            (image, themes[cluster], distance, silhouette) for image, cluster, distance, silhouette in rows
        )
        self._place_rest()  # what came while this ran
        return replace(done, id=number)

    def _place_rest(self) -> None:
        for part, vectors in self._store.scan(self._runs.unplaced()):
            self.place(part.tolist(), vectors)

    def place(self, images: Sequence[int], vectors: Floats) -> None:
        """In the transaction that adds (N,) images with (N, D) embeddings: put each to the nearest centroid."""
        last = self._runs.last_id()
        if not last:
            return
        projection = self._projection  # another thread may be replacing it
        if projection[0] != last:
            projection = self._projection = (last, *self._runs.projection(last))
        _, space, themes, centroids = projection
        labels, distances = assign(spaces.themes(vectors, space), centroids)
        rows = zip(images, themes[labels].tolist(), distances.tolist(), strict=True)
        self._runs.place((image, theme, distance, None) for image, theme, distance in rows)

    def current(self) -> Clusters:
        """The themes as they are now."""
        with self._runs.transaction():
            run = self._runs.run(self._runs.last_id())
            if run is None:
                return Clusters(None, (), None)
            members, names, drift = self._runs.members(), self._runs.names(), self._drift(run)
        total = sum(map(len, members.values()))
        themes = [
            Theme(theme, names.get(theme), len(images) / total, tuple(images)) for theme, images in members.items()
        ]
        return Clusters(run, tuple(sorted(themes, key=lambda theme: (-len(theme.images), theme.id))), drift)

    def _drift(self, run: Run) -> Drift:
        left, placed, far = self._runs.since(run.far)
        return Drift(run.images, placed, run.images - left, far)

    def images(self, theme: int) -> Ids:
        """(N,) ids of the images of a theme of the last run. Raises NotIndexedError."""
        self._known(theme)
        return self._runs.images(theme)

    def _known(self, theme: int) -> None:
        if theme not in self._runs.sizes(self._runs.last_id()):
            raise NotIndexedError(f"There is no theme {theme} now; imgindex clusters lists them.")

    def rename(self, theme: int, name: str | None) -> None:
        """Name a theme of the last run; an empty name or None takes it back. Raises NotIndexedError, UsageError."""
        tidy = _tidy(name or "")
        if len(tidy) > LONGEST:
            raise UsageError(f"A name of {len(tidy)} letters is too long for a theme; {LONGEST} are enough.")
        with self._runs.transaction():
            self._known(theme)
            self._runs.rename(theme, tidy or None)

    def problems(self) -> list[str]:
        """What is wrong, one sentence each."""
        lost = len(self._runs.unplaced()) if self._runs.last_id() else 0
        return [f"{lost} images have no theme; imgindex check --repair places them."] if lost else []

    def repair(self) -> None:
        """Place what has no theme."""
        with self._runs.transaction():
            self._place_rest()


def _tidy(name: str) -> str:
    """A name as valid UTF-8 on one line: control characters are spaces, and spaces in a row are one."""
    valid = name.encode("utf-8", "replace").decode()
    return " ".join("".join(" " if unicodedata.category(one) == "Cc" else one for one in valid).split())


def _more_than_chance(images: int) -> float:
    """How many of so many images lie far out in 1 of 100 collections where a tenth does (normal approximation)."""
    return DRIFTED * images + SURE * math.sqrt(images * DRIFTED * (1 - DRIFTED))
