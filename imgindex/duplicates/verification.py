"""Do two pictures show the same picture? A proof for a pair, from what `local_features` keeps of each.

The two are aligned by their keypoints, mirrored or not, and then what overlaps is compared tile by tile. Maps are
3 x 3, from the one picture's coordinates to the other's; unless said otherwise each 0 to 1 across and down.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import cv2
import numpy as np

from imgindex.decoding.local_features import Described, parse
from imgindex.duplicates.alignment import LEAST, align
from imgindex.types import Array

Kind = Literal["copy", "alike"]

_ZOOM = 50  # the areas of two pictures differ by less
_TILE = 12  # pixels of the small picture
_LINES = 3  # of tiles across and down at least; fewer prove nothing
_SEEN = 25  # variance of grey values from which a tile shows something
_LIGHT = 20  # grey values from which two plain tiles differ
_ROUNDS = 3  # corrections of a map


@dataclass(frozen=True)
class Proof:
    """Why two pictures are a copy of each other, or of the same scene."""

    kind: Kind
    score: float  # 0 to 1: how much of what is to be seen in the overlap agrees
    inliers: int  # keypoints that agree on the transform
    transform: tuple[float, ...]  # 3 x 3 by rows: a's coordinates to b's, each 0 to 1 across and down
    mirrored: bool
    overlap: float  # share of the smaller picture


@dataclass(frozen=True, eq=False)
class _Overlap:
    """Where one picture lies over the other, by tiles; arrays are (rows, columns) of tiles."""

    inside: Array  # bool: in both pictures
    ncc: Array  # normalised correlation
    shift: Array  # (2, rows, columns) pixels that are left between the two
    least: Array  # variance of the grey values, of the plainer and of the busier of the two
    most: Array
    light: Array  # (2, rows, columns) mean grey value in either
    share: float  # of the smaller picture that is covered


def prove(a: bytes | Described, b: bytes | Described) -> Proof | None:
    """Whether b shows the same picture as a; None when nothing says so. prove(b, a) decides the same."""
    a = parse(a) if isinstance(a, bytes) else a
    b = parse(b) if isinstance(b, bytes) else b
    if a.blob > b.blob:
        proof = _prove(b, a)
        return proof and replace(proof, transform=_flat(np.linalg.inv(np.reshape(proof.transform, (3, 3)))))
    return _prove(a, b)


def _prove(a: Described, b: Described) -> Proof | None:
    strip = min(*a.small.shape, *b.small.shape) < _LINES * _TILE
    found = None if strip else align(a, b)
    if found is None:
        return None
    map_, mirrored, inliers = found
    area = abs(np.linalg.det(map_)) * b.small.size / a.small.size
    if not 1 / _ZOOM < area < _ZOOM:
        return None
    rounds = _lay(b.small, a.small, np.linalg.inv(map_)) if area > 1 else _lay(a.small, b.small, map_)
    for map_, over in rounds:  # most copies are seen to be copies before the map is exact
        kind, score = _judge(map_, over, inliers)
        if kind == "copy":
            break
    if kind is None:
        return None
    return Proof(kind, score, inliers, _flat(np.linalg.inv(map_) if area > 1 else map_), mirrored, over.share)


def _flat(map_: Array) -> tuple[float, ...]:
    return tuple(float(value) for value in (map_ / map_[2, 2]).ravel())


def _judge(map_: Array, over: _Overlap, inliers: int) -> tuple[Kind | None, float]:
    """What the overlap says, and the share of tiles that are the same. The limits were measured on photos and edits."""
    off = np.hypot(*over.shift)
    both = over.inside & (over.least > _SEEN)
    near = both & (over.ncc > 0.7)
    same = both & (over.ncc > 0.9) & (off < 0.5)
    if both.sum() < 8:
        return None, 0.0
    seen = over.inside & ((over.most > _SEEN) | _unlike(over.light, same))
    agree, exact = float(near.sum() / seen.sum()), float(same.sum() / both.sum())
    # Another shot of the same things shows, mostly, something that the first does not, has other edges, and bends a
    # little. Blur and noise shift tiles, too, but those correlate less then.
    left = float(np.median(off[near])) if near.any() else np.inf
    if _same_edges(map_):
        least, most, limit = 0.62, 0.12, 0.4
    elif over.share > 0.9:
        least, most, limit = 0.62, 0.12, 0.12 + 3 * (1 - float(np.median(over.ncc[both])))
    else:
        least, most, limit = 0.7, 0.07, 0.12
    fits = exact >= least and left <= limit and _drift(near & (off < 2), over.shift) <= most
    if inliers >= LEAST and agree >= 0.45 and fits and _spread(same, seen, over.inside):
        return "copy", exact
    if inliers >= 12 and agree >= 0.4 and _spread(near, seen, over.inside):
        return "alike", exact
    return None, exact


def _unlike(light: Array, same: Array) -> Array:
    """(rows, columns) bool: where light and tint, as they are where the two are the same, do not explain the grey."""
    if not same.any():
        return np.zeros_like(same)
    x, y = light - light[:, same].mean(axis=1)[:, None, None]
    slope = (x * y)[same].sum() / max(1.0, float((x * x)[same].sum()))
    return np.asarray(np.abs(y - slope * x) > _LIGHT)


def _same_edges(map_: Array) -> bool:
    """Whether the corners of the one picture lie on the corners of the other."""
    corners = np.array([[0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]]) @ map_.T
    corners = corners[:, :2] / corners[:, 2:]
    return bool(np.abs(corners - corners.round().clip(0, 1)).max() < 0.015)


def _spread(tiles: Array, seen: Array, inside: Array) -> bool:
    """Whether `tiles` are more of the overlap than a band, a corner, or a frame around different pictures."""
    rows, columns = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
    for axis, lines in ((1, rows), (0, columns)):
        if np.count_nonzero(tiles.any(axis=axis)) < max(_LINES, 0.4 * len(lines)):
            return False
    inner = np.ix_(_middle(rows), _middle(columns))
    return bool(np.count_nonzero(tiles[inner]) >= 0.25 * np.count_nonzero(seen[inner]))


def _middle(lines: Array) -> Array:
    quarter = (lines[-1] - lines[0] + 1) // 4
    return np.arange(lines[0] + quarter, lines[-1] + 1 - quarter)


def _drift(tiles: Array, shift: Array) -> float:
    """Pixels by which neighbouring tiles are shifted alike: parallax and lenses do that, errors do not."""
    kept = np.where(tiles, shift, np.nan)
    pairs = ((kept[:, 1:], kept[:, :-1]), (kept[:, :, 1:], kept[:, :, :-1]))
    products = np.concatenate([(one * other).sum(axis=0).ravel() for one, other in pairs])
    products = products[~np.isnan(products)]
    return float(max(0.0, np.median(products)) ** 0.5) if len(products) else np.inf


def _lay(fine: Array, coarse: Array, map_: Array) -> Iterator[tuple[Array, _Overlap]]:
    """Lay fine over coarse, which does not enlarge it, and correct the map by what shifts are left, again and again."""
    start, end = _pixels(fine), _pixels(coarse)
    map_ = end @ map_ @ np.linalg.inv(start)
    area = abs(np.linalg.det(map_))
    larger = max(1.0, coarse.size / (fine.size * area))
    sigma = 0.6 * (1 / area - 1) ** 0.5 if area < 1 else 0
    fine = cv2.GaussianBlur(fine, (0, 0), sigma) if sigma > 0.3 else fine
    coarse = cv2.GaussianBlur(coarse, (0, 0), 0.8)
    even = _even(coarse)
    for _ in range(_ROUNDS + 1):
        over = _compare(fine, coarse, even, map_)
        yield np.linalg.inv(end) @ map_ @ start, replace(over, share=min(1.0, over.share * larger))
        step = _correction(over)
        if step is None or np.abs(step - np.eye(3))[:2].max(axis=0) @ (*coarse.shape[::-1], 1) < 0.05:
            return
        map_ = step @ map_


def _pixels(picture: Array) -> Array:
    """The map from 0 to 1 across and down to pixels, whose centres are whole numbers."""
    h, w = picture.shape
    return np.array([[w, 0, -0.5], [0, h, -0.5], [0, 0, 1]])


def _compare(fine: Array, coarse: Array, even: Array, map_: Array) -> _Overlap:
    """Lay fine over coarse. The shifts are those of Lucas and Kanade, one step for each tile."""
    h, w = coarse.shape
    x = cv2.warpPerspective(fine, map_, (w, h), flags=cv2.INTER_LINEAR, borderValue=-1000)
    valid = x > -0.5
    x, y = cv2.GaussianBlur(np.maximum(x, 0), (0, 0), 0.8), coarse
    ex, ey = _even(x), even
    gx, gy = (cv2.Sobel(ex + ey, cv2.CV_32F, *axis, scale=1 / 16) for axis in ((1, 0), (0, 1)))
    e = ex - ey
    xx, yy, xy, xe, ye = (_tiles(v) for v in (gx * gx, gy * gy, gx * gy, gx * e, gy * e))
    xx, yy = xx + 0.002, yy + 0.002
    shift = np.stack([yy * xe - xy * ye, xx * ye - xy * xe]) / (xx * yy - xy * xy)
    mx, my = _tiles(x), _tiles(y)
    vx, vy = _tiles(x * x) - mx * mx, _tiles(y * y) - my * my
    ncc = (_tiles(x * y) - mx * my) / np.sqrt(np.maximum(vx, 1) * np.maximum(vy, 1))
    inside = _tiles(cv2.erode(255 * valid.astype(np.uint8), np.ones((5, 5)))) > 0.6 * 255
    return _Overlap(inside, ncc, shift, np.minimum(vx, vy), np.maximum(vx, vy), np.stack([mx, my]), float(valid.mean()))


def _even(grey: Array) -> Array:
    """Grey values less their surroundings' mean, by their surroundings' contrast: light and tint do not count."""
    mean = cv2.blur(grey, (15, 15))
    variance = cv2.blur(grey * grey, (15, 15)) - mean * mean
    return np.asarray((grey - mean) / (np.sqrt(np.maximum(variance, 0)) + 3))


def _tiles(values: Array) -> Array:
    """Mean by tile."""
    h, w = (side // _TILE for side in values.shape)
    return np.asarray(cv2.resize(values[: h * _TILE, : w * _TILE], (w, h), interpolation=cv2.INTER_AREA))


def _correction(over: _Overlap) -> Array | None:
    """The small projective map, in pixels, that the tiles' shifts ask for."""
    good = over.inside & (over.ncc > 0.4) & (np.hypot(*over.shift) < 3) & (over.least > 9)
    if good.sum() < 8:
        return None
    size = _TILE * max(good.shape)
    y, x = (_TILE * (axis + 0.5) / size for axis in np.nonzero(good))
    right = over.shift[:, good].ravel() / size
    o, i = np.zeros_like(x), np.ones_like(x)
    left = np.hstack([[x, y, i, o, o, o, x * x, x * y], [o, o, o, x, y, i, x * y, y * y]])
    weight = np.ones(len(right))
    for _ in range(3):
        k = np.linalg.solve((left * weight) @ left.T + np.diag([1e-6] * 6 + [1e-2] * 2), left @ (weight * right))
        miss = size * np.hypot(*(k @ left - right).reshape(2, -1))
        weight = np.tile(1 / (1 + (miss / 0.5) ** 2), 2)
    scale = np.diag([size, size, 1])
    step: Any = np.eye(3) + np.array([[k[0], k[1], k[2]], [k[3], k[4], k[5]], [-k[6], -k[7], 0]])
    return np.asarray(scale @ step @ np.linalg.inv(scale))
