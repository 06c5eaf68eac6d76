"""FAISS: ids and unit vectors in, ids and cosines out. Knows nothing of files of pictures or SQL."""

import fcntl
import hashlib
import json
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]

# Above so many vectors an inverted file of 16-bit floats; a search visits this share of its lists. Chosen for a
# recall@10 of .99 against exact search: tests/benchmarks/README.md.
EXACT_UP_TO = 200_000
VISITED = 1 / 4
REACH = 1_000
LENGTH = struct.Struct("<Q")  # of the stamp; then comes the SHA-256 of all before


class DamagedFileError(Exception):
    """A saved VectorIndex that is not as it was written."""


class VectorIndex:
    """Nearest neighbours among unit vectors; always in batches, complete or an error.

    All vectors have the dimension of the first.

    Exact while small; above EXACT_UP_TO vectors an inverted file of 16-bit floats (faiss
    IndexIVFScalarQuantizer), which needs half the memory.
    """

    def __init__(self) -> None:
        self._index = _exact(1)
        self._newest = -1  # no id is larger

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def upsert(self, ids: Ids, vectors: Floats) -> None:
        """Store (N, D) vectors under (N,) ids, replacing what those ids had."""
        self.delete(ids[ids <= self._newest])
        self._newest = max(self._newest, int(ids.max(initial=-1)))
        if not len(self):
            self._index = _exact(vectors.shape[1])
        self._index.add_with_ids(np.ascontiguousarray(vectors), ids)
        if len(self) > EXACT_UP_TO and self._lists() is None:
            self._approximate()

    def delete(self, ids: Ids) -> None:
        """Forget these ids; unknown ones are no error."""
        if len(ids) and len(self):
            self._index.remove_ids(ids)

    def search(self, vectors: Floats, k: int, among: Ids | None = None) -> tuple[Ids, Floats]:
        """(N, K) ids and cosines of the nearest, best first; K is k or all there are. What is missing is -1.

        `among`: only these (N,) ids are looked at.
        """
        import faiss

        k = min(k, len(self))
        if k == 0:
            return np.empty((len(vectors), 0), np.int64), np.empty((len(vectors), 0), np.float32)
        only = {} if among is None else {"sel": faiss.IDSelectorBatch(among)}
        parameters: Any = faiss.SearchParameters(**only)
        if (lists := self._lists()) is not None:
            enough = -(-4 * k * lists.nlist // len(self))  # lists that hold about 4 k vectors
            visited = lists.nlist if only else min(lists.nlist, max(round(VISITED * lists.nlist), enough))
            parameters = faiss.SearchParametersIVF(nprobe=visited, **only)  # type: ignore[call-arg]  # faiss describes none
        threads = faiss.omp_get_max_threads()
        if len(vectors) == 1:  # helpers would have nothing to do, and spin
            faiss.omp_set_num_threads(1)
        try:
            cosines, ids = self._index.search(np.ascontiguousarray(vectors), k, params=parameters)
        finally:
            faiss.omp_set_num_threads(threads)
        return ids, np.where(ids == -1, np.float32(-1), cosines)

    def around(self, vectors: Floats, k: int, ids: Ids, floors: Floats) -> tuple[Ids, Floats, tuple[Ids, Ids, Floats]]:
        """As `search`, and whose nearest these would become: rows of `vectors`, ids they come near to, and cosines.

        (N,) `ids`, ascending, each have a floor (N,), which a cosine must exceed; ids without one are left out.
        One pass over all vectors; in an inverted file, both are found among the REACH nearest.
        """
        near = np.empty((len(vectors), 0), np.int64)
        best = np.empty((len(vectors), 0), np.float32)
        nearer: list[tuple[Ids, Ids, Floats]] = []
        for some, cosines in self._cosines(vectors):
            rows, columns = np.nonzero(cosines > _floor_of(some, ids, floors))
            part = np.broadcast_to(some, cosines.shape)
            nearer.append((rows, part[rows, columns], cosines[rows, columns]))
            top = np.argpartition(-cosines, min(k, cosines.shape[1]) - 1, axis=1)[:, :k]
            near = np.hstack([near, np.take_along_axis(part, top, axis=1)])
            best = np.hstack([best, np.take_along_axis(cosines, top, axis=1)])
        order = np.argsort(-best, axis=1, kind="stable")[:, :k]
        rows, hits, theirs = (np.concatenate(arrays) for arrays in zip(*nearer, strict=True))
        return np.take_along_axis(near, order, axis=1), np.take_along_axis(best, order, axis=1), (rows, hits, theirs)

    def _cosines(self, vectors: Floats) -> Iterator[tuple[Ids, Floats]]:
        """Ids, (M,) or (N, M), and (N, M) cosines of those that `around` considers, in parts."""
        if self._lists() is None:
            yield from ((part, vectors @ held.T) for part, held in self._parts())
        else:
            yield self.search(vectors, REACH)

    def ids(self) -> Ids:
        """(N,) all ids, ascending."""
        import faiss

        if (lists := self._lists()) is None:
            return np.sort(faiss.vector_to_array(self._index.id_map))
        return np.sort(np.concatenate([_list_ids(lists, number) for number in range(lists.nlist)]))

    def scan(self) -> Iterator[tuple[Ids, Floats]]:
        """All ids and vectors (as far as 16 bits keep them), in parts."""
        import faiss

        if (lists := self._lists()) is None:
            yield from ((ids, held.copy()) for ids, held in self._parts())
            return
        for number in range(lists.nlist):
            ids = _list_ids(lists, number)
            rows = np.empty((len(ids), lists.d), np.float32)
            for offset, row in enumerate(rows):
                lists.reconstruct_from_offset(number, offset, faiss.swig_ptr(row))
            yield ids, rows

    def _parts(self) -> Iterator[tuple[Ids, Floats]]:
        """Ids and vectors of an exact index, without copying the vectors: read them at once."""
        import faiss

        ids = faiss.vector_to_array(self._index.id_map)
        flat: Any = faiss.downcast_index(self._index.index)
        held = faiss.rev_swig_ptr(flat.get_xb(), flat.ntotal * flat.d).reshape(flat.ntotal, flat.d)
        for start in range(0, len(ids), 8_192):
            yield ids[start : start + 8_192], held[start : start + 8_192]

    def _lists(self) -> Any:
        """The inverted file, None while the index is exact."""
        import faiss

        return None if isinstance(self._index, faiss.IndexIDMap2) else self._index

    def _approximate(self) -> None:
        import faiss

        parts = list(self.scan())
        vectors = np.concatenate([part for _, part in parts])
        lists = int(2 * len(vectors) ** 0.5)
        index = faiss.IndexIVFScalarQuantizer(
            faiss.IndexFlatIP(vectors.shape[1]),
            vectors.shape[1],
            lists,
            faiss.ScalarQuantizer.QT_fp16,
            faiss.METRIC_INNER_PRODUCT,
        )
        index.cp.min_points_per_centroid = 1  # no warning about a small index
        index.train(vectors[:: max(1, len(vectors) // (40 * lists))])
        index.add_with_ids(vectors, np.concatenate([ids for ids, _ in parts]))
        self._index = index

    def save(self, path: Path, stamp: dict[str, Any]) -> bool:
        """Replace the file at path atomically; False when another process is saving there right now.

        The stamp (JSON) and a checksum follow FAISS's own bytes, so plain FAISS still reads the file.
        """
        import faiss

        partial = path.with_name(path.name + ".part")
        with open(partial, "ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            try:
                mine = os.path.samestat(os.fstat(file.fileno()), partial.stat())
            except FileNotFoundError:
                mine = False
            if not mine:
                return False  # the other process has just finished
            body = faiss.serialize_index(self._index).data
            note = json.dumps(stamp).encode()
            note += LENGTH.pack(len(note))
            digest = hashlib.sha256(body)
            digest.update(note)
            try:
                file.truncate(0)
                for piece in (body, note, digest.digest()):
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                partial.unlink()
                raise
            os.replace(partial, path)
        return True

    @classmethod
    def load(cls, path: Path) -> tuple["VectorIndex", dict[str, Any]]:
        """A saved index and its stamp. Raises DamagedFileError, FileNotFoundError."""
        import faiss

        data = np.fromfile(path, np.uint8)
        body, digest = data[:-32], data[-32:].tobytes()
        if hashlib.sha256(body.data).digest() != digest:
            raise DamagedFileError("its checksum is wrong")
        end = len(body) - LENGTH.size
        start = end - LENGTH.unpack(body[end:].tobytes())[0]
        index = cls.__new__(cls)
        index._index = faiss.deserialize_index(body[:start])
        index._newest = int(index.ids().max(initial=-1))
        return index, json.loads(body[start:end].tobytes())


def _floor_of(wanted: Ids, ids: Ids, floors: Floats) -> Floats:
    """The floors of some ids, infinite for those that have none."""
    if not len(ids):
        return np.full(wanted.shape, np.inf, np.float32)
    at = np.searchsorted(ids, wanted).clip(max=len(ids) - 1)
    return np.where(ids[at] == wanted, floors[at], np.float32(np.inf))


def _exact(dimension: int) -> Any:
    import faiss

    return faiss.IndexIDMap2(faiss.IndexFlatIP(dimension))


def _list_ids(lists: Any, number: int) -> Ids:
    import faiss

    size = lists.invlists.list_size(number)
    return np.copy(faiss.rev_swig_ptr(lists.invlists.get_ids(number), size)) if size else np.empty(0, np.int64)
