"""Do two pictures show the same picture? Compact local features of each, and a proof for a pair.

A picture is described once, in at most 16 KB: SIFT keypoints (Lowe, "Distinctive Image Features from
Scale-Invariant Keypoints", 2004) as RootSIFT (Arandjelovic and Zisserman, "Three Things Everyone Should Know to
Improve Object Retrieval", 2012) of 4 bits a number, and a small grey picture. A pair is aligned by its keypoints,
mirrored or not, and then what overlaps is compared tile by tile.
"""

import struct
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

LIMIT = 16_384  # bytes of a description
_AREA = 320 * 240  # pixels in which keypoints are looked for
_SMALL = 192 * 144  # pixels of the picture kept for comparing
_POINTS = 160  # keypoints kept
_RATIO = 0.9  # a match is clear when the next one is farther by this
_TILE = 12  # pixels of the small picture
_SEEN = 25  # variance of grey values from which a tile shows something
_MIRROR = [0, 7, 6, 5, 4, 3, 2, 1]  # SIFT's directions in a mirrored picture
_HEAD = struct.Struct("<BBHHHH")  # version, keypoints, size keypoints were found in, size of the small picture
_POINT = np.dtype([("x", "<u2"), ("y", "<u2"), ("scale", "u1"), ("angle", "u1"), ("bins", "u1", 64)])


@dataclass(frozen=True, eq=False)
class Described:
    """A description, parsed: parse one picture once, and prove it against many."""

    blob: bytes
    size: tuple[int, int]  # width, height that `points` are in
    points: Array  # (N, 2) float32
    scales: Array  # (N,) float32
    angles: Array  # (N,) float32, radians
    descriptors: Array  # (N, 128) float32, unit length
    small: Array  # (h, w) float32, grey


@dataclass(frozen=True)
class Proof:
    """Why two pictures are a copy of each other, or of the same scene."""

    kind: Literal["copy", "alike"]
    score: float  # 0 to 1: how much of what is to be seen in the overlap agrees
    inliers: int  # keypoints that agree on the transform
    transform: tuple[float, ...]  # 3 x 3 by rows: a's coordinates to b's, each 0 to 1 across and down
    mirrored: bool
    overlap: float  # share of the smaller picture


