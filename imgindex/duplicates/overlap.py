"""One picture laid over another: how alike the two are, tile by tile, and by how much a tile is shifted still.

The shifts are those of Lucas and Kanade (1981), one step a tile; they correct the map, which is laid again.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from imgindex.types import Array

# What each loses and lets in when it is moved by a fifth: tests/benchmarks/limits.py prints it.
TILE = 12  # pixels of the small picture, which has 16 x 12 tiles
_ROUNDS = 3  # corrections of a map at most
_STILL = 0.05  # pixels; a correction that moves no corner farther ends the rounds
_BLUR = 0.8  # pixels (sigma), of both, so that noise makes no edges
_SHRINK = 0.6  # pixels (sigma) of a picture halved in area, so that no edge aliases
_SHARP = 0.3  # pixels (sigma) below which such a blur is left out
_AROUND = 15  # pixels across of the surroundings by which grey values are evened: a tile and its rim
_QUIET = 3.0  # grey values added to their contrast, so that noise in a plain wall is not blown up to edges
_GROUND = 0.002  # added to both squared gradients: a tile with an edge in one direction only stays solvable
_INSIDE = 0.6  # of a tile's pixels in both pictures, the rim of 2 left out; less and the border is compared
_RIM = 5  # pixels across of what is eroded from the edge of the picture laid over
# Tiles that may correct the map: they need not be the same yet, but must not be of other things.
_FITS_NCC = 0.4  # correlation
_FITS_SHIFT = 3.0  # pixels; farther than Lucas and Kanade's one step can see from _BLUR
_FITS_SEEN = 9  # variance of grey values; a verdict asks for more, a map is made from many weak tiles
LEAST_TILES = 8  # for the 8 numbers of a projective map, which 4 give, doubled; for a verdict, too
_REWEIGHTED = 3  # rounds of least squares, each with what missed counting less
_MISS = 0.5  # pixels by which a tile misses when it counts half (Cauchy's weights)
_RIDGE = (1e-6, 1e-2)  # on the affine part (only against no solution) and on perspective, which few tiles overdo


@dataclass(frozen=True, eq=False)
class Overlap:
    """Where one picture lies over the other, by tiles; arrays are (rows, columns) of tiles."""

    inside: Array  # bool: in both pictures
    ncc: Array  # normalised correlation
    shift: Array  # (2, rows, columns) pixels that are left between the two
    least: Array  # variance of the grey values, of the plainer and of the busier of the two
    most: Array
    light: Array  # (2, rows, columns) mean grey value in either
    share: float  # of the smaller picture that is covered


def lay(fine: Array, coarse: Array, map_: Array) -> Iterator[tuple[Array, Overlap]]:
    """Lay fine over coarse, which does not enlarge it, and correct the map by what shifts are left, again and again."""
    start, end = _pixels(fine), _pixels(coarse)
    map_ = end @ map_ @ np.linalg.inv(start)
    area = abs(np.linalg.det(map_))
    larger = max(1.0, coarse.size / (fine.size * area))
    sigma = _SHRINK * (1 / area - 1) ** 0.5 if area < 1 else 0
    fine = cv2.GaussianBlur(fine, (0, 0), sigma) if sigma > _SHARP else fine
    coarse = cv2.GaussianBlur(coarse, (0, 0), _BLUR)
    even = _even(coarse)
    for _ in range(_ROUNDS + 1):
        over = _compare(fine, coarse, even, map_)
        yield np.linalg.inv(end) @ map_ @ start, replace(over, share=min(1.0, over.share * larger))
        step = _correction(over)
        if step is None or np.abs(step - np.eye(3))[:2].max(axis=0) @ (*coarse.shape[::-1], 1) < _STILL:
            return
        map_ = step @ map_


def _pixels(picture: Array) -> Array:
    """The map from 0 to 1 across and down to pixels, whose centres are whole numbers."""
    h, w = picture.shape
    return np.array([[w, 0, -0.5], [0, h, -0.5], [0, 0, 1]])


def _compare(fine: Array, coarse: Array, even: Array, map_: Array) -> Overlap:
    """Lay fine over coarse. The shifts are those of Lucas and Kanade, one step for each tile."""
    h, w = coarse.shape
    x = cv2.warpPerspective(fine, map_, (w, h), flags=cv2.INTER_LINEAR, borderValue=-1000)
    valid = x > -0.5
    x, y = cv2.GaussianBlur(np.maximum(x, 0), (0, 0), _BLUR), coarse
    ex, ey = _even(x), even
    gx, gy = (cv2.Sobel(ex + ey, cv2.CV_32F, *axis, scale=1 / 16) for axis in ((1, 0), (0, 1)))
    e = ex - ey
    xx, yy, xy, xe, ye = (_tiles(v) for v in (gx * gx, gy * gy, gx * gy, gx * e, gy * e))
    xx, yy = xx + _GROUND, yy + _GROUND
    shift = np.stack([yy * xe - xy * ye, xx * ye - xy * xe]) / (xx * yy - xy * xy)
    mx, my = _tiles(x), _tiles(y)
    vx, vy = _tiles(x * x) - mx * mx, _tiles(y * y) - my * my
    ncc = (_tiles(x * y) - mx * my) / np.sqrt(np.maximum(vx, 1) * np.maximum(vy, 1))
    inside = _tiles(cv2.erode(255 * valid.astype(np.uint8), np.ones((_RIM, _RIM)))) > _INSIDE * 255
    return Overlap(inside, ncc, shift, np.minimum(vx, vy), np.maximum(vx, vy), np.stack([mx, my]), float(valid.mean()))


def _even(grey: Array) -> Array:
    """Grey values less their surroundings' mean, by their surroundings' contrast: light and tint do not count."""
    mean = cv2.blur(grey, (_AROUND, _AROUND))
    variance = cv2.blur(grey * grey, (_AROUND, _AROUND)) - mean * mean
    return np.asarray((grey - mean) / (np.sqrt(np.maximum(variance, 0)) + _QUIET))


def _tiles(values: Array) -> Array:
    """Mean by tile."""
    h, w = (side // TILE for side in values.shape)
    return np.asarray(cv2.resize(values[: h * TILE, : w * TILE], (w, h), interpolation=cv2.INTER_AREA))


def _correction(over: Overlap) -> Array | None:
    """The small projective map, in pixels, that the tiles' shifts ask for."""
    good = over.inside & (over.ncc > _FITS_NCC) & (np.hypot(*over.shift) < _FITS_SHIFT) & (over.least > _FITS_SEEN)
    if good.sum() < LEAST_TILES:
        return None
    size = TILE * max(good.shape)
    y, x = (TILE * (axis + 0.5) / size for axis in np.nonzero(good))
    right = over.shift[:, good].ravel() / size
    o, i = np.zeros_like(x), np.ones_like(x)
    left = np.hstack([[x, y, i, o, o, o, x * x, x * y], [o, o, o, x, y, i, x * y, y * y]])
    weight = np.ones(len(right))
    ridge = np.diag([_RIDGE[0]] * 6 + [_RIDGE[1]] * 2)
    for _ in range(_REWEIGHTED):
        k = np.linalg.solve((left * weight) @ left.T + ridge, left @ (weight * right))
        miss = size * np.hypot(*(k @ left - right).reshape(2, -1))
        weight = np.tile(1 / (1 + (miss / _MISS) ** 2), 2)
    scale = np.diag([size, size, 1])
    step: Any = np.eye(3) + np.array([[k[0], k[1], k[2]], [k[3], k[4], k[5]], [-k[6], -k[7], 0]])
    return np.asarray(scale @ step @ np.linalg.inv(scale))
