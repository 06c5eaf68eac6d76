"""Stored pixels to shown ones: shrunk, in 8 bits. Arrays are (rows, columns) or (rows, columns, N)."""

from collections.abc import Callable

import cv2
import numpy as np

from imgindex.types import Array, Pixels

_HALVE_FROM = 8  # times as large as wanted: from there halving first is twice as fast, as it has a quick path
_SURE_WHITE = 99.5  # percentile that is white where nothing says what is, so that a few outliers do not darken the rest
_GAMMA = 2.2  # of a display, for values that are light
_LEAST, _MOST = 8, 14  # bits in the low ones of 16; a picture that uses 15 of them is a dark one of 16
_STRIP = 64  # rows that are looked at together: they stay in the processor's cache


def white_of(stored: Array) -> float:
    """The value of white in uint16 pixels of which nothing tells it: cameras and instruments use 10 to 14 bits of 16.

    A dark picture of 16 bits looks the same and is shown brighter, unless 8 bits are all that it has; else what
    cameras write would be black.
    """
    bits = max(_LEAST, int(stored.max()).bit_length())
    return 65535.0 if bits > _MOST or are_eight(stored) else 2.0**bits - 1


def are_eight(stored: Array) -> bool:
    """Whether uint16 pixels hold 8 bits only: above, with nothing below, or twice."""
    return everywhere(stored, _is_shifted) or everywhere(stored, _is_repeated)


def everywhere(stored: Array, so: Callable[[Array], bool]) -> bool:
    """Whether it is so of all pixels: the middle first, which tells of most, then strip by strip."""
    strips = (stored[row : row + _STRIP] for row in range(0, len(stored), _STRIP))
    middle = len(stored) // 2
    return so(stored[middle : middle + _STRIP]) and all(map(so, strips))


def _is_shifted(part: Array) -> bool:
    return not (part & 255).any()


def _is_repeated(part: Array) -> bool:
    return not ((part >> 8) ^ (part & 255)).any()


def resize(image: Array, width: int, height: int) -> Array:
    """Average over areas along an axis that shrinks, interpolate along one that grows."""
    if image.dtype not in (np.uint8, np.uint16):
        image = np.nan_to_num(image.astype(np.float32, copy=False), posinf=0, neginf=0)
    rows, columns = image.shape[:2]
    inner = (min(columns, width), min(rows, height))
    if columns >= _HALVE_FROM * width and rows >= _HALVE_FROM * height:
        image = image[: rows // 2 * 2, : columns // 2 * 2]  # the quick path needs even sides
        image = cv2.resize(image, (columns // 2, rows // 2), interpolation=cv2.INTER_AREA)
    if inner != (columns, rows):
        image = cv2.resize(image, inner, interpolation=cv2.INTER_AREA)
    if inner != (width, height):
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    return image[..., :3] if image.ndim == 3 else image


def eight_bit(image: Array, white: float, linear: bool) -> Pixels:
    """Values of any type to 8 bits; `white` and `linear` as a `Picture` has them."""
    if image.dtype == np.uint8:
        return np.ascontiguousarray(image)
    if image.dtype == np.uint16 and white and not linear:
        return np.asarray(cv2.convertScaleAbs(image, alpha=255 / white))  # a tenth of the time of what follows
    if not white:  # float or wide integers: 0 to 1, or else whatever range the picture uses
        image = image - min(0.0, float(image.min()))
        white = max(1.0, float(np.percentile(image, _SURE_WHITE))) if image.max() > 1 else 1.0
    scaled = np.clip(image / white, 0, 1)
    if linear:
        scaled = scaled ** (1 / _GAMMA)
    return np.rint(scaled * 255).astype(np.uint8)
