"""TIFF's flavours that OpenCV reads wrongly: 16-bit colours in planes of their own, and white as zero at 16 bits."""

import struct

import cv2
import numpy as np
import numpy.typing as npt

from imgindex.decoding.containers import Directory, directories
from imgindex.types import Pixels

_STRIPS = {273: 279, 324: 325}  # tags of the offsets of strips or tiles, and of their lengths
_COPIED = (256, 257, 258, 259, 266, 278, 317, 322, 323)  # tags of one plane: size, bits, compression, tiles
_MOST = 100_000  # strips


def is_negative(data: Pixels) -> bool:
    """Whether zero is white; at 8 bits libtiff minds it."""
    found = directories(data.data)
    return bool(found) and found[0].first(262, 1) == 0


def planes(data: Pixels) -> npt.NDArray[np.uint16] | None:
    """(H, W, 3) BGR of a TIFF that keeps 16-bit red, green and blue apart; None for all others.

    OpenCV takes one plane's bytes for whole pixels. So each plane is decoded as a grey picture of its own. Raises
    ValueError for planes of other kinds, which would come out as noise.
    """
    found = directories(data.data)
    page = found[0] if found else Directory()
    samples = page.first(277, 1)
    if page.first(284, 1) != 2 or samples == 1 or page.first(258) <= 8:
        return None
    if page.get(258) != (16, 16, 16) or page.first(262) != 2:
        raise ValueError("planes of another kind")
    decoded: list[npt.NDArray[np.uint16]] = []
    for plane in range(samples):
        image = cv2.imdecode(_plane(data, page, plane), cv2.IMREAD_UNCHANGED)
        if image is None or image.dtype != np.uint16 or image.ndim != 2:
            raise ValueError("damaged planes")
        decoded.append(image)
    return np.ascontiguousarray(np.dstack(decoded[::-1]))


def _plane(data: Pixels, page: Directory, plane: int) -> Pixels:
    """The same bytes with another directory, which knows of one plane only."""
    order = "<" if data[0] == ord("I") else ">"
    if struct.unpack_from(order + "H", data.data, 2)[0] != 42:
        raise ValueError("planes in a BigTIFF")
    entries = [(tag, [page.first(tag)]) for tag in _COPIED if tag in page] + [(262, [1]), (277, [1])]
    for offsets, lengths in _STRIPS.items():
        for tag in (offsets, lengths):
            numbers = _all(data, page, tag, order)
            if len(numbers) % 3 or len(numbers) > 3 * _MOST:
                raise ValueError("strips without a plane")
            third = len(numbers) // 3
            if third:
                entries.append((tag, numbers[plane * third : (plane + 1) * third]))
    start = (len(data) + 1) // 2 * 2
    behind = start + 2 + 12 * len(entries) + 4
    body, more = struct.pack(order + "H", len(entries)), b""
    for tag, values in sorted(entries):
        packed = struct.pack(f"{order}{len(values)}I", *values)
        place = packed if len(values) == 1 else struct.pack(order + "I", behind + len(more))
        more += packed if len(values) > 1 else b""
        body += struct.pack(order + "HHI", tag, 4, len(values)) + place
    head = bytes(data[:4]) + struct.pack(order + "I", start)
    tail = bytes(start - len(data)) + body + bytes(4) + more
    return np.concatenate([np.frombuffer(head, np.uint8), data[8:], np.frombuffer(tail, np.uint8)])


def _all(data: Pixels, page: Directory, tag: int, order: str) -> list[int]:
    """All numbers of a tag, of which the directory keeps only the first."""
    place = page.places.get(tag)
    if place is None:
        return []
    letter = place.kind.decode()
    return list(struct.unpack_from(f"{order}{place.length // struct.calcsize(letter)}{letter}", data.data, place.start))
