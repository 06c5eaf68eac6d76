"""Whether a file's data ends before its picture does, where its decoder says nothing: room that was never filled."""

import struct

import numpy as np

from imgindex.decoding.containers import riff
from imgindex.types import Pixels

_SILENCE = 64  # bytes of nothing at the end of compressed data; chance has one in 2^512
_ROWS = 8  # of a bitmap that must be empty to be called missing


def is_unfilled(data: Pixels, kind: str) -> bool:
    """A transfer or a rescue that stopped, in a file of the full size: WebP and BMP, which no decoder checks."""
    if kind == "WebP":
        coded = [part for part in riff(data.data) if part.kind in (b"VP8 ", b"VP8L") and part.length > 4 * _SILENCE]
        return any(not data[part.end - _SILENCE : part.end].any() for part in coded)
    return kind == "BMP" and _stops_in_a_row(data)


def _stops_in_a_row(data: Pixels) -> bool:
    """Nothing from the middle of a row on: black bars of a film begin with a row."""
    if len(data) < 54 or struct.unpack_from("<I", data.data, 14)[0] < 40:
        return False
    start, width, bits, packed = (
        struct.unpack_from(form, data.data, at)[0] for form, at in (("<I", 10), ("<i", 18), ("<H", 28), ("<I", 30))
    )
    row = (width * bits + 31) // 32 * 4
    if packed or bits < 24 or row <= 0 or len(data) - start < 2 * _ROWS * row:
        return False
    if data[-_ROWS * row :].any():
        return False
    pixels = data[start:]
    last = len(pixels) - int(np.argmax(pixels[::-1] != 0)) if pixels.any() else 0
    inside = last % row
    return bool(row // 16 < inside < row - row // 16 and last > row and pixels[last - row : last].any())
