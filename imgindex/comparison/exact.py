"""Two lossless files of one size, pixel by pixel: there compression made nothing, and what differs somebody changed.

So no digit on a badge is too small. What a whole picture went through, as a filter or a compression before it was
saved anew, changes most pixels, and is left to `second_look`.
"""

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from imgindex.comparison.overlay import corners
from imgindex.comparison.second_look import Box, Relation
from imgindex.comparison.strips import squares

Array = npt.NDArray[Any]

_EQUAL = 2  # grey values that the rounding of a colour profile or of 16 bits makes; saving anew losslessly makes 0
_UNTOUCHED = 0.5  # share of pixels that are the same to the bit, where only a place was changed
_MUCH = 0.1  # share of pixels; a mark in one colour of its own is smaller, and what is larger the second look sees
_MOVED = 2  # pixels, or
_SLIPPED = 0.02  # of a side, by which a map may miss the identity, as those of small pictures do
_JOINED = np.ones((5, 5), np.uint8)  # pixels so near each other are one place
_BOXES = 12


def compare(a: Array, b: Array, seen: Relation) -> Relation:
    """What was seen, or "edited" for two versions that differ; (H, W, 3) uint8 both, in full."""
    if seen.kind != "version" or a.shape != b.shape or not _lies_still(seen.transform, a.shape):
        return seen
    change = cv2.absdiff(a, b).max(axis=2)
    odd = (change > _EQUAL).astype(np.uint8)
    if not odd.any() or np.count_nonzero(change) > (1 - _UNTOUCHED) * change.size:
        return seen
    if _is_recoloured(a, b, change > 0):
        return seen
    h, w = odd.shape
    found = cv2.connectedComponentsWithStats(cv2.dilate(odd, _JOINED), connectivity=8)[2][1:]
    found = found[np.argsort(-found[:, 4], kind="stable")]
    where = tuple(Box(x / w, y / h, wide / w, high / h) for x, y, wide, high, _ in found[:_BOXES].tolist())
    place = min(1.0, float(found[0, 4] / odd.size) * squares(h, w))
    most = max(seen.place_ab, place), max(seen.place_ba, place)
    return replace(seen, kind="edited", place_ab=most[0], place_ba=most[1], where=where)


def _is_recoloured(a: Array, b: Array, changed: Array) -> bool:
    """Whether a filter may have done it: much is changed, and no colour is in one place and left in another."""
    if np.count_nonzero(changed) < _MUCH * changed.size:
        return False
    return any(_all_changed(picture, changed) for picture in (a, b))


def _all_changed(picture: Array, changed: Array) -> bool:
    """Whether no colour of the changed pixels is left in others."""
    colours = picture.astype(np.uint32) @ np.array([1, 1 << 8, 1 << 16], np.uint32)
    return not np.isin(np.unique(colours[changed]), colours[~changed]).any()


def _lies_still(transform: tuple[float, ...], shape: tuple[int, ...]) -> bool:
    size = np.array([shape[1], shape[0]])
    missed = np.abs(corners(np.reshape(transform, (3, 3))) - corners(np.eye(3))) * size
    return bool((missed <= np.maximum(_MOVED, _SLIPPED * size)).all())
