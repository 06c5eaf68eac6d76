"""The kept vector index: whether it belongs to this database and leads to its state, and what is wrong with it."""

import logging
from dataclasses import asdict

import numpy as np

from imgindex.records import State
from imgindex.search import projection as spaces
from imgindex.search.projection import Project
from imgindex.search.vector_index import DamagedIndexError, VectorIndex, VectorStore
from imgindex.storage.storage import Storage
from imgindex.types import Floats, Ids

log = logging.getLogger(__name__)

WITNESSES = 16  # newest images by which a kept index knows its database again
REBUILDS = "a repair rebuilds it."


class Snapshot:
    """Keeps a vector index in a VectorStore, with the database's state that it holds, and takes it back."""

    def __init__(self, storage: Storage, vectors: VectorStore, project: Project) -> None:
        self._storage = storage
        self._vectors = vectors
        self._project = project

    def open(self, state: State) -> VectorIndex:
        """What is kept, where it leads to this state of the database, else an empty index."""
        try:
            if kept := self._load():
                index, saved, witnesses = kept
                fits = _precedes(saved, state) and saved.space == state.space and self._is_as_wide(index, state)
                if fits and self._remembers(index, witnesses):
                    return index
                log.info("Rebuilding %s for compare space %d.", self._vectors.name, state.space)
        except DamagedIndexError as error:
            log.warning("%s is damaged (%s); rebuilding it from the database.", self._vectors.name, error)
        return self._vectors.empty()

    def save(self, index: VectorIndex, state: State) -> None:
        """Keep an index that holds what the database does in this state. Raises StorageError."""
        self._vectors.save(index, {"state": asdict(state), "witnesses": self._witnesses(index)})

    def discard(self) -> None:
        """Forget what is kept. Raises StorageError."""
        self._vectors.discard()

    def problems(self) -> list[str]:
        """What is wrong with what is kept, one sentence each; being behind the database is no problem."""
        name = self._vectors.name
        try:
            kept = self._load()
        except DamagedIndexError as error:
            return [f"{name} is damaged ({error}); {REBUILDS}"]
        if kept is None:
            return []
        index, saved, _ = kept
        state = self._storage.embeddings.state()  # after the file, which another process may be replacing
        if not _precedes(saved, state) or (saved.space == state.space and not self._is_as_wide(index, state)):
            return [f"{name} belongs to another index; {REBUILDS}"]
        if saved.space < state.space:
            return []
        same = np.array_equal(index.ids(), self._storage.embeddings.ids())
        if not same and saved == state == self._storage.embeddings.state():
            return [f"{name} holds other images than the database; {REBUILDS}"]
        wrong = sum(self._wrong(ids, held, state) for ids, held in index.scan())
        return [f"{name} holds {wrong} wrong vectors; {REBUILDS}"] if wrong else []

    def _wrong(self, ids: Ids, held: Floats, state: State) -> int:
        """How many of (N,) images have another vector than their (N, C) row."""
        order = np.argsort(ids)
        known, vectors = self._storage.embeddings.of([int(image) for image in ids])
        if not len(known):
            return 0
        held = spaces.unit(held[order[np.isin(ids[order], known)]])
        right = self._project(vectors, self._storage.embeddings.projection(state.space))
        cosines = np.einsum("nd,nd->n", held, right)
        nothing = ~held.any(axis=1) & ~right.any(axis=1)  # a black picture may have an embedding of zeros
        return int((~(cosines >= 0.99) & ~nothing).sum())  # also where it is no number

    def _load(self) -> tuple[VectorIndex, State, dict[str, str]] | None:
        kept = self._vectors.load()
        if kept is None:
            return None
        index, stamp = kept
        try:
            witnesses = {str(int(image)): str(content) for image, content in stamp["witnesses"].items()}
            kept_state = stamp["state"]
            numbers = (int(kept_state[name]) for name in ("generation", "space", "fitted"))
            return index, State(str(kept_state["uid"]), *numbers), witnesses
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DamagedIndexError("another version of imgindex wrote it") from error

    def _is_as_wide(self, index: VectorIndex, state: State) -> bool:
        """Whether its vectors have as many numbers as those of the compare space."""
        model = self._storage.embeddings.model()
        if model is None or not len(index):
            return True
        one = np.ones((1, model.dimension), np.float32)
        wanted: int = self._project(one, self._storage.embeddings.projection(state.space)).shape[1]
        return index.dimension == wanted

    def _witnesses(self, index: VectorIndex) -> dict[str, str]:
        """Ids and contents of the newest images."""
        return self._contents(index.ids()[-WITNESSES:].tolist())

    def _remembers(self, index: VectorIndex, witnesses: dict[str, str]) -> bool:
        """Whether the database saw the index's newest images; one restored from a backup gives their ids to others."""
        contents = self._contents([int(image) for image in witnesses])
        return bool(contents or not len(index)) and contents.items() <= witnesses.items()

    def _contents(self, images: list[int]) -> dict[str, str]:
        known = [self._storage.images.get(image) for image in images]
        return {str(image.id): image.sha256.hex() for image in known if image}


def _precedes(saved: State, state: State) -> bool:
    """Whether a database that is in one state now may have been in another before."""
    if saved.uid != state.uid or saved.generation > state.generation or saved.space > state.space:
        return False
    return saved.space < state.space or saved.fitted == state.fitted
