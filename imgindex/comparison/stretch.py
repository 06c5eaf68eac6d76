"""Whether one of two pictures that show the same was stretched out of the other, which adds pixels and no detail."""

import numpy as np

from imgindex.comparison import detail
from imgindex.comparison.reach import reach
from imgindex.types import Array

STRETCHED = 0.2  # log2 of one axis' growth over the other's: 15%, beyond what a lens or a tilt does


def stretched(a: Array, b: Array, map_: Array) -> int:
    """1: b was stretched out of a; -1: a out of b; 0: neither, or squeezed, which takes detail away.

    Both (H, W, 3) uint8; the map leads from a to b, each 0 to 1 across and down. A picture is as fine across as down,
    or nearly; what was stretched is coarser along that axis, by as much, than the other one is.
    """
    pixels = np.diag([b.shape[1], b.shape[0], 1.0]) @ map_ @ np.diag([1 / a.shape[1], 1 / a.shape[0], 1.0])
    x, y, w = pixels @ (a.shape[1] / 2, a.shape[0] / 2, 1)
    local = (pixels[:2, :2] - np.outer((x / w, y / w), pixels[2, :2])) / w
    growth = float(np.log2(np.hypot(*local[:, 0]) / max(1e-6, np.hypot(*local[:, 1]))))
    if abs(growth) < STRETCHED:
        return 0
    turned = abs(local[1, 0]) > abs(local[0, 0])  # a's rows are b's columns
    own, theirs = (_across_over_down(picture) for picture in (a, b))
    if (own - (-theirs if turned else theirs)) / growth < 0.5:
        return 0
    return 1 if abs(np.linalg.det(local)) > 1 else -1


def _across_over_down(picture: Array) -> float:
    """log2 of how much of its pixels shows something, across over down."""
    across, down = reach(picture, detail.noise(picture[..., 1]))
    return float(np.log2(across / down))
