"""Maps between two pictures: 3 x 3, from one's coordinates to the other's, each 0 to 1 across and down."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]

_CORNERS = np.array([[0.0, 1, 1, 0], [0, 0, 1, 1], [1, 1, 1, 1]])
_FLAT = 1e-9  # a map that brings a picture to a line, or its middle beyond the horizon


def is_map(transform: Sequence[float]) -> bool:
    """Whether these numbers bring one picture to another."""
    if len(transform) != 9 or not np.isfinite(transform).all():
        return False
    map_ = np.reshape(np.asarray(transform, np.float64), (3, 3))
    return bool(abs(np.linalg.det(map_)) > _FLAT and map_[2] @ (0.5, 0.5, 1) > _FLAT)


def usable(transform: Sequence[float]) -> Floats:
    """(3, 3); where it is no map, as if the two lay on each other."""
    return np.reshape(np.asarray(transform, np.float64), (3, 3)) if is_map(transform) else np.eye(3)


def within(map_: Floats) -> float:
    """The share of a picture that a map brings into the other; 0 where that reaches the horizon."""
    import cv2

    x, y, w = np.linalg.inv(map_) @ _CORNERS
    if min(w) <= _FLAT:
        return 0.0
    other = np.stack([x / w, y / w], 1).astype(np.float32)
    return float(cv2.intersectConvexConvex(_CORNERS[:2].T.astype(np.float32), other)[0])
