"""Lay one picture over another of which a map is known roughly, and correct the map to a fraction of a pixel.

Maps are 3 x 3, from the one picture's coordinates to the other's, each 0 to 1 across and down.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from imgindex.comparison.strips import reach

Array = npt.NDArray[Any]

# Pixels of the longer side, of a strip `reach`, of what is compared; 768 found no more edits, at twice the time.
FRAME = 512
_TILE = 16  # pixels
_ROUNDS = 5  # corrections of the map
_STILL = 0.04  # pixels at the corners; a smaller correction is the last
_LEAST = 10  # tiles that show something; fewer correct no map
_CORNERS = np.array([[0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]], np.float64)


@dataclass(frozen=True, eq=False)
class Overlay:
    """Two pictures in one frame, cut to what of them overlaps, in the detail of the coarser one."""

    x: Array  # (h, w, 3) uint8, the one
    fine: Array  # (h, w) uint8, the one in grey, moved so that little of its detail is lost
    y: Array  # (h, w, 3) uint8, the other
    inside: Array  # (h, w) bool, where both are
    map_: Array  # 3 x 3, the one's coordinates to the other's, corrected
    onto_x: Array  # 3 x 3, the frame's coordinates to the one's
    onto_y: Array
    shrunk: tuple[float, float]  # by how much the one and the other were shrunk for the frame, per side
    loose: float  # pixels by which neighbouring tiles are still shifted alike


def corners(map_: Array) -> Array:
    """(4, 2) where the corners of the one picture lie in the other."""
    moved = _CORNERS @ map_.T
    return np.asarray(moved[:, :2] / moved[:, 2:])


def growth(map_: Array) -> float:
    """By how much the map enlarges an area in the middle of what overlaps; the inverse map has the inverse."""
    low, high = _bounds(np.linalg.inv(map_))
    x, y = (low + high) / 2
    w = map_[2] @ (x, y, 1)
    return float(abs(np.linalg.det(map_)) / abs(w) ** 3)


def lay(a: Array, b: Array, map_: Array) -> Overlay | None:
    """Lay a over b, (H, W, 3) uint8, where the map does not enlarge a. None when next to nothing overlaps."""
    cut_a, part_a = _cut(a, *_bounds(np.linalg.inv(map_)))
    cut_b, part_b = _cut(b, *_bounds(map_))
    if min(*part_a.shape[:2], *part_b.shape[:2]) < 8:
        return None
    y, shrunk_b = _shrunk(part_b, np.ones(2) * min(1.0, FRAME / reach(*part_b.shape[:2])))
    map_ = cut_b @ map_ @ np.linalg.inv(cut_a)
    x, shrunk_a = _shrunk(part_a, _scales(map_, part_a.shape, y.shape))
    start, end = pixels(x), pixels(y)
    map_, loose = _correct(_grey(x), _grey(y), end @ map_ @ np.linalg.inv(start))
    size = y.shape[1], y.shape[0]
    laid = cv2.warpPerspective(x, map_, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    grey = cv2.cvtColor(x, cv2.COLOR_BGR2GRAY)
    fine = cv2.warpPerspective(grey, map_, size, flags=cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REPLICATE)
    inside = cv2.warpPerspective(np.full(x.shape[:2], 255, np.uint8), map_, size, flags=cv2.INTER_LINEAR)
    inside = cv2.erode(inside, np.ones((5, 5)), borderType=cv2.BORDER_CONSTANT, borderValue=0) > 250
    map_ = np.linalg.inv(end) @ map_ @ start
    onto_y = np.linalg.inv(cut_b)
    onto_x = np.linalg.inv(cut_a) @ np.linalg.inv(map_)
    return Overlay(laid, fine, y, inside, onto_y @ map_ @ cut_a, onto_x, onto_y, (shrunk_a, shrunk_b), loose)


def pixels(picture: Array) -> Array:
    """The map from 0 to 1 across and down to pixels, whose centres are whole numbers."""
    h, w = picture.shape[:2]
    return np.array([[w, 0, -0.5], [0, h, -0.5], [0, 0, 1.0]])


def _grey(picture: Array) -> Array:
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), np.float32)


def _bounds(map_: Array) -> tuple[Array, Array]:
    """The least and the greatest x and y of the box, within 0 to 1, that holds what the map leads there."""
    found = corners(map_)
    return found.min(axis=0).clip(0, 1), found.max(axis=0).clip(0, 1)


def _cut(picture: Array, low: Array, high: Array) -> tuple[Array, Array]:
    """The map to the coordinates of the part between, by whole pixels, and the part."""
    size = np.array(picture.shape[1::-1])
    start, end = np.floor(low * size).astype(int), np.ceil(high * size).astype(int)
    part = picture[start[1] : end[1], start[0] : end[0]]
    scale, move = size / np.maximum(end - start, 1), -start / np.maximum(end - start, 1)
    return np.array([[scale[0], 0, move[0]], [0, scale[1], move[1]], [0, 0, 1]]), part


def _scales(map_: Array, a: tuple[int, ...], b: tuple[int, ...]) -> Array:
    """(2,) by how much a may be shrunk across and down before it is moved over b."""
    middle = np.linalg.inv(map_) @ (0.5, 0.5, 1)
    x, y = middle[:2] / middle[2]
    at = map_ @ (x, y, 1)
    slope = (map_[:2, :2] - np.outer(at[:2] / at[2], map_[2, :2])) / at[2]
    slope = np.diag(b[1::-1]) @ slope @ np.diag(1 / np.array(a[1::-1]))
    return np.asarray(np.linalg.norm(slope, axis=0).clip(1e-3, 1))


def _shrunk(picture: Array, scales: Array) -> tuple[Array, float]:
    h, w = picture.shape[:2]
    if scales.min() > 0.98:
        return picture, 1.0
    size = max(8, round(w * scales[0])), max(8, round(h * scales[1]))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA), float((size[0] * size[1] / (w * h)) ** 0.5)


def _correct(x: Array, y: Array, map_: Array) -> tuple[Array, float]:
    """Correct the map, in pixels, by what shifts are left between tiles; and how much they still bend."""
    even = _even(y)
    loose = 0.0
    for _ in range(_ROUNDS):
        good, shift = _shifts(x, even, map_)
        if good.sum() < _LEAST:
            break
        loose = _bend(good, shift)
        step = _step(good, shift)
        map_ = step @ map_
        if np.abs(step - np.eye(3))[:2].max(axis=0) @ (*y.shape[::-1], 1) < _STILL:
            break
    return map_ / map_[2, 2], loose


def _even(grey: Array) -> Array:
    """Grey values less their surroundings' mean, by their surroundings' contrast: light and tint do not count."""
    grey = cv2.GaussianBlur(grey, (0, 0), 1)
    mean = cv2.blur(grey, (21, 21))
    variance = cv2.blur(grey * grey, (21, 21)) - mean * mean
    return np.asarray((grey - mean) / (cv2.sqrt(np.maximum(variance, 0)) + 4))


def _shifts(x: Array, even: Array, map_: Array) -> tuple[Array, Array]:
    """(rows, columns) bool of tiles that correlate, and (2, rows, columns) pixels, by one step of Lucas and Kanade."""
    size = even.shape[1], even.shape[0]
    laid = cv2.warpPerspective(x, map_, size, flags=cv2.INTER_LINEAR, borderValue=-1000)
    inside = _tiles((laid > -0.5).astype(np.float32)) > 0.99
    ex = _even(np.maximum(laid, 0))
    both, e = ex + even, ex - even
    gx, gy = (cv2.Sobel(both, cv2.CV_32F, *axis, scale=1 / 16) for axis in ((1, 0), (0, 1)))
    xx, yy, xy, xe, ye = (_tiles(v) for v in (gx * gx, gy * gy, gx * gy, gx * e, gy * e))
    xx, yy = xx + 0.001, yy + 0.001
    shift = np.stack([yy * xe - xy * ye, xx * ye - xy * xe]) / (xx * yy - xy * xy)
    ncc = _tiles(ex * even) / np.sqrt(np.maximum(_tiles(ex * ex) * _tiles(even * even), 1e-3))
    good = inside & (ncc > 0.4) & (np.hypot(*shift) < 3) & (np.minimum(xx, yy) > 0.004)
    return good, shift


def _tiles(values: Array) -> Array:
    h, w = (side // _TILE for side in values.shape)
    if not h * w:
        return np.zeros((h, w), np.float32)
    return np.asarray(cv2.resize(values[: h * _TILE, : w * _TILE], (w, h), interpolation=cv2.INTER_AREA))


def _step(good: Array, shift: Array) -> Array:
    """The small projective map, in pixels, that the tiles' shifts ask for."""
    size = _TILE * max(good.shape)
    y, x = (_TILE * (axis + 0.5) / size for axis in np.nonzero(good))
    right = shift[:, good].ravel() / size
    o, i = np.zeros_like(x), np.ones_like(x)
    left = np.hstack([[x, y, i, o, o, o, x * x, x * y], [o, o, o, x, y, i, x * y, y * y]])
    weight = np.ones(len(right))
    for _ in range(4):
        k = np.linalg.solve((left * weight) @ left.T + np.diag([1e-6] * 6 + [1e-3] * 2), left @ (weight * right))
        miss = size * np.hypot(*(k @ left - right).reshape(2, -1))
        weight = np.tile(1 / (1 + (miss / 0.3) ** 2), 2)
    scale = np.diag([size, size, 1])
    step = np.eye(3) + np.array([[k[0], k[1], k[2]], [k[3], k[4], k[5]], [-k[6], -k[7], 0]])
    return np.asarray(scale @ step @ np.linalg.inv(scale))


def _bend(good: Array, shift: Array) -> float:
    """Pixels by which neighbouring tiles are shifted alike: parallax and lenses do that, errors do not."""
    kept = np.where(good, shift, np.nan)
    pairs = ((kept[:, 1:], kept[:, :-1]), (kept[:, :, 1:], kept[:, :, :-1]))
    products = np.concatenate([(one * other).sum(axis=0).ravel() for one, other in pairs])
    products = products[~np.isnan(products)]
    return float(max(0.0, np.median(products)) ** 0.5) if len(products) else 0.0
