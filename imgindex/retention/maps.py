"""Maps between two pictures: 3 x 3 by rows, from one's coordinates to the other's, each 0 to 1 across and down.

Plain numbers: thousands of small maps are laid for one answer, and an array of nine takes ten times as long.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

Map = tuple[float, ...]  # 9 numbers

ITSELF: Map = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
_CORNERS = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
_FLAT = 1e-9  # a map that brings a picture to a line, or its middle beyond the horizon


@dataclass(frozen=True)
class Lay:
    """How one picture lies over another."""

    map: Map
    back: Map
    inside: float  # share of the first that is within the edges of the other; 0 where that reaches the horizon
    inside_back: float


@lru_cache(4096)
def lay(transform: Map) -> Lay:
    """By these numbers; where they are no map, as if the two lay on each other."""
    map_ = tuple(map(float, transform)) if is_map(transform) else ITSELF
    back = inverse(map_)
    return Lay(map_, back, within(map_), within(back))


def is_map(transform: Sequence[float]) -> bool:
    """Whether these numbers bring one picture to another."""
    if len(transform) != len(ITSELF) or not all(map(math.isfinite, transform)):
        return False
    return abs(determinant(transform)) > _FLAT and sum(transform[6:8]) / 2 + transform[8] > _FLAT


def within(map_: Sequence[float]) -> float:
    """The share of a picture that a map brings into the other; 0 where that reaches the horizon."""
    import cv2
    import numpy as np

    a, b, c, d, e, f, g, h, i = inverse(map_)
    other = []
    for x, y in _CORNERS:
        w = g * x + h * y + i
        if w <= _FLAT:
            return 0.0
        other.append(((a * x + b * y + c) / w, (d * x + e * y + f) / w))
    return float(cv2.intersectConvexConvex(np.array(_CORNERS, np.float32), np.array(other, np.float32))[0])


def around_middle(map_: Map) -> tuple[float, float, float, float]:
    """2 x 2 by rows: by what a map turns and stretches the middle of a picture."""
    a, b, c, d, e, f, g, h, i = map_
    w = g / 2 + h / 2 + i
    x, y = (a / 2 + b / 2 + c) / w, (d / 2 + e / 2 + f) / w
    return (a - x * g) / w, (b - x * h) / w, (d - y * g) / w, (e - y * h) / w


def inverse(map_: Sequence[float]) -> Map:
    """The map back."""
    a, b, c, d, e, f, g, h, i = map_
    rows = (
        (e * i - f * h, c * h - b * i, b * f - c * e),
        (f * g - d * i, a * i - c * g, c * d - a * f),
        (d * h - e * g, b * g - a * h, a * e - b * d),
    )
    area = determinant(map_)
    return tuple(value / area for row in rows for value in row)


def determinant(map_: Sequence[float]) -> float:
    """Of the 3 x 3 numbers."""
    a, b, c, d, e, f, g, h, i = map_
    return float(a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g))
