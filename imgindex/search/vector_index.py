"""What a vector backend is: an index of unit vectors, and the place where it outlives the process.

Another backend (a database of vectors) is one more module beside `faiss_index` and `faiss_file`, and passes
tests/search/test_contract.py; `Neighbours` is handed one.
"""

from collections.abc import Iterator
from typing import Any, Protocol

from imgindex.types import Floats, Ids

Stamp = dict[str, Any]  # JSON; says which state of which database an index holds
Nearer = tuple[Ids, Ids, Floats]  # (M,) rows of a query, (M,) ids, (M,) cosines


class DamagedIndexError(Exception):
    """A kept index that is not as it was kept; the text is the reason alone."""


class VectorIndex(Protocol):
    """Nearest neighbours among unit vectors; always in batches, complete or an error.

    Knows nothing of files or SQL. All vectors have the dimension of the first; ids are 0 .. 2**63 - 1, each once in a
    batch. What was written is seen by the next call. Used by one thread at a time.
    """

    def __len__(self) -> int:
        """How many vectors there are."""

    @property
    def dimension(self) -> int:
        """Numbers of a vector; of no meaning while there is none."""

    def upsert(self, ids: Ids, vectors: Floats) -> None:
        """Store (N, D) vectors under (N,) ids, replacing what those ids had."""

    def delete(self, ids: Ids) -> None:
        """Forget these (N,) ids; unknown ones are no error."""

    def search(self, vectors: Floats, k: int, among: Ids | None = None) -> tuple[Ids, Floats]:
        """(N, D) -> (N, K) ids and cosines of the nearest, best first; K is k or all there are. What is missing is -1.

        `among`: only these (M,) ids are looked at.
        """

    def around(self, vectors: Floats, k: int, ids: Ids, floors: Floats) -> tuple[Ids, Floats, Nearer]:
        """As `search`, and whose nearest these would become: rows of `vectors`, ids they come near to, and cosines.

        (M,) `ids`, ascending, each have a floor (M,), which a cosine must exceed; ids without one are left out.
        """

    def scan(self) -> Iterator[tuple[Ids, Floats]]:
        """All ids and vectors, (M,) and (M, D) at a time; vectors as exactly as the index keeps them."""

    def ids(self) -> Ids:
        """(N,) all ids, ascending."""


class VectorStore(Protocol):
    """Where an index is kept between runs. Usable from several processes at once."""

    @property
    def name(self) -> str:
        """What a sentence calls it: a path, an address."""

    def empty(self) -> VectorIndex:
        """A new index of nothing; what is kept stays until this one is saved, and one never saved leaves nothing."""

    def load(self) -> tuple[VectorIndex, Stamp] | None:
        """The kept index and its stamp; None where there is none. Raises DamagedIndexError."""

    def save(self, index: VectorIndex, stamp: Stamp) -> None:
        """Keep an index that `empty` or `load` gave instead of what was kept, or not at all. Raises StorageError."""

    def discard(self) -> None:
        """Forget what is kept. Raises StorageError."""
