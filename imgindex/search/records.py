"""What a search gives."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Neighbour:
    """An image found by likeness."""

    id: int
    path: str  # the first of its paths
    similarity: float  # 0: as unlike as two pictures picked at random; 1: the same picture


@dataclass(frozen=True)
class Similar:
    """The answer to "find images like this"."""

    id: int | None  # of the query, None when it is not in the index
    path: str | None  # None for a vector
    results: list[Neighbour]  # best first, without the query itself
