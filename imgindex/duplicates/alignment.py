"""The affine map that most keypoints of two pictures agree on.

Matches vote for maps as each turns and grows (Lowe 2004, section 7.3), and the map is fitted to those that agree.
"""

import numpy as np

from imgindex.decoding.local_features import Described
from imgindex.types import Array

# What each loses and lets in when it is moved by a fifth: tests/benchmarks/limits.py prints it.
_RATIO = 0.9  # a match is clear when its distance is so much of the next one's
_NEAR = 14  # pixels, of those that keypoints are in, to which matches agree before a map is fitted to them
_SHAPE = 0.03  # of the logarithm of two pictures' shapes; below, neither was stretched but by rounding
_SEEDS, _TRIED = 2, 3  # matches whose maps are fitted: of each way to stretch, and of all
_VOTES = 5  # matches that agree on a map; 3 always do, as an affine map has 6 numbers
_TOLERANCES = (10, 6, 4, 3, 3)  # pixels to which matches agree, round by round, as the map gets better
_RIDGE = (1e-3, 1e-3, 1e-6)  # keeps matches in one line solvable
_SQUARE = 3  # pixels; inliers are counted by such squares, as one corner may have many keypoints
_ROW = 4096  # a number for each square; no small picture is so wide
LEAST = 8  # inliers of a copy
_CLEAR = 50  # inliers from which a picture is not looked for in the mirror, too


def align(a: Described, b: Described) -> tuple[Array, bool, int] | None:
    """The affine map a -> b (3 x 3, each 0 to 1 across and down), whether a is mirrored first, and the inliers."""
    best = None
    if min(len(a.points), len(b.points)) < LEAST:
        return None
    for mirrored in (False, True):
        one = a.mirrored if mirrored else a
        i, j = _mutual(one.descriptors @ b.descriptors.T)
        if len(i) < LEAST:
            continue
        turn = np.exp(1j * (b.angles[j] - one.angles[i])) * b.scales[j] / one.scales[i]
        found = _agreed(one.points[i], b.points[j], turn, _stretches(a.size, b.size))
        if found is not None and (best is None or found[1] > best[2]):
            flip = np.array([[-1, 0, a.size[0]], [0, 1, 0], [0, 0, 1]]) if mirrored else np.eye(3)
            map_ = np.diag([1 / b.size[0], 1 / b.size[1], 1]) @ found[0] @ flip @ np.diag([*a.size, 1])
            best = map_, mirrored, found[1]
        if best is not None and best[2] > _CLEAR:  # a symmetric picture fits both ways, but one way better
            break
    return best


def _mutual(like: Array) -> tuple[Array, Array]:
    """Pairs of descriptors that are each other's nearest, and nearer than the next."""
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
    if abs(np.log(factor)) < _SHAPE:
        return [(none, none)]
    stretch = np.array([factor, 1 / factor], np.float32)
    return [(none, none), (stretch, none), (none, stretch)]


def _agreed(a: Array, b: Array, turn: Array, stretches: list[tuple[Array, Array]]) -> tuple[Array, int] | None:
    """The affine map, in pixels, that most matches agree on, and its inliers; arguments as for `_vote`."""
    best, most = None, _VOTES
    explained = np.zeros(len(a), bool)
    for seed, close in _vote(a, b, turn, stretches):
        if explained[seed]:
            continue
        map_, use = _fit(a, b, close)
        inliers = min(len({*(np.round(points[use] / _SQUARE) @ (1, _ROW)).tolist()}) for points in (a, b))
        if inliers > most:
            best, most = map_, inliers
            explained |= use
    return None if best is None else (best, most)


def _vote(a: Array, b: Array, turn: Array, stretches: list[tuple[Array, Array]]) -> list[tuple[int, Array]]:
    """Each match proposes a map. Those that most matches agree with, and which (N,) do.

    (N, 2) points of matches in pixels, and (N,) complex by what each turns and grows.
    """
    seeds: list[tuple[int, int, Array]] = []
    wanted = b - b[:, None]
    for before, after in stretches:
        x, y = a.T * before[:, None]
        moved = np.outer(turn, x + 1j * y)
        moved -= moved.diagonal()[:, None].copy()
        error = (after[0] * moved.real - wanted[..., 0]) ** 2 + (after[1] * moved.imag - wanted[..., 1]) ** 2
        close = error < _NEAR**2
        votes = close.sum(axis=1)
        seeds += [(int(votes[s]), int(s), close[s]) for s in np.argsort(-votes, kind="stable")[:_SEEDS]]
    seeds.sort(key=lambda seed: -seed[0])
    return [(seed, close) for votes, seed, close in seeds[:_TRIED] if votes >= _VOTES]


def _fit(a: Array, b: Array, use: Array) -> tuple[Array, Array]:
    """The affine map by least squares, of matches that agree ever better; and which those are."""
    ones = np.column_stack([a, np.ones(len(a))]).astype(np.float64)
    for tolerance in _TOLERANCES:
        kept = ones[use]
        solved = np.linalg.solve(kept.T @ kept + np.diag(_RIDGE), kept.T @ b[use])
        use = ((ones @ solved - b) ** 2).sum(axis=1) < tolerance**2
        if use.sum() < _VOTES:
            break
    return np.vstack([solved.T, [0, 0, 1]]), use