def describe(image: npt.NDArray[np.uint8]) -> bytes:
    """(H, W, 3) uint8 RGB, upright, of any size, to at most LIMIT bytes."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    work = _scaled(grey, _AREA)
    small = _scaled(grey, _SMALL)
    kept = np.empty(0, _POINT)
    if min(grey.shape) >= 48 and not _is_noise(grey, small):
        points, bins = _sift().detectAndCompute(work, None)
        if points:
            kept = _choose(points, bins, work.shape)
    head = _HEAD.pack(1, len(kept), work.shape[1], work.shape[0], small.shape[1], small.shape[0])
    room = LIMIT - len(head) - kept.nbytes
    for quality in (85, 75, 65, 55, 45, 35, 25, 15, 5):
        jpeg = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
        if len(jpeg) <= room:
            break
    return head + kept.tobytes() + jpeg


def parse(blob: bytes) -> Described:
    """Read what `describe` wrote."""
    _, count, width, height, _, _ = _HEAD.unpack_from(blob)
    kept = np.frombuffer(blob, _POINT, count, _HEAD.size)
    jpeg = np.frombuffer(blob, np.uint8, offset=_HEAD.size + kept.nbytes)
    bins = np.stack([kept["bins"] >> 4, kept["bins"] & 15], axis=2).reshape(count, 128).astype(np.float32)
    bins /= np.maximum(np.linalg.norm(bins, axis=1, keepdims=True), 1e-6)
    points = np.stack([kept["x"], kept["y"]], axis=1).astype(np.float32) / 64
    scales = np.exp2(kept["scale"].astype(np.float32) / 32)
    angles = kept["angle"].astype(np.float32) * (2 * np.pi / 256)
    small: Any = cv2.imdecode(jpeg, cv2.IMREAD_GRAYSCALE)
    return Described(blob, (width, height), points, scales, angles, bins, small.astype(np.float32))


def _scaled(grey: Array, area: int) -> Array:
    factor = (area / grey.size) ** 0.5
    width, height = (int(np.clip(round(side * factor), 8, 1000)) for side in grey.shape[::-1])
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(grey, (width, height), interpolation=how))


def _is_noise(grey: Array, small: Array) -> bool:
    """Whether neighbouring pixels have nothing to do with each other, as in no photo."""
    values = (small if small.size < grey.size else grey).astype(np.float32)
    values -= values.mean()
    power = float((values**2).mean())
    return power < 1 or float((values[:, 1:] * values[:, :-1]).mean()) < 0.4 * power


@cache
def _sift() -> Any:
    return cv2.SIFT.create(nfeatures=500, contrastThreshold=0.02, enable_precise_upscale=True)


def _choose(points: Any, bins: Array, shape: tuple[int, ...]) -> Array:
    """The strongest keypoints, spread: each further one in a cell of an 8 x 8 grid counts less."""
    xy = np.array([point.pt for point in points], np.float32) + 0.5  # a pixel is a square, not a point
    strength = np.array([point.response for point in points])
    cells = (xy / (shape[1] / 8, shape[0] / 8)).astype(int).clip(0, 7) @ (1, 8)
    order = np.lexsort((-strength, cells))
    starts = np.searchsorted(cells[order], cells[order])
    strength[order] /= 1 + np.arange(len(order)) - starts
    best = np.argsort(-strength, kind="stable")[:_POINTS]
    root = np.sqrt(bins[best] / np.maximum(bins[best].sum(axis=1, keepdims=True), 1e-6))
    levels = np.clip(np.round(root * 40), 0, 15).astype(np.uint8)
    kept = np.empty(len(best), _POINT)
    kept["x"], kept["y"] = np.clip(np.round(xy[best] * 64), 0, 65535).T
    kept["scale"] = np.clip(np.round(32 * np.log2([points[i].size for i in best])), 0, 255)
    kept["angle"] = np.round(np.array([points[i].angle for i in best]) * (256 / 360)).astype(int) % 256
    kept["bins"] = levels[:, ::2] << 4 | levels[:, 1::2]
    return kept


@dataclass(frozen=True, eq=False)
class _Overlap:
    """Where one picture lies over the other, by tiles; arrays are (rows, columns) of tiles."""

    inside: Array  # bool: in both pictures
    ncc: Array  # normalised correlation
    shift: Array  # (..., 2) pixels that are left between the two
    least: Array  # variance of the grey values, of the plainer and of the busier of the two
    most: Array
    share: float  # of the coarse picture that is covered


def prove(a: bytes | Described, b: bytes | Described) -> Proof | None:
    """Whether b shows the same picture as a; None when nothing says so. prove(b, a) decides the same."""
    a = parse(a) if isinstance(a, bytes) else a
    b = parse(b) if isinstance(b, bytes) else b
    if a.blob > b.blob:
        proof = _prove(b, a)
        return proof and replace(proof, transform=_flat(np.linalg.inv(np.reshape(proof.transform, (3, 3)))))
    return _prove(a, b)


def _prove(a: Described, b: Described) -> Proof | None:
    found = _align(a, b)
    if found is None:
        return None
    affine, mirrored, inliers = found
    to_a, to_b = (np.diag([*np.divide(d.small.shape[::-1], d.size), 1]) for d in (a, b))
    map_ = to_b @ affine @ np.linalg.inv(to_a)
    laid = _lay(a.small, b.small, map_)
    if laid is None:
        return None
    map_, over = laid
    seen = over.inside & (over.most > _SEEN)
    both = over.inside & (over.least > _SEEN)
    near = both & (over.ncc > 0.7)
    same = both & (over.ncc > 0.9) & (np.hypot(*over.shift) < 0.5)
    if both.sum() < 8:
        return None
    agree, exact = float(near.sum() / seen.sum()), float(same.sum() / both.sum())
    # Another shot of the same things shows, mostly, something that the first does not, and bends a little.
    least, most = (0.62, 0.12) if over.share > 0.9 else (0.7, 0.07)
    kind: Literal["copy", "alike"]
    if (
        inliers >= 8
        and agree >= 0.45
        and exact >= least
        and _drift(near, over) <= most
        and _spread(same, seen, over.inside)
    ):
        kind = "copy"
    elif inliers >= 12 and agree >= 0.4 and _spread(near, seen, over.inside):
        kind = "alike"
    else:
        return None
    unit = np.diag([*b.small.shape[::-1], 1])
    unit = np.linalg.inv(unit) @ map_ @ np.diag([*a.small.shape[::-1], 1])
    return Proof(kind, exact, inliers, _flat(unit), mirrored, over.share)


def _flat(map_: Array) -> tuple[float, ...]:
    return tuple(float(value) for value in (map_ / map_[2, 2]).ravel())


def _spread(tiles: Array, seen: Array, inside: Array) -> bool:
    """Whether `tiles` are more of the overlap than a band, a corner, or a frame around different pictures."""
    rows, columns = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
    for axis, lines in ((1, rows), (0, columns)):
        if np.count_nonzero(tiles.any(axis=axis)) < max(3, 0.4 * len(lines)):
            return False
    inner = np.ix_(_middle(rows), _middle(columns))
    return bool(np.count_nonzero(tiles[inner]) >= 0.25 * np.count_nonzero(seen[inner]))


def _middle(lines: Array) -> Array:
    quarter = (lines[-1] - lines[0] + 1) // 4
    return np.arange(lines[0] + quarter, lines[-1] + 1 - quarter)


def _drift(tiles: Array, over: _Overlap) -> float:
    """Pixels by which neighbouring tiles are shifted alike: parallax and lenses do that, errors do not."""
    kept = np.where(tiles & (np.hypot(*over.shift) < 2), over.shift, np.nan)
    pairs = ((kept[:, 1:], kept[:, :-1]), (kept[:, :, 1:], kept[:, :, :-1]))
    products = np.concatenate([(one * other).sum(axis=0).ravel() for one, other in pairs])
    products = products[~np.isnan(products)]
    return float(max(0.0, np.median(products)) ** 0.5) if len(products) else np.inf


def _align(a: Described, b: Described) -> tuple[Array, bool, int] | None:
    """The affine map a -> b (3 x 3, in the pixels of `points`) with most inliers, plain or mirrored; how many."""
    best = None
    for mirrored in (False, True):
        points, angles, bins = a.points, a.angles, a.descriptors
        flip = np.eye(3)
        if mirrored:
            flip[0] = -1, 0, a.size[0]
            points = points * np.array([-1, 1], np.float32) + np.array([a.size[0], 0], np.float32)
            angles = np.float32(np.pi) - angles
            bins = bins.reshape(-1, 4, 4, 8)[:, ::-1][..., _MIRROR].reshape(-1, 128)
        i, j = _mutual(bins @ b.descriptors.T)
        if len(i) < 6:
            continue
        turn, zoom = b.angles[j] - angles[i], b.scales[j] / a.scales[i]
        found = _vote(points[i], b.points[j], turn, zoom, _stretches(a.size, b.size))
        if found is not None and (best is None or found[1] > best[2]):
            best = found[0] @ flip, mirrored, found[1]
        if best is not None and best[2] > 50:  # a symmetric picture fits both ways, but one way better
            break
    return best


def _mutual(like: Array) -> tuple[Array, Array]:
    """Pairs of descriptors that are each other's nearest, and nearer than the next."""
    if 0 in like.shape:
        return np.empty(0, int), np.empty(0, int)
    rows = np.arange(len(like))
    j = like.argmax(axis=1)
    first = like[rows, j]
    mutual = like.argmax(axis=0)[j] == rows
    like[rows, j] = -1
    keep = mutual & (1 - first < _RATIO**2 * (1 - like.max(axis=1)))
    return rows[keep], j[keep]


