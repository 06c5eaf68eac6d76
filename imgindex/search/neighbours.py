"""The derived side of an index: the fitted space and the FAISS file, kept in step with the database."""

import logging
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt

from imgindex.errors import NotIndexedError, StorageError
from imgindex.records import Projection, State
from imgindex.search import projection as spaces
from imgindex.search.faiss_index import DamagedFileError, VectorIndex
from imgindex.storage.images import Store

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]

log = logging.getLogger(__name__)

WITNESSES = 16  # newest images by which a file knows its database again
WORTH_SAVING = 0.01  # share of changed vectors; fewer are caught up quicker than the file is written


Project = Callable[[Floats, Projection | None], Floats]


class Neighbours:
    """Finds the images nearest to an embedding, as `project` of `space` compares them. Usable from several threads.

    No transaction begins while the lock is held: a thread may wait for it inside of one.
    """

    def __init__(self, store: Store, file: Path, project: Project) -> None:
        self._store = store
        self._file = file
        self._compare = project
        self._index = VectorIndex()
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
            raise NotIndexedError("The image was removed from the index while its like was looked for.")
        with self._lock:
            if self._catch_up():
                try:
                    self.save()
                except StorageError as error:  # the answer does not depend on it
                    log.warning("%s", error)
            ids, cosines = self._index.search(self.project(vectors, self._space), k, among)
            return ids, spaces.similarity(cosines, self._space)

    def around(self, vectors: Floats, k: int, ids: Ids, floors: Floats) -> tuple[Ids, Floats, tuple[Ids, Ids, Floats]]:
        """VectorIndex.around for (N, D) embeddings, in the database as this thread's transaction sees it."""
        with self._lock:
            self._catch_up()
            return self._index.around(self.project(vectors, self._space), k, ids, floors)

    def fit_if_due(self, growth: float) -> None:
        """Fit the compare space (again) when the collection has outgrown it by that factor."""
        last = self._store.state().fitted
        if last >= spaces.LAST_FIT or not spaces.due(last, self._store.counts().images, growth):
            return
        ids = self._store.image_ids()
        sample = ids[np.linspace(0, len(ids) - 1, min(len(ids), spaces.SAMPLE)).astype(int)]
        fitted = spaces.fit(self._store.matrix(sample), len(ids))
        if fitted:
            version = self._store.add_space(fitted)
            log.info("Fitted compare space %d on %d of %d images.", version, len(sample), len(ids))

    def follow(self) -> None:
        """Catch up with the database as it is now, and save the file when much has changed."""
        with self._lock:
            if self._catch_up():
                self.save()

    def _catch_up(self) -> bool:
        """Returns whether so much has changed that the file is worth saving."""
        state = self._store.state()
        if state == self._state:
            return False
        if self._state is None or self._state.space != state.space:
            self._open(state)
            ids, held = self._store.image_ids(), self._index.ids()
            gone = np.setdiff1d(held, ids, assume_unique=True)
            new = np.setdiff1d(ids, held, assume_unique=True)
            self._newest = int(ids[-1]) if len(ids) else 0
        else:
            gone = self._store.removed_since(self._state.generation)
            new = self._store.image_ids(after=self._newest)
            self._newest = int(new[-1]) if len(new) else self._newest
        self._index.delete(gone)
        for part, vectors in self._store.scan(new):
            self._index.upsert(part, self.project(vectors, self._space))
        self._state = state
        self._unsaved += len(gone) + len(new)
        return self._unsaved > WORTH_SAVING * len(self._index)

    def project(self, vectors: Floats, space: Projection | None) -> Floats:
        """(N, D) embeddings -> (N, C) unit vectors."""
        with np.errstate(over="ignore", invalid="ignore"):  # numbers of a damaged database
            return self._compare(vectors, space)

    def save(self) -> None:
        """Write the file; the database is the truth, so a file that another process writes now is as good."""
        assert self._state is not None
        try:
            self._index.save(self._file, {"state": asdict(self._state), "witnesses": self._witnesses()})
        except OSError as error:
            raise StorageError(
                f"{self._file} cannot be written ({error.strerror}); free or mend its disk and run the same command "
                "again: every image is safe in the database."
            ) from error
        self._unsaved = 0

    def rebuild(self) -> None:
        """Make the file anew from the database."""
        with self._lock:
            try:
                self._file.unlink(missing_ok=True)
            except OSError as error:
                raise StorageError(f"{self._file} cannot be replaced ({error.strerror}); move it away.") from error
            self._state = None
            self.follow()

    def problems(self) -> list[str]:
        """What is wrong with the saved file, one sentence each; being behind the database is no problem."""
        try:
            index, saved, _ = self._load()
        except FileNotFoundError:
            return []
        except DamagedFileError as error:
            return [f"{self._file} is damaged ({error}); imgindex check --repair makes it anew."]
        state = self._store.state()  # after the file, which another process may be replacing
        if not _precedes(saved, state):
            return [f"{self._file} belongs to another index; imgindex check --repair makes it anew."]
        if saved.space < state.space:
            return []
        same = np.array_equal(index.ids(), self._store.image_ids())
        if not same and saved == state == self._store.state():
            return [f"{self._file} holds other images than the database; imgindex check --repair makes it anew."]
        wrong = sum(self._wrong(ids, held, state) for ids, held in index.scan())
        return [f"{self._file} holds {wrong} wrong vectors; imgindex check --repair makes it anew."] if wrong else []

    def _wrong(self, ids: Ids, held: Floats, state: State) -> int:
        order = np.argsort(ids)
        known, vectors = self._store.vectors([int(image) for image in ids])
        if not len(known):
            return 0
        held = spaces.unit(held[order[np.isin(ids[order], known)]])
        right = self.project(vectors, self._store.space(state.space))
        cosines = np.einsum("nd,nd->n", held, right)
        nothing = ~held.any(axis=1) & ~right.any(axis=1)  # a black picture may have an embedding of zeros
        return int((~(cosines >= 0.99) & ~nothing).sum())  # also where it is no number

    def _open(self, state: State) -> None:
        """Take the saved file where it leads to this state of the database, else start empty."""
        self._space = self._store.space(state.space)
        self._unsaved = 0
        try:
            self._index, saved, witnesses = self._load()
            if _precedes(saved, state) and saved.space == state.space and self._remembers(witnesses):
                return
            log.info("Making %s anew for compare space %d.", self._file, state.space)
        except FileNotFoundError:
            pass
        except DamagedFileError as error:
            log.warning("%s is damaged (%s); making it anew from the database.", self._file, error)
        self._index = VectorIndex()

    def _load(self) -> tuple[VectorIndex, State, dict[str, str]]:
        try:
            index, stamp = VectorIndex.load(self._file)
            return index, State(**stamp["state"]), stamp["witnesses"]
        except FileNotFoundError:
            raise
        except OSError as error:
            raise DamagedFileError(error.strerror) from error
        except (KeyError, TypeError) as error:
            raise DamagedFileError("another version of imgindex wrote it") from error

    def _witnesses(self) -> dict[str, str]:
        """Ids and contents of the newest images."""
        newest = [self._store.image(int(image)) for image in self._index.ids()[-WITNESSES:]]
        return {str(image.id): image.sha256.hex() for image in newest if image}

    def _remembers(self, witnesses: dict[str, str]) -> bool:
        """Whether the database saw the file's newest images; one restored from a backup gives their ids to others."""
        images = [self._store.image(int(image)) for image in witnesses]
        contents = {str(image.id): image.sha256.hex() for image in images if image}
        return bool(contents or not len(self._index)) and contents.items() <= witnesses.items()


def _precedes(saved: State, state: State) -> bool:
    """Whether a database that is in one state now may have been in another before."""
    if saved.uid != state.uid or saved.generation > state.generation or saved.space > state.space:
        return False
    return saved.space < state.space or saved.fitted == state.fitted
