"""TIFF's flavours that OpenCV reads wrongly: at 16 bits colours in planes of their own, inks, and white as zero."""

import struct

import cv2
import numpy as np
import numpy.typing as npt

from imgindex.decoding.containers import Directory, directories
from imgindex.types import Pixels

_STRIPS = {273: 279, 324: 325}  # tags of the offsets of strips or tiles, and of their lengths
_COPIED = (256, 257, 259, 266, 278, 317, 322, 323)  # tags that stay: size, compression, tiles
_COLOURS, _INKS = 2, 5  # red, green and blue; cyan, magenta, yellow and black
_CHANNELS = {_COLOURS: (3, 4), _INKS: (4,)}
_MOST = 100_000  # strips
_LARGEST = 281  # tag of the largest value that is used
_FULL = 65535  # the largest of 16 bits


def positive(stored: npt.NDArray[np.uint16], data: Pixels) -> npt.NDArray[np.uint16]:
    """16-bit pixels with zero as black, where it is white; at 8 bits libtiff minds it.

    The largest value is no sign of what black is, as a light picture has none: the file tells it, or it is all 16 bits.
    """
    found = directories(data.data)
    if not found or found[0].first(262, 1) != 0:
        return stored
    told = found[0].first(_LARGEST)
    return np.asarray(np.uint16(told if stored.max() <= told < _FULL else _FULL) - stored)


def deep(data: Pixels) -> npt.NDArray[np.uint16] | None:
    """(H, W, 3 or 4) BGR or BGRA of a TIFF with 16-bit colours in planes or in four inks; None for all others.

    OpenCV takes one plane's bytes for whole pixels, and refuses inks. So each plane is decoded as a grey picture of its
    own, and inks as colours with a fourth channel. Raises ValueError for what it cannot read so.
    """
    found = directories(data.data)
    page = found[0] if found else Directory()
    samples = page.first(277, 1)
    apart, inks = page.first(284, 1) == 2 and samples > 1, page.first(262) == _INKS
    if page.first(258) <= 8 or not (apart or inks):
        return None
    if page.get(258) != (16,) * samples or samples not in _CHANNELS.get(page.first(262), ()):
        raise ValueError("planes or inks of another kind")
    if apart:
        stored = np.dstack([_decoded(_rewritten(data, page, 1, 1, plane)) for plane in range(samples)])
    else:
        stored = cv2.cvtColor(_decoded(_rewritten(data, page, _COLOURS, samples)), cv2.COLOR_BGRA2RGBA)
    if stored.shape[2] != samples:
        raise ValueError("damaged planes")
    return _mixed(stored) if inks else np.ascontiguousarray(stored[..., [2, 1, 0, 3][:samples]])


def _decoded(data: Pixels) -> npt.NDArray[np.uint16]:
    image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None or image.dtype != np.uint16:
        raise ValueError("damaged planes")
    return np.asarray(image, np.uint16)


def _mixed(inks: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint16]:
    """(H, W, 3) BGR of (H, W, 4) cyan, magenta, yellow and black, as libtiff mixes them at 8 bits."""
    paper = _FULL - inks[..., 3]  # all 16 bits, as a light picture has little ink
    light = [_FULL - inks[..., ink] for ink in (2, 1, 0)]
    return np.asarray(cv2.merge([cv2.multiply(one, paper, scale=1 / _FULL) for one in light]), np.uint16)


def _rewritten(data: Pixels, page: Directory, photometric: int, samples: int, plane: int | None = None) -> Pixels:
    """The same bytes with another directory, which knows of one plane only or calls inks colours."""
    order = "<" if data[0] == ord("I") else ">"
    if struct.unpack_from(order + "H", data.data, 2)[0] != 42:
        raise ValueError("planes in a BigTIFF")
    entries = [(tag, [page.first(tag)]) for tag in _COPIED if tag in page]
    entries += [(258, [16] * samples), (262, [photometric]), (277, [samples])] + [(338, [0])] * (samples == 4)
    for offsets, lengths in _STRIPS.items():
        for tag in (offsets, lengths):
            numbers = _all(data, page, tag, order)
            planes = 1 if plane is None else page.first(277)
            if len(numbers) % planes or len(numbers) > planes * _MOST:
                raise ValueError("strips without a plane")
            count = len(numbers) // planes
            if count:
                entries.append((tag, numbers[(plane or 0) * count :][:count]))
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