def _stretches(a: tuple[int, int], b: tuple[int, int]) -> list[tuple[Array, Array]]:
    """How a may be stretched before and after it is turned: not at all, or from its shape to b's."""
    none = np.ones(2, np.float32)
    factor = (b[0] * a[1] / (a[0] * b[1])) ** 0.5
    if abs(np.log(factor)) < 0.03:
        return [(none, none)]
    stretch = np.array([factor, 1 / factor], np.float32)
    return [(none, none), (stretch, none), (none, stretch)]


def _vote(
    a: Array, b: Array, turn: Array, zoom: Array, stretches: list[tuple[Array, Array]]
) -> tuple[Array, int] | None:
    """Each match proposes a map; those that most others agree with are refined. The best, and its inliers."""
    cos, sin = zoom * np.cos(turn), zoom * np.sin(turn)
    seeds: list[tuple[int, Array]] = []
    for before, after in stretches:
        x, y = a.T * before[:, None]
        error: Any = 0
        for to, by_x, by_y, scale in ((b[:, 0], cos, -sin, after[0]), (b[:, 1], sin, cos, after[1])):
            moved = scale * (np.outer(by_x, x) + np.outer(by_y, y))
            error = error + (moved + (to - moved.diagonal())[:, None] - to) ** 2
        close = error < 14**2
        votes = close.sum(axis=1)
        seeds += [(int(votes[s]), close[s]) for s in np.argsort(-votes, kind="stable")[:2]]
    seeds.sort(key=lambda seed: -seed[0])
    ones = np.column_stack([a, np.ones(len(a))]).astype(np.float64)
    best: Array | None = None
    most = 5
    for votes, close in seeds[:3]:
        if votes < 5:
            break
        use = close
        for tolerance in (10, 6, 4, 3, 3):
            kept = ones[use]
            solved = np.linalg.solve(kept.T @ kept + np.diag([1e-3, 1e-3, 1e-6]), kept.T @ b[use])
            use = ((ones @ solved - b) ** 2).sum(axis=1) < tolerance**2
            if use.sum() < 5:
                break
        inliers = min(len(np.unique(np.round(p[use] / 3), axis=0)) for p in (a, b))
        if inliers > most:
            best, most = np.vstack([solved.T, [0, 0, 1]]), inliers
    return None if best is None else (best, most)


