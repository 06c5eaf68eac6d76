"""Frozen dataclasses that cross rooms."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from imgindex.facts import Facts

Sha256 = bytes  # 32 of them
LARGEST_ID = 2**63 - 1  # as far as SQLite counts


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
    digest: bytes  # 32 bytes, the same for the same pixels in another lossless file; zeros for a large picture
    description: bytes  # its local features, as `local_features.describe` gives them
    facts: Facts  # what the file holds


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
class Entry:
    """What an index holds of one image."""

    id: int
    sha256: Sha256
    width: int  # pixels, upright
    height: int
    bytes: int
    theme: int | None  # None: there was no run yet, or it is not placed yet
    paths: tuple[str, ...]


@dataclass(frozen=True)
class Original:
    """A file that holds an image as it was indexed."""

    path: str
    media_type: str  # by its first bytes


@dataclass(frozen=True)
class File:
    """One path of an image."""

    path: str  # absolute; bytes that are not UTF-8 as surrogates (os.fsdecode)
    image: int
    bytes: int
    mtime_ns: int
    device: int = 0  # this and the next two: 0 where an older version recorded it
    inode: int = 0
    ctime_ns: int = 0


@dataclass(frozen=True)
class ImageFile:
    """A file with what its image is."""

    path: str
    image: int
    width: int  # pixels, upright
    height: int
    bytes: int
    mtime_ns: int
    sha256: Sha256
    device: int = 0  # 0: not known
    inode: int = 0


class Placed(Protocol):
    """What lies somewhere."""

    @property
    def path(self) -> str: ...
    @property
    def device(self) -> int: ...
    @property
    def inode(self) -> int: ...


def same_file(file: Placed) -> tuple[int, int] | str:
    """What two paths of one file have in common."""
    return (file.device, file.inode) if file.inode else file.path


@dataclass(frozen=True)
class Failure:
    """A file that could not be indexed."""

    path: str
    reason: str
    bytes: int | None = None  # as the file was when it was tried; None: to be tried again in any case
    mtime_ns: int | None = None


@dataclass(frozen=True)
class Projection:
    """A fitted compare space: principal components of a collection's unit-length embeddings."""

    version: int
    images: int  # of the collection that it was fitted for
    mean: npt.NDArray[np.float32]  # (dimension,)
    components: npt.NDArray[np.float32]  # (D, dimension), orthonormal rows, the strongest first
    singular: npt.NDArray[np.float32]  # (D,), relative to the first
