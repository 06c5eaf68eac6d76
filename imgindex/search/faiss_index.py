"""FAISS as a vector index: exact while small, an inverted file of 16-bit floats when large."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from imgindex.search.vector_index import Nearer
from imgindex.types import Floats, Ids

PART = 8_192  # vectors that an exact scan looks at in one step


@dataclass(frozen=True)
class Sizing:
    """When an index becomes an inverted file, and how much of it is looked at.

    Chosen for a recall@10 of .99 against exact search: tests/benchmarks/README.md.
    """

    exact_up_to: int = 200_000  # vectors
    visited: float = 1 / 4  # share of its lists that a search visits
    reach: int = 1_000  # nearest among which `around` looks


MEASURED = Sizing()


class FaissIndex:
    """Implements VectorIndex in memory.

    Above `exact_up_to` vectors it is faiss's IndexIVFScalarQuantizer, which needs half the memory.
    """

    def __init__(self, sizing: Sizing = MEASURED) -> None:
        self._sizing = sizing
        self._index = _exact(1)
        self._newest = -1  # no id is larger

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @property
    def dimension(self) -> int:
        """Numbers of a vector; of no meaning while there is none."""
        return int(self._index.d)

    def upsert(self, ids: Ids, vectors: Floats) -> None:
        """Store (N, D) vectors under (N,) ids, replacing what those ids had."""
        self.delete(ids[ids <= self._newest])
        self._newest = max(self._newest, int(ids.max(initial=-1)))
        if not len(self):
            self._index = _exact(vectors.shape[1])
        self._index.add_with_ids(np.ascontiguousarray(vectors), ids)
        if len(self) > self._sizing.exact_up_to and self._lists() is None:
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
            visited = lists.nlist if only else min(lists.nlist, max(round(self._sizing.visited * lists.nlist), enough))
            parameters = faiss.SearchParametersIVF(nprobe=visited, **only)  # type: ignore[call-arg]  # faiss describes none
        threads = faiss.omp_get_max_threads()
        if len(vectors) == 1:  # helpers would have nothing to do, and spin
            faiss.omp_set_num_threads(1)
        try:
            cosines, ids = self._index.search(np.ascontiguousarray(vectors), k, params=parameters)
        finally:
            faiss.omp_set_num_threads(threads)
        return ids, np.where(ids == -1, np.float32(-1), cosines)

    def around(self, vectors: Floats, k: int, ids: Ids, floors: Floats) -> tuple[Ids, Floats, Nearer]:
        """As `search`, and whose nearest these would become: rows of `vectors`, ids they come near to, and cosines.

        (N,) `ids`, ascending, each have a floor (N,), which a cosine must exceed; ids without one are left out.
        One pass over all vectors; in an inverted file, both are found among the `reach` nearest.
        """
        near = np.empty((len(vectors), 0), np.int64)
        best = np.empty((len(vectors), 0), np.float32)
        nearer = [(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))]
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
            yield self.search(vectors, self._sizing.reach)

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
        for start in range(0, len(ids), PART):
            yield ids[start : start + PART], held[start : start + PART]

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

    def to_bytes(self) -> memoryview:
        """The whole index in FAISS's own format."""
        import faiss

        whole: memoryview = faiss.serialize_index(self._index).data
        return whole

    @classmethod
    def parse(cls, data: npt.NDArray[np.uint8], sizing: Sizing = MEASURED) -> "FaissIndex":
        """An index from (B,) bytes that `to_bytes` gave. Raises ValueError for anything else.

        FAISS knows types that name files, and maps or writes those: an index that somebody sent must not have one.
        """
        import faiss

        if not _is_plain(data):
            raise ValueError("it is of a type that imgindex does not write")
        index = cls(sizing)
        try:
            index._index = faiss.deserialize_index(data)
            index._newest = int(index.ids().max(initial=-1))
        except (RuntimeError, MemoryError, AttributeError) as error:
            raise ValueError("FAISS cannot read it") from error
        return index


_HEADER = 37  # bytes of an index of inner products in FAISS's format (its index_write.cpp), which end in the metric, 0


def _is_plain(data: npt.NDArray[np.uint8]) -> bool:
    """Whether data is an exact index, or an inverted file whose lists are in it, as far as `to_bytes` writes these."""

    def begins(at: int, kind: bytes) -> bool:
        """Whether a header of this type begins there; that of another metric is longer."""
        header = data[at : at + _HEADER]
        return len(header) == _HEADER and header[:4].tobytes() == kind and not header[-4:].any()

    def behind(at: int, size: int) -> int:
        """Where an array ends that begins with its length, in items of so many bytes."""
        return at + 8 + size * int.from_bytes(data[at : at + 8].tobytes(), "little")

    if begins(0, b"IxM2"):
        return begins(_HEADER, b"IxFI")
    centroids = _HEADER + 16  # the numbers of lists, and of those that are looked at
    if not (begins(0, b"IwSq") and begins(centroids, b"IxFI")):
        return False
    mapped = behind(centroids + _HEADER, 4)
    if data[mapped : mapped + 9].any():  # a map from ids to places, which is never made
        return False
    lists = behind(mapped + 9 + 28, 4) + 9  # the quantizer's numbers; then a size and a flag
    return data[lists : lists + 4].tobytes() == b"ilar"


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