def _lay(a: Array, b: Array, map_: Array) -> tuple[Array, _Overlap] | None:
    """Lay a over b, or b over a where that shrinks it; correct the map by what shifts are left; compare."""
    area = _enlarges(map_, a.shape)
    if not 0.02 < area < 50:
        return None
    if area > 1:
        laid = _lay(b, a, np.linalg.inv(map_))
        return laid and (np.linalg.inv(laid[0]), laid[1])
    sigma = 0.6 * (1 / area - 1) ** 0.5
    fine = cv2.GaussianBlur(a, (0, 0), sigma) if sigma > 0.3 else a
    coarse = cv2.GaussianBlur(b, (0, 0), 0.8)
    for _ in range(3):
        over = _compare(fine, coarse, map_)
        step = _correction(over)
        if step is None:
            break
        map_ = step @ map_
    over = _compare(fine, coarse, map_)
    return map_, replace(over, share=min(1.0, max(over.share, over.share * b.size / (a.size * area))))


def _enlarges(map_: Array, shape: tuple[int, ...]) -> float:
    """How much larger a picture's area becomes; 0 where the map bends it beyond reason."""
    h, w = shape
    corners = np.array([[0, 0, 1], [w, 0, 1], [w, h, 1], [0, h, 1]]) @ map_.T
    if corners[:, 2].min() < 0.3 * corners[:, 2].max():
        return 0.0
    quad = (corners[:, :2] / corners[:, 2:]).astype(np.float32)
    return float(cv2.contourArea(quad)) / (w * h) if cv2.isContourConvex(quad) else 0.0


def _compare(fine: Array, coarse: Array, map_: Array) -> _Overlap:
    """Lay fine over coarse. The shifts are those of Lucas and Kanade, one step for each tile."""
    h, w = coarse.shape
    pixels = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]]) @ map_ @ np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    x = cv2.warpPerspective(fine, pixels, (w, h), flags=cv2.INTER_LINEAR, borderValue=-1000)
    valid = x > -0.5
    x, y = cv2.GaussianBlur(np.maximum(x, 0), (0, 0), 0.8), coarse
    ex, ey = _even(x), _even(y)
    gx, gy = (cv2.Sobel(ex + ey, cv2.CV_32F, *axis, scale=1 / 16) for axis in ((1, 0), (0, 1)))
    e = ex - ey
    xx, yy, xy, xe, ye = (_tiles(v) for v in (gx * gx, gy * gy, gx * gy, gx * e, gy * e))
    xx, yy = xx + 0.002, yy + 0.002
    shift = np.stack([yy * xe - xy * ye, xx * ye - xy * xe]) / (xx * yy - xy * xy)
    mx, my = _tiles(x), _tiles(y)
    vx, vy = _tiles(x * x) - mx * mx, _tiles(y * y) - my * my
    ncc = (_tiles(x * y) - mx * my) / np.sqrt(np.maximum(vx, 1) * np.maximum(vy, 1))
    inside = _tiles(cv2.erode(valid.astype(np.float32), np.ones((5, 5)))) > 0.6
    return _Overlap(inside, ncc, shift, np.minimum(vx, vy), np.maximum(vx, vy), float(valid.mean()))


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
    """The small projective map (3 x 3) that the tiles' shifts ask for."""
    good = over.inside & (over.ncc > 0.4) & (np.hypot(*over.shift) < 3) & (over.least > 9)
    if good.sum() < 8:
        return None
    size = _TILE * max(good.shape)
    y, x = (_TILE * (axis + 0.5) / size for axis in np.nonzero(good))
    u, v = over.shift[:, good] / size
    o, i = np.zeros_like(x), np.ones_like(x)
    left = np.vstack([np.stack([x, y, i, o, o, o, x * x, x * y], 1), np.stack([o, o, o, x, y, i, x * y, y * y], 1)])
    right = np.concatenate([u, v])
    weight = np.ones(len(x))
    for _ in range(3):
        both = np.tile(weight, 2)[:, None]
        k = np.linalg.solve(left.T @ (left * both) + np.diag([1e-6] * 6 + [1e-2] * 2), left.T @ (both[:, 0] * right))
        miss = size * np.hypot(*(left @ k - right).reshape(2, -1))
        weight = 1 / (1 + (miss / 0.5) ** 2)
    scale = np.diag([size, size, 1])
    step: Array = np.eye(3) + np.array([[k[0], k[1], k[2]], [k[3], k[4], k[5]], [-k[6], -k[7], 0]])
    return scale @ step @ np.linalg.inv(scale)
