"""What there is to see in a picture, how much of that another one has, and whether a picture goes on beyond an edge.

Borders of one colour, and blurred echoes of what they surround, hold nothing. Maps are 3 x 3, each side 0 to 1.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from imgindex.comparison.strips import reach

Array = npt.NDArray[Any]

_SIDE = 256  # pixels of the longer side of a mask, of a strip `reach`
_PLAIN = 6  # grey values within which a border is of one colour
_RUN = 0.06  # share of the picture's edge that a colour must take to be a border's
_COLOURS = 4  # of borders, at most
_PAGE = 96  # grey values within which two borders may be one, in another tint
_SHARED = 0.2  # share of a border that is one in both pictures, from which it is their page
_NEAR = 40  # grey values within which what is under a border may be of its colour
_ALL_BUT = 0.6  # share of a border that lies over its own colour, from which it hides nothing
_LEAST = 0.003  # share of the area below which a border is none
_RING = 2  # pixels of a mask in which a border blends with what it surrounds
_SEAM = 10  # grey values that a seam is stronger than twice what is beside it
_SAMPLES = 96  # points on a side
_ECHO = 24  # pixels of the longer side, at which a border is compared with a blurred echo
_ALIKE = 0.8  # correlation of an echo


@dataclass(frozen=True, eq=False)
class Blank:
    """Borders and corners of one colour, in a small picture of at most _SIDE pixels a side."""

    labels: Array  # (h, w) int32; 0: something to see
    colours: Array  # (labels, 3) int16; of 0, none
    small: Array  # (h, w, 3) uint8

    @property
    def seen(self) -> Array:
        """(h, w) bool: where there is something to see; the gaps between words are part of a text."""
        seen = (self.labels == 0).astype(np.uint8)
        return np.asarray(cv2.morphologyEx(seen, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8)) > 0)


def blank(picture: Array) -> Blank:
    """What of a picture, (H, W, 3) uint8, is nothing but a border."""
    small = _small(picture, _SIDE)
    edge = np.concatenate([small[0], small[-1], small[:, 0], small[:, -1]]).astype(np.int16)
    left = np.ones(len(edge), bool)
    labels, colours = np.zeros(small.shape[:2], np.int32), [np.zeros(3, np.int16)]
    for _ in range(_COLOURS):
        if not left.any():
            break
        colour = _mode(edge[left])
        near = np.maximum.reduce(np.abs(edge - colour).T) <= _PLAIN
        if (left & near).sum() < _RUN * len(edge):
            break
        left &= ~near
        low, high = (np.clip(colour + way * _PLAIN, 0, 255) for way in (-1, 1))
        near = cv2.inRange(small, low.astype(np.uint8), high.astype(np.uint8)) // 255
        near = cv2.morphologyEx(near, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
        for part in _from_edge(near):
            labels[part] = len(colours)
            colours.append(colour)
    return Blank(labels, np.array(colours), small)


def _mode(colours: Array) -> Array:
    """(3,) int16: the middle of the most frequent colours, (n, 3)."""
    bins = (colours // 8) @ np.array([1, 64, 4096])
    values, counts = np.unique(bins, return_counts=True)
    return np.asarray(np.median(colours[bins == values[counts.argmax()]], axis=0), np.int16)


def _from_edge(mask: Array) -> Iterator[Array]:
    """(h, w) bool: the parts of a mask, larger than dust, that lie along the picture's edge for a while."""
    h, w = mask.shape
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
    edge = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    counts = np.bincount(edge, minlength=len(stats))
    for label in np.flatnonzero((counts >= _RUN * (h + w)) & (stats[:, 4] >= _LEAST * mask.size)):
        if label:
            yield labels == label


def hides(b: Blank, a: Blank, map_: Array) -> Array:
    """(h, w) bool: the borders of b that lie over something else in a; the map leads from a to b.

    A page that both share is no border: there a word more is a difference. Nor is a sky that is white in both.
    """
    h, w = b.labels.shape
    if len(b.colours) == 1:
        return np.zeros((h, w), bool)
    to = pixels((h, w)) @ map_ @ np.linalg.inv(pixels(a.labels.shape))
    labels = cv2.warpPerspective(
        a.labels.astype(np.float32), to, (w, h), flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=-1
    ).astype(int)
    shown = cv2.warpPerspective(a.small, to, (w, h)).astype(np.int16)
    unlike = np.abs(a.colours[:, None] - b.colours).max(axis=2)[labels, b.labels] > _PAGE
    hidden = cv2.dilate(((b.labels > 0) & (labels > 0) & unlike).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    for label in range(1, len(b.colours)):
        part = (b.labels == label) & (labels >= 0)
        page = (labels[part] > 0) & ~unlike[part]
        near = np.maximum.reduce(np.abs(shown[part] - b.colours[label]).T) < _NEAR
        if page.sum() < _SHARED * len(page) and near.sum() < _ALL_BUT * len(page):
            hidden |= part
    return np.asarray(hidden)


def _small(picture: Array, side: int) -> Array:
    factor = side / reach(*picture.shape[:2])
    if factor >= 1:
        return picture
    h, w = picture.shape[:2]
    size = max(1, round(w * factor)), max(1, round(h * factor))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))


