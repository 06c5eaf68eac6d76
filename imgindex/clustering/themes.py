"""Themes: the whole index clustered now and then, new images placed as they come."""

import math
import time
import unicodedata
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np

from imgindex.clustering.kmeans import assign
from imgindex.clustering.lineage import heirs, lineage
from imgindex.clustering.placement import Placement
from imgindex.clustering.records import Clusters, Drift, Lineage, Run, Theme
from imgindex.clustering.selection import Clustering, cluster
from imgindex.clustering.store import Runs
from imgindex.errors import NotIndexedError, UsageError
from imgindex.records import Projection
from imgindex.schedule import EVERY_WEEK, is_due
from imgindex.search import projection as projections
from imgindex.storage.database import now
from imgindex.storage.lock import alone
from imgindex.storage.storage import Storage
from imgindex.types import Floats, Ids, Progress

FAR = 0.95  # of a run's images lie nearer to their centroid than what is called far
ENOUGH, DRIFTED = 20, 0.1  # images that came since, and which share of them may lie far out
SURE = 2.33  # standard deviations above that
GROWN = 0.5  # images that came, as a share of the run's
ASKED = "It was asked for."
LONGEST_NAME = 80  # letters of a name
EMPTY = "The index is empty, so there is nothing to cluster; add some pictures first."


class Themes:
    """`index.themes`: sorts an index into themes. Usable from several threads."""

    def __init__(self, store: Storage, runs: Runs, placement: Placement, lock: Path) -> None:
        self._store = store
        self._runs = runs
        self._placement = placement
        self._lock = lock
        self.count, self.runs = runs.count, runs.history

    def due(self, every: str = EVERY_WEEK) -> str | None:
        """Why reclustering is due, as a sentence, or None.

        It is when images came or went and `every`, an interval (12h, 7d) or a cron expression, has passed since the
        last run; when clearly more than a tenth of those that came (at least 20) lie far from every theme; when the
        index has grown by half; and when there was no run. Raises UsageError for another schedule.
        """
        last = self._runs.run(self._runs.last_id())
        overdue = is_due(every, datetime.fromisoformat(last.created if last else now()))
        if not self._store.images.counts().images:
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

    def check_number(self, clusters: int | None) -> None:
        """Raises UsageError for fewer than 1 or more clusters than the index has images."""
        _check_number(clusters, self._store.images.counts().images)

    def recluster(
        self, clusters: int | None = None, *, why: str | None = None, progress: Progress | None = None
    ) -> Run:
        """Sort all images into themes, as many as silhouette and elbow say or `clusters`; one that lives keeps its id.

        Published in one transaction; until then, and when it is killed, the last run stays. `progress` is called with
        the candidates for k that are done and all. Raises UsageError for fewer than 1 or more clusters than images,
        NotIndexedError for an empty index, BusyError when another recluster is running.
        """
        with alone(self._lock, "Another recluster of this index is running; wait for it to end."):
            try:
                return self._recluster(clusters, why or ASKED, progress)
            finally:
                self._placement.forget()

    def _recluster(self, clusters: int | None, why: str, progress: Progress | None) -> Run:
        start = time.monotonic()
        model, ids = self._store.embeddings.model(), self._store.embeddings.ids()
        if model is None or not len(ids):
            raise NotIndexedError(EMPTY)
        _check_number(clusters, len(ids))
        sample = ids[np.linspace(0, len(ids) - 1, min(len(ids), projections.THEMES_SAMPLE)).astype(int)]
        space = projections.fit(self._store.embeddings.matrix(sample), len(ids), projections.THEMES_RANK)
        parts = [(part, projections.themes(vectors, space)) for part, vectors in self._store.embeddings.scan(ids)]
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
            silhouette=found.silhouette, curve=found.curve, model=model.name,
            space=self._store.embeddings.state().space, far=float(np.quantile(distances, FAR)), lineage=Lineage(),
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
        self._placement.place_rest()  # what came while this ran
        return replace(done, id=number)

    def current(self) -> Clusters:
        """The themes of the last run with their images, what was added since included."""
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

    def rename(self, theme: int, name: str | None) -> None:
        """Give a theme a name, which it keeps from run to run; None or an empty one takes it back.

        Control characters become spaces, and spaces in a row one. Raises NotIndexedError, and UsageError for a name of
        more than 80 letters.
        """
        tidy = _tidy(name or "")
        if len(tidy) > LONGEST_NAME:
            raise UsageError(f"A name of {len(tidy)} letters is too long for a theme; {LONGEST_NAME} are enough.")
        with self._runs.transaction():
            self._placement.known(theme)
            self._runs.rename(theme, tidy or None)


def _check_number(clusters: int | None, images: int) -> None:
    if clusters is not None and not 1 <= clusters <= images:
        raise UsageError(f"{clusters} clusters cannot be made of {images} images; ask for 1 to {images}.")


def _tidy(name: str) -> str:
    """A name as valid UTF-8 on one line: control characters are spaces, and spaces in a row are one."""
    valid = name.encode("utf-8", "replace").decode()
    return " ".join("".join(" " if unicodedata.category(one) == "Cc" else one for one in valid).split())


def _more_than_chance(images: int) -> float:
    """How many of so many images lie far out in 1 of 100 collections where a tenth does (normal approximation)."""
    return DRIFTED * images + SURE * math.sqrt(images * DRIFTED * (1 - DRIFTED))
