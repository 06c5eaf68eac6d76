"""A camera's raw file, told by its content, and the picture that stands for it: its full preview or a development.

Every maker hides previews in places of its own; so all JPEGs in the file are looked at, and the largest counts. What
is much smaller than the sensor is a thumbnail, and another picture's worth of pixels would be lost with it.
"""

import io
import re
import struct
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from imgindex.decoding import formats
from imgindex.decoding.containers import Directory, directories, segments
from imgindex.types import Pixels

_COLOUR_FILTER, _LINEAR = 32803, 34892  # photometric interpretations of raw data
_MAKE, _DNG_VERSION = 271, 50706  # tags
_MAKERS = {b"NIKON": "nef", b"SONY": "arw", b"PENTAX": "pef", b"RICOH": "pef", b"Canon": "cr2", b"OLYMP": "orf"}
_FULL = 0.8  # of the sensor's longer side; previews have it all but for a border, thumbnails half at most
_DENSITY = 0.5  # bytes a pixel that raw data has at least; tells the sensor's size where nothing else does
_START = re.compile(b"\xff\xd8\xff")
_CANDIDATES = 4096  # starts of JPEGs that are looked at: each tile of a DNG has one, 1,600 at 100 megapixels
_HEADERS = 256  # segments of each
_FRAMES = (b"\xc0", b"\xc1", b"\xc2")  # of JPEGs to look at; raw data itself may be a lossless one, \xc3


class NoPictureError(Exception):
    """There is nothing to show of this raw file; the text is the reason and the way out."""


@dataclass(frozen=True)
class Preview:
    """A JPEG inside a raw file."""

    start: int
    width: int
    height: int


def kind_of(data: bytes | memoryview) -> str:
    """Such as "dng" or "nef"; "raw" for a maker that is not known, "" for what holds no raw sensor data."""
    head = bytes(data[: formats.HEAD])
    row = formats.format_of(head)
    if row.reader == "raw":
        return row.name.lower()
    if row.name != "TIFF":
        return ""
    found = directories(data)
    if not any(_is_raw(one) for one in found):
        return ""
    if any(_DNG_VERSION in one for one in found):
        return "dng"
    place = next((one.places[_MAKE] for one in found if _MAKE in one.places), None)
    maker = bytes(data[place.start : place.end]) if place else b""
    return next((kind for name, kind in _MAKERS.items() if maker.startswith(name)), "raw")


def _is_raw(directory: Directory) -> bool:
    return directory.first(262) in (_COLOUR_FILTER, _LINEAR)


def preview(data: bytes | memoryview, kind: str) -> Preview | None:
    """The largest JPEG in a raw file, if it is as large as the sensor."""
    best = max(_previews(data), key=lambda one: one.width * one.height, default=None)
    if best is None:
        return None
    longer = sensor(data, kind)
    if longer:
        return best if max(best.width, best.height) >= _FULL * longer else None
    return best if best.width * best.height >= _FULL**2 * _DENSITY * len(data) else None


def sensor(data: bytes | memoryview, kind: str) -> int:
    """The longer side of the raw data, in pixels; 0 where the file does not say it in a common way."""
    if kind == "raf":
        return 0
    found = directories(b"II*\0" + bytes(data[4:]) if kind in ("orf", "rw2") and data[:1] == b"I" else data)
    sides = [(one.first(256), one.first(257)) for one in found if _is_raw(one)]
    if kind == "rw2":
        sides += [(one.first(2), one.first(3)) for one in found]
    if kind in ("cr2", "orf"):
        sides += [(one.first(256), one.first(257)) for one in found]
    return max((max(pair) for pair in sides), default=0)


def bits(data: bytes | memoryview) -> int:
    """A channel's bits as the raw data's directory says; 14, what most sensors give, where it does not."""
    depths = [one.first(258) for one in directories(data) if _is_raw(one)]
    return next((depth for depth in depths if 8 <= depth <= 16), 14)


def _previews(data: bytes | memoryview) -> list[Preview]:
    view: Any = data  # re searches it without a copy
    starts = (found.start() for found in islice(_START.finditer(view), _CANDIDATES))
    return [Preview(at, *size) for at in starts if (size := _size(memoryview(data)[at:]))]


def _size(data: memoryview) -> tuple[int, int] | None:
    for part in segments(data, _HEADERS):
        if part.kind in _FRAMES and part.length >= 6:
            rows, columns = struct.unpack_from(">HH", data, part.start + 1)
            return (columns, rows) if rows and columns else None
    return None


def develop(data: bytes | memoryview) -> tuple[Pixels, tuple[int, int]]:
    """(H, W, 3) BGR, upright, of half the size, and the full width and height; by LibRaw."""
    try:
        import rawpy
    except ImportError as error:
        reason = "raw pictures without a full-size preview need an extra: pip install 'imgindex[raw]'"
        raise NoPictureError(reason) from error
    try:
        with rawpy.imread(io.BytesIO(data)) as raw:
            half: Any = raw.postprocess(half_size=True, use_camera_wb=True)
    except (rawpy.LibRawError, rawpy.NotSupportedError, ValueError, OSError) as error:
        raise NoPictureError("the raw data is damaged, cut short, or of a kind that LibRaw cannot read") from error
    rows, columns = half.shape[:2]
    return np.ascontiguousarray(half[..., ::-1]), (2 * columns, 2 * rows)
