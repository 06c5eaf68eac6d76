"""The parts of picture files: a JPEG's segments, chunks of PNG and RIFF, TIFF's directories, boxes of ISO files.

Every walk is bounded and ends quietly where the bytes make no sense: what follows is not there. NumPy and OpenCV
are not needed, so `sidecars` and `metadata` may use it anywhere.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

PARTS = 4096  # of one file; real ones have hundreds at most
_DIRECTORIES = 256  # of a TIFF: pages, previews, raw data
_ENTRIES = 1024  # of a directory; real ones have under 200
_VALUES = 64  # numbers that are read of an entry
_TYPES = {1: "B", 2: "B", 3: "H", 4: "I", 6: "b", 7: "B", 8: "h", 9: "i", 13: "I", 16: "Q", 18: "Q"}


@dataclass(frozen=True)
class Part:
    """A stretch of a file: `kind` is a marker, a name or a type."""

    kind: bytes
    start: int  # of its content
    length: int

    @property
    def end(self) -> int:
        """The first byte behind it."""
        return self.start + self.length


def segments(data: bytes | memoryview, most: int = PARTS) -> Iterator[Part]:
    """A JPEG's segments up to the first scan, which is included: kinds are marker bytes, lengths without their own."""
    at = 2
    for _ in range(most):
        while at + 1 < len(data) and data[at] == 0xFF and data[at + 1] == 0xFF:  # padding
            at += 1
        if at + 4 > len(data) or data[at] != 0xFF:
            return
        marker = bytes(data[at + 1 : at + 2])
        if marker == b"\xd8":  # another JPEG begins
            return
        if marker == b"\x01" or 0xD0 <= marker[0] <= 0xD7:
            at += 2
            continue
        (length,) = struct.unpack_from(">H", data, at + 2)
        if length < 2 or at + 2 + length > len(data):
            return
        yield Part(marker, at + 4, length - 2)
        if marker == b"\xda":
            return
        at += 2 + length


def chunks(data: bytes | memoryview) -> Iterator[Part]:
    """A PNG's chunks."""
    at = 8
    for _ in range(PARTS):
        if at + 12 > len(data):
            return
        length, kind = struct.unpack_from(">I4s", data, at)
        if at + 12 + length > len(data):
            return
        yield Part(kind, at + 8, length)
        at += 12 + length


def riff(data: bytes | memoryview) -> Iterator[Part]:
    """The chunks of a WebP file."""
    at = 12
    for _ in range(PARTS):
        if at + 8 > len(data):
            return
        kind, length = struct.unpack_from("<4sI", data, at)
        yield Part(kind, at + 8, min(length, len(data) - at - 8))
        at += 8 + length + length % 2


def boxes(data: bytes | memoryview, start: int = 0, end: int | None = None) -> Iterator[Part]:
    """The boxes of an ISO base media file (HEIC, AVIF, CR3) between two places."""
    at, end = start, len(data) if end is None else min(end, len(data))
    for _ in range(PARTS):
        if at + 8 > end:
            return
        length, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if length == 1 and at + 16 <= end:
            (length,) = struct.unpack_from(">Q", data, at + 8)
            head = 16
        length = length or end - at
        if length < head or at + length > end:
            return
        yield Part(kind, at + head, length - head)
        at += length


class Directory(dict[int, tuple[int, ...]]):
    """A TIFF directory: numbers by tag, at most 64 of each; `places` has all bytes of a tag, kinds are struct's."""

    def __init__(self) -> None:
        super().__init__()
        self.places: dict[int, Part] = {}

    def first(self, tag: int, default: int = 0) -> int:
        """The first number of a tag."""
        return next(iter(self.get(tag, ())), default)


def directories(data: bytes | memoryview) -> list[Directory]:
    """A TIFF's directories in their order, each followed by those below it (tag 330), also of BigTIFF and raw files."""
    order = {b"II": "<", b"MM": ">"}.get(bytes(data[:2]))
    if order is None or len(data) < 16:
        return []
    big = struct.unpack_from(order + "H", data, 2)[0] == 43
    waiting = [struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)[0]]
    seen: set[int] = set()
    found: list[Directory] = []
    while waiting and len(found) < _DIRECTORIES:
        at = waiting.pop(0)
        if not at or at in seen:
            continue
        seen.add(at)
        try:
            directory, following = _directory(data, at, order, big)
        except struct.error:
            continue
        found.append(directory)
        waiting = [*directory.get(330, ()), following, *waiting]
    return found


def _directory(data: bytes | memoryview, at: int, order: str, big: bool) -> tuple[Directory, int]:
    count, head, size, room = ("Q", 8, 20, 8) if big else ("H", 2, 12, 4)
    (entries,) = struct.unpack_from(order + count, data, at)
    if entries > _ENTRIES:
        return Directory(), 0
    directory = Directory()
    for entry in range(at + head, at + head + size * entries, size):
        tag, kind, number = struct.unpack_from(order + ("HHQ" if big else "HHI"), data, entry)
        letter = _TYPES.get(kind)
        if letter is None:
            continue
        length = number * struct.calcsize(letter)
        place = entry + size - room
        if length > room:
            (place,) = struct.unpack_from(order + ("Q" if big else "I"), data, place)
        if place + length > len(data):
            continue
        directory.places[tag] = Part(letter.encode(), place, length)
        directory[tag] = struct.unpack_from(f"{order}{min(number, _VALUES)}{letter}", data, place)
    try:
        (following,) = struct.unpack_from(order + ("Q" if big else "I"), data, at + head + size * entries)
    except struct.error:
        following = 0
    return directory, following
