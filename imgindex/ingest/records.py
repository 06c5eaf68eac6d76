"""What came into an index, and what left it."""

from dataclasses import dataclass

from imgindex.records import Decoded, Failure, Sha256


@dataclass(frozen=True)
class Incoming:
    """A picture that came as bytes."""

    data: bytes
    sha256: Sha256
    image: int | None  # the id of a known one
    decoded: Decoded | None  # None for a known one


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
    skipped: int = 0  # files that are no pictures at all: texts, films, what programs write beside photos


@dataclass(frozen=True)
class Removed:
    """What a `remove` did, in files, and what the index holds after it."""

    removed: int
    images: int
    files: int
    deleted: int = 0  # of those that were removed: uploads, whose only file went with them
    uploads_kept: int = 0  # uploads in the named folders, of which none goes but by its id
