"""Frozen dataclasses that cross rooms."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class ModelInfo:
    """What makes two embeddings comparable; stored with an index and checked on open."""

    name: str
    layer: str
    pooling: str
    input_size: int  # pixels; pictures go in as input_size x input_size
    preprocessing: str
    weights: str  # SHA-256 (hex) over the tensors
    dimension: int


@dataclass(frozen=True)
class Decoded:
    """A picture, upright, shrunk to a model's input size."""

    pixels: npt.NDArray[np.uint8]  # (size, size, 3), RGB
    width: int  # pixels of the upright original
    height: int


@dataclass(frozen=True)
class State:
    """Where a database stands; what is derived from it is current when it has the same."""

    uid: str  # of this database, random
    generation: int  # how often its vectors changed
    space: int  # version of its newest compare space, 0 before any fit
    fitted: int  # images which that space was fitted for


@dataclass(frozen=True)
class Counts:
    """How much an index holds."""

    images: int  # distinct contents
    files: int  # paths


@dataclass(frozen=True)
class Image:
    """One content, however many paths it has."""

    id: int
    sha256: bytes  # 32 bytes, of the file
    width: int  # pixels, upright
    height: int
    bytes: int


@dataclass(frozen=True)
class File:
    """One path of an image."""

    path: str  # absolute; bytes that are not UTF-8 as surrogates (os.fsdecode)
    image: int
    bytes: int
    mtime_ns: int


@dataclass(frozen=True)
class Failure:
    """A file that could not be indexed."""

    path: str
    reason: str
    bytes: int | None = None  # as the file was when it was tried; None: to be tried again in any case
    mtime_ns: int | None = None


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
    path: str
    results: list[Neighbour]  # best first, without the query itself


@dataclass(frozen=True)
class Added:
    """What an `add` or `sync` did, in files, and what the index holds after it."""

    added: int
    unchanged: int
    moved: int
    failed: list[Failure]
    images: int
    files: int
    seconds: float


@dataclass(frozen=True)
class Removed:
    """What a `remove` did, in files, and what the index holds after it."""

    removed: int
    images: int
    files: int


@dataclass(frozen=True)
class Space:
    """A fitted compare space: principal components of a collection's unit-length embeddings."""

    version: int
    images: int  # of the collection that it was fitted for
    mean: npt.NDArray[np.float32]  # (dimension,)
    components: npt.NDArray[np.float32]  # (D, dimension), orthonormal rows, the strongest first
    singular: npt.NDArray[np.float32]  # (D,), relative to the first
