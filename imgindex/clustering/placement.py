"""Where each image belongs: put to the nearest theme of the last run when it comes."""

from collections.abc import Sequence

import numpy as np

from imgindex.clustering.kmeans import assign
from imgindex.clustering.store import Runs
from imgindex.errors import NotIndexedError
from imgindex.records import Projection
from imgindex.search import projection as projections
from imgindex.storage.storage import Storage
from imgindex.types import Floats, Ids

_NONE: tuple[int, Projection | None, Ids, Floats] = (0, None, np.empty(0, np.int64), np.empty((0, 0), np.float32))


class Placement:
    """Places images among the themes. Usable from several threads."""

    def __init__(self, store: Storage, runs: Runs) -> None:
        self._store = store
        self._runs = runs
        self._projection = _NONE

    def forget(self) -> None:
        """Forget the projection that is held: a run that was not published would share its id with the next one."""
        self._projection = _NONE

    def place(self, images: Sequence[int], vectors: Floats) -> None:
        """In the transaction that adds (N,) images with (N, D) embeddings: put each to the nearest centroid."""
        last = self._runs.last_id()
        if not last:
            return
        projection = self._projection  # another thread may be replacing it
        if projection[0] != last:
            projection = self._projection = (last, *self._runs.projection(last))
        _, space, themes, centroids = projection
        labels, distances = assign(projections.themes(vectors, space), centroids)
        rows = zip(images, themes[labels].tolist(), distances.tolist(), strict=True)
        self._runs.place((image, theme, distance, None) for image, theme, distance in rows)

    def place_rest(self) -> None:
        """Place what has no theme."""
        for part, vectors in self._store.embeddings.scan(self._runs.unplaced()):
            self.place(part.tolist(), vectors)

    def images(self, theme: int) -> Ids:
        """(N,) ids of the images of a theme of the last run. Raises NotIndexedError."""
        self.known(theme)
        return self._runs.images(theme)

    def known(self, theme: int) -> None:
        """Raises NotIndexedError for a theme that the last run does not have."""
        if theme not in self._runs.sizes(self._runs.last_id()):
            raise NotIndexedError(f"There is no theme {theme} now.", hint="Run imgindex clusters to list them.")

    def problems(self) -> list[str]:
        """What is wrong, one sentence each."""
        lost = len(self._runs.unplaced()) if self._runs.last_id() else 0
        return [f"{lost} images have no theme; a repair places them."] if lost else []

    def repair(self) -> None:
        """Place what has no theme."""
        with self._runs.transaction():
            self.place_rest()
