"""Do two pictures show the same picture? A proof for a pair, from what `local_features` keeps of each.

The two are aligned by their keypoints, mirrored or not, and then what overlaps is compared tile by tile. Maps are
3 x 3, from the one picture's coordinates to the other's; unless said otherwise each 0 to 1 across and down.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from imgindex.decoding.local_features import Described, parse
from imgindex.duplicates.alignment import LEAST, align
from imgindex.duplicates.overlap import LEAST_TILES, TILE, Overlap, lay
from imgindex.types import Array

Kind = Literal["copy", "alike"]

# What each loses and lets in when it is moved by a fifth: tests/benchmarks/limits.py prints it.
# First what can be compared at all:
_ZOOM = 50  # the areas of two pictures differ by less; of 192 x 144 pixels a fiftieth is 27 x 20, two tiles across
_LINES = 3  # of tiles across and down at least; fewer prove nothing
_SEEN = 25  # variance of grey values from which a tile shows something
_LIGHT = 20  # grey values that light and tint do not explain, from which two plain tiles differ
# Tiles that say so:
_NEAR = 0.7  # correlation of tiles of the same things
_SAME = 0.9  # of the same picture
_STAYS = 0.5  # pixels by which such a tile may be shifted still
# An edit ("copy") shows the same picture; another shot ("alike") mostly something new, and bends what it shows.
_EXACT = 0.62  # of tiles that show something in both are the same
_DRIFT = 0.12  # pixels by which neighbouring tiles are shifted alike, as parallax and lenses do it
_AGREE = 0.45  # of tiles that show something in either are near; the rest may be hidden, as by a caption
_OFF = 0.4  # pixels by which near tiles are shifted (median), where the edges of the two are the same
_OFF_INSIDE = 0.12  # where one picture lies inside the other: its map is exact, but
_OFF_BLUR = 3.0  # so many pixels more for each 1 by which correlation (median) falls short: blur and noise shift, too
_EXACT_CUT, _DRIFT_CUT = 0.7, 0.07  # where either shows what the other does not, as another shot does
_COVERED = 0.9  # of the smaller picture in the overlap: then nothing of it was cut away
_EDGES = 0.015  # of a side: so near corners lie to corners of a picture that was not cut; 3 pixels of 192
_OUTLIER = 2.0  # pixels; a tile shifted farther is a mistake, and tells nothing of drift
# "alike" is shown, never cleaned, so less will do for its tiles, but more keypoints must agree:
_ALIKE_INLIERS, _ALIKE_AGREE = 12, 0.4
# What agrees must not be a logo, a banner, or a frame around different pictures:
_ACROSS = 0.4  # of the overlap's rows and of its columns hold a tile that agrees
_MIDDLE = 0.25  # of tiles that show something in its middle half agree


@dataclass(frozen=True)
class Proof:
    """Why two pictures are a copy of each other, or of the same scene."""

    kind: Kind
    score: float  # 0 to 1: how much of what is to be seen in the overlap agrees
    inliers: int  # keypoints that agree on the transform
    transform: tuple[float, ...]  # 3 x 3 by rows: a's coordinates to b's, each 0 to 1 across and down
    mirrored: bool
    overlap: float  # share of the smaller picture


def prove(a: bytes | Described, b: bytes | Described) -> Proof | None:
    """Whether b shows the same picture as a; None when nothing says so. prove(b, a) decides the same."""
    a = parse(a) if isinstance(a, bytes) else a
    b = parse(b) if isinstance(b, bytes) else b
    if a.blob > b.blob:
        proof = _prove(b, a)
        return proof and replace(proof, transform=_flat(np.linalg.inv(np.reshape(proof.transform, (3, 3)))))
    return _prove(a, b)


def _prove(a: Described, b: Described) -> Proof | None:
    strip = min(*a.small.shape, *b.small.shape) < _LINES * TILE
    found = None if strip else align(a, b)
    if found is None:
        return None
    map_, mirrored, inliers = found
    area = abs(np.linalg.det(map_)) * b.small.size / a.small.size
    if not 1 / _ZOOM < area < _ZOOM:
        return None
    rounds = lay(b.small, a.small, np.linalg.inv(map_)) if area > 1 else lay(a.small, b.small, map_)
    for map_, over in rounds:  # most copies are seen to be copies before the map is exact
        kind, score = _judge(map_, over, inliers)
        if kind == "copy":
            break
    if kind is None:
        return None
    return Proof(kind, score, inliers, _flat(np.linalg.inv(map_) if area > 1 else map_), mirrored, over.share)


def _flat(map_: Array) -> tuple[float, ...]:
    return tuple(float(value) for value in (map_ / map_[2, 2]).ravel())


def _judge(map_: Array, over: Overlap, inliers: int) -> tuple[Kind | None, float]:
    """What the overlap says, and the share of tiles that are the same."""
    off = np.hypot(*over.shift)
    both = over.inside & (over.least > _SEEN)
    near = both & (over.ncc > _NEAR)
    same = both & (over.ncc > _SAME) & (off < _STAYS)
    if both.sum() < LEAST_TILES:
        return None, 0.0
    seen = over.inside & ((over.most > _SEEN) | _unlike(over.light, same))
    agree, exact = float(near.sum() / seen.sum()), float(same.sum() / both.sum())
    # Another shot of the same things shows, mostly, something that the first does not, has other edges, and bends a
    # little. Blur and noise shift tiles, too, but those correlate less then.
    left = float(np.median(off[near])) if near.any() else np.inf
    if _same_edges(map_):
        least, most, limit = _EXACT, _DRIFT, _OFF
    elif over.share > _COVERED:
        least, most = _EXACT, _DRIFT
        limit = _OFF_INSIDE + _OFF_BLUR * (1 - float(np.median(over.ncc[both])))
    else:
        least, most, limit = _EXACT_CUT, _DRIFT_CUT, _OFF_INSIDE
    fits = exact >= least and left <= limit and _drift(near & (off < _OUTLIER), over.shift) <= most
    if inliers >= LEAST and agree >= _AGREE and fits and _spread(same, seen, over.inside):
        return "copy", exact
    if inliers >= _ALIKE_INLIERS and agree >= _ALIKE_AGREE and _spread(near, seen, over.inside):
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
    return bool(np.abs(corners - corners.round().clip(0, 1)).max() < _EDGES)


def _spread(tiles: Array, seen: Array, inside: Array) -> bool:
    """Whether `tiles` are more of the overlap than a band, a corner, or a frame around different pictures."""
    rows, columns = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
    for axis, lines in ((1, rows), (0, columns)):
        if np.count_nonzero(tiles.any(axis=axis)) < max(_LINES, _ACROSS * len(lines)):
            return False
    inner = np.ix_(_middle(rows), _middle(columns))
    return bool(np.count_nonzero(tiles[inner]) >= _MIDDLE * np.count_nonzero(seen[inner]))


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
