"""The derived side of an index: the fitted space and the vector index, kept in step with the database."""

import logging
import threading

import numpy as np

from imgindex.errors import NotIndexedError, StorageError
from imgindex.records import Projection, State
from imgindex.search import projection as spaces
from imgindex.search.projection import Project
from imgindex.search.snapshot import Snapshot
from imgindex.search.vector_index import Nearer, VectorIndex, VectorStore
from imgindex.storage.storage import Storage
from imgindex.types import Floats, Ids

log = logging.getLogger(__name__)

WORTH_SAVING = 0.01  # share of changed vectors; fewer are caught up quicker than the index is saved


class Neighbours:
    """Finds the images nearest to an embedding, as `project` compares them. Usable from several threads.

    No transaction begins while the lock is held: a thread may wait for it inside of one.
    """

    def __init__(self, storage: Storage, vectors: VectorStore, project: Project) -> None:
        self.project = project
        self._vectors = vectors
        self._storage = storage
        self._snapshot = Snapshot(storage, vectors, project)
        self._index: VectorIndex = vectors.empty()
        self._space: Projection | None = None
        self._state: State | None = None  # of the database, as far as _index has followed it
        self._unsaved = 0
        self._newest = 0  # id of an image; those after it are not in _index yet
        self._lock = threading.RLock()

    def search(self, vectors: Floats, k: int, among: Ids | None = None) -> tuple[Ids, Floats]:
        """(N, D) embeddings -> (N, K) image ids, best first, and similarities in 0 .. 1; missing ids are -1.

        `among`: only these (N,) ids are looked at.
        Raises NotIndexedError for N = 0, as when another process has just forgotten the image.
        """
        if not len(vectors):
            raise NotIndexedError("The image was removed from the index during the search.")
        with self._lock:
            if self._catch_up():
                try:
                    self.save()
                except StorageError as error:  # the answer does not depend on it
                    log.warning("%s", error)
            ids, cosines = self._index.search(self.project(vectors, self._space), k, among)
            return ids, spaces.similarity(cosines, self._space)

    def around(self, vectors: Floats, k: int, ids: Ids, floors: Floats) -> tuple[Ids, Floats, Nearer]:
        """VectorIndex.around for (N, D) embeddings, in the database as this thread's transaction sees it."""
        with self._lock:
            self._catch_up()
            return self._index.around(self.project(vectors, self._space), k, ids, floors)

    def fit_if_due(self, growth: float) -> None:
        """Fit the compare space (again) when the collection has outgrown it by that factor."""
        last = self._storage.embeddings.state().fitted
        if last >= spaces.LAST_FIT or not spaces.due(last, self._storage.images.counts().images, growth):
            return
        ids = self._storage.embeddings.ids()
        sample = ids[np.linspace(0, len(ids) - 1, min(len(ids), spaces.SAMPLE)).astype(int)]
        fitted = spaces.fit(self._storage.embeddings.matrix(sample), len(ids))
        if fitted:
            version = self._storage.embeddings.add_projection(fitted)
            log.info("Fitted compare space %d on %d of %d images.", version, len(sample), len(ids))

    def empty(self) -> VectorIndex:
        """An index of the same kind that holds nothing."""
        return self._vectors.empty()

    def follow(self) -> None:
        """Catch up with the database as it is now, and save the index when much has changed. Raises StorageError."""
        with self._lock:
            if self._catch_up():
                self.save()

    def _catch_up(self) -> bool:
        """Returns whether so much has changed that the index is worth saving."""
        state = self._storage.embeddings.state()
        if state == self._state:
            return False
        if self._state is None or self._state.space != state.space:
            self._space = self._storage.embeddings.projection(state.space)
            self._unsaved = 0
            self._index = self._snapshot.open(state)
            ids, held = self._storage.embeddings.ids(), self._index.ids()
            gone = np.setdiff1d(held, ids, assume_unique=True)
            new = np.setdiff1d(ids, held, assume_unique=True)
            self._newest = int(ids[-1]) if len(ids) else 0
        else:
            gone = self._storage.embeddings.removed_since(self._state.generation)
            new = self._storage.embeddings.ids(after=self._newest)
            self._newest = int(new[-1]) if len(new) else self._newest
        self._index.delete(gone)
        for part, vectors in self._storage.embeddings.scan(new):
            self._index.upsert(part, self.project(vectors, self._space))
        self._state = state
        self._unsaved += len(gone) + len(new)
        return self._unsaved > WORTH_SAVING * len(self._index)

    def save(self) -> None:
        """Keep the index; the database is the truth, so what another process keeps now is as good."""
        assert self._state is not None
        self._snapshot.save(self._index, self._state)
        self._unsaved = 0

    def rebuild(self) -> None:
        """Make the index from the database again. Raises StorageError."""
        with self._lock:
            self._snapshot.discard()
            self._state = None
            self.follow()

    def problems(self) -> list[str]:
        """What is wrong with the kept index, one sentence each; being behind the database is no problem."""
        return self._snapshot.problems()