def share(seen: Array, hidden: Array, map_: Array) -> float:
    """Of what is to be seen in a, (h, w) bool, how much b has, borders of b apart; the map leads from a to b."""
    total = int(seen.sum())
    if not total:
        return 1.0
    open_ = cv2.dilate(255 * (~hidden).astype(np.uint8), np.ones((2 * _RING + 1,) * 2, np.uint8))
    held = cv2.dilate(_warped(open_, seen.shape, map_), np.ones((3, 3), np.uint8)) > 60
    return float((held & seen).sum() / total)


def frame(mask: Array, shape: tuple[int, int], onto: Array) -> Array:
    """(h, w) uint8: a mask as it lies in a frame of that shape, whose coordinates lead onto the mask's."""
    return _warped(mask, shape, onto)


def _warped(b: Array, shape: tuple[int, int], map_: Array) -> Array:
    """b as it lies over a picture of that shape; the map leads from there to b."""
    h, w = shape
    to = pixels(b.shape) @ map_ @ np.linalg.inv(pixels(shape))
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpPerspective(b, to, (w, h), flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=0))


def pixels(shape: tuple[int, ...]) -> Array:
    h, w = shape[:2]
    return np.array([[w, 0, -0.5], [0, h, -0.5], [0, 0, 1.0]])


def seam(a: Array, map_: Array) -> tuple[float, float]:
    """Along the edges of b that lie inside a: the share with a seam, and the share beyond which a is of one colour.

    The map leads from a to b. Both are 0 when no edge of b lies inside a.
    """
    h, w = a.shape[:2]
    back = pixels(a.shape) @ np.linalg.inv(map_)
    quad = np.array([[0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]]) @ back.T
    quad = quad[:, :2] / quad[:, 2:]
    middle = quad.mean(axis=0)
    seams, plain = [], []
    for start, end in zip(quad, np.roll(quad, -1, axis=0), strict=True):
        along = (end - start) / max(1e-6, float(np.hypot(*(end - start))))
        out = np.array([along[1], -along[0]])
        out = out if out @ (start - middle) > 0 else -out
        points = start + np.linspace(0.04, 0.96, _SAMPLES)[:, None] * (end - start)
        offsets = np.array([-6, -4, -2, 2, 4, 6])
        at = (points[:, None] + offsets[:, None] * out).astype(np.float32)
        ok = ((at > 0) & (at < (w - 1, h - 1))).all(axis=(1, 2))
        if ok.sum() < 4:
            continue
        v = cv2.remap(a, at[ok][..., 0], at[ok][..., 1], cv2.INTER_LINEAR).astype(np.float32)
        v = cv2.blur(v.reshape(len(v), -1), (1, 3)).reshape(v.shape)
        across = np.abs(v[:, 3] - v[:, 2]).max(axis=1)
        beside = np.maximum(np.abs(v[:, 2] - v[:, 0]), np.abs(v[:, 5] - v[:, 3])).max(axis=1)
        seams.append(across > 2 * beside + _SEAM)
        plain.append(v[:, 3:])
    if not seams:
        return 0.0, 0.0
    outer = np.concatenate(plain)
    level = np.median(outer.reshape(-1, 3), axis=0)
    return float(np.concatenate(seams).mean()), float((np.abs(outer - level).max(axis=(1, 2)) <= _PLAIN).mean())


def echo(a: Array, b: Array, map_: Array) -> bool:
    """Whether what b shows around a is a blurred echo of a; the map leads from a to b."""
    small = _small(b, _SIDE)
    h, w = small.shape[:2]
    covered = _warped(np.full(a.shape[:2], 255, np.uint8), (h, w), np.linalg.inv(map_))
    around = cv2.dilate(covered, np.ones((9, 9), np.uint8)) == 0
    if around.sum() < 0.02 * around.size:
        return False
    grey = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY).astype(np.float32)
    fine = np.abs(grey - cv2.GaussianBlur(grey, (0, 0), 2))
    if np.percentile(fine[around], 95) > 3:
        return False
    return _best_echo(_warped(_small(a, _SIDE), (h, w), np.linalg.inv(map_)), covered, small, around) > _ALIKE


def _best_echo(a: Array, covered: Array, b: Array, around: Array) -> float:
    """The correlation of what is around with a enlarged to cover all of b; a as it lies in b."""
    rows, columns = (np.flatnonzero((covered > 127).any(axis=axis)) for axis in (1, 0))
    if len(rows) < 8 or len(columns) < 8:
        return 0.0
    inner = cv2.cvtColor(a[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], cv2.COLOR_BGR2GRAY)
    target = cv2.GaussianBlur(cv2.cvtColor(b, cv2.COLOR_BGR2GRAY).astype(np.float32), (0, 0), max(b.shape) / _ECHO / 2)
    h, w = around.shape
    best = 0.0
    for zoom in (1, 1.1, 1.25, 1.5):
        factor = zoom * max(h / inner.shape[0], w / inner.shape[1])
        large = cv2.resize(inner, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)
        y, x = (large.shape[0] - h) // 2, (large.shape[1] - w) // 2
        cut = cv2.GaussianBlur(large[y : y + h, x : x + w].astype(np.float32), (0, 0), max(b.shape) / _ECHO)
        if cut.shape == around.shape:
            best = max(best, float(np.corrcoef(cut[around], target[around])[0, 1]))
    return best
