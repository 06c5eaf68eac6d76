"""What is kept of a picture to compare it with others, in 16 KB or a strip in 80: keypoints and a small grey picture.

The keypoints are SIFT (Lowe, "Distinctive Image Features from Scale-Invariant Keypoints", 2004) as RootSIFT
(Arandjelovic and Zisserman, "Three Things Everyone Should Know to Improve Object Retrieval", 2012), 4 bits a number.
Imports only NumPy and OpenCV: a decoder child describes what it decodes.
"""

import struct
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

import cv2
import numpy as np

from imgindex.types import Array, Pixels

LIMIT = 16_384  # bytes of a description; a strip has as much more as its small picture is larger
_SMALL = 192 * 144  # pixels of the small picture; keypoints from a larger one find no more copies
_TINY = 64  # pixels of the shorter side; enlarged to _SMALL, all that compression did to a thumbnail is large, too
_SMALLER = 96 * 72  # pixels of its small picture: of 32 pixels 7 of 7 were proven at quality 60, and 0 by _SMALL
_SIDE = 32  # pixels; a picture with a shorter side has no keypoints, only noise of its enlargement
_FOUND, _POINTS = 200, 160  # keypoints looked for, and kept
_CONTRAST = 0.02  # of SIFT's weakest keypoint, half of OpenCV's own: the small picture has few, and the best are kept
_GRID = 8  # cells across and down, over which keypoints are spread: a busy corner must not take them all
_FINE, _OCTAVE = 64, 32  # parts of a pixel and of a doubling in which place and scale are kept: 16 and 8 bits of them
_FINE_LONG, _LONG = 16, 1000  # the same, of a strip that is longer
_BINS, _TOP = 40, 15  # RootSIFT's numbers times 40, in 4 bits: those above .375 are cut off
_QUALITIES = range(85, 0, -10)  # of the small picture's JPEG, until it has room beside the keypoints
_ACROSS, _ALONG = 48, 3072  # pixels of a strip's small picture: 4 tiles of the proof across, up to 64 : 1
_ROUNDED = 1.05  # times _SMALL, which rounded sides do not reach
_LEAST = 8  # pixels of a side, however long a strip is
_FLAT = 1  # variance of grey values, below which there is nothing to see
_PATTERN = 0.4  # correlation of neighbouring pixels, below which a picture is noise; photos have .65 and more
_HEAD = struct.Struct("<BB")  # version, keypoints; the small picture as JPEG follows them
_POINT = np.dtype([("x", "<u2"), ("y", "<u2"), ("scale", "u1"), ("angle", "u1"), ("bins", "u1", 64)])
# SIFT's 4 x 4 x 8 numbers of a mirrored picture: its rows (OpenCV has x there) and its directions change places.
_MIRROR = np.arange(128).reshape(4, 4, 8)[::-1, :, [0, 7, 6, 5, 4, 3, 2, 1]].ravel()


@dataclass(frozen=True, eq=False)
class Described:
    """A description, parsed: parse one picture once, and prove it against many."""

    blob: bytes
    points: Array  # (N, 2) float32, pixels of the small picture
    scales: Array  # (N,) float32
    angles: Array  # (N,) float32, radians
    descriptors: Array  # (N, 128) float32, unit length
    small: Array  # (h, w) float32, grey

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the small picture."""
        return self.small.shape[1], self.small.shape[0]

    @cached_property
    def mirrored(self) -> "Described":
        """The keypoints of the picture in a mirror; blob and small picture are as before."""
        points = self.points.copy()
        points[:, 0] = self.size[0] - points[:, 0]
        angles = np.float32(np.pi) - self.angles
        return replace(self, points=points, angles=angles, descriptors=self.descriptors[:, _MIRROR])


def describe(image: Pixels) -> bytes:
    """(H, W, 3) uint8 RGB, upright, of any size, to at most LIMIT bytes, a strip to 5 times as many."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = _scaled(grey, _SMALL if min(grey.shape) >= _TINY else _SMALLER)
    kept = np.empty(0, _POINT)
    if min(grey.shape) >= _SIDE and not _is_noise(small if small.size < grey.size else grey):
        points, bins = _sift().detectAndCompute(small, None)
        if points:
            kept = _choose(points, bins, small.shape)
    for quality in _QUALITIES:
        jpeg = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
        room = _limit(small) - _HEAD.size - len(jpeg)
        if kept.nbytes <= room:
            break
    kept = kept[: room // _POINT.itemsize]
    return _HEAD.pack(1, len(kept)) + kept.tobytes() + jpeg


def parse(blob: bytes) -> Described:
    """Read what `describe` wrote. Raises ValueError when it is damaged."""
    if len(blob) < _HEAD.size:
        raise ValueError("cut short")
    _, count = _HEAD.unpack_from(blob)
    kept = np.frombuffer(blob, _POINT, count, _HEAD.size)
    jpeg = np.frombuffer(blob, np.uint8, offset=_HEAD.size + kept.nbytes)
    bins = np.stack([kept["bins"] >> 4, kept["bins"] & 15], axis=2).reshape(count, 128).astype(np.float32)
    bins /= np.maximum(np.linalg.norm(bins, axis=1, keepdims=True), 1e-6)
    scales = np.exp2(kept["scale"].astype(np.float32) / _OCTAVE)
    angles = kept["angle"].astype(np.float32) * (2 * np.pi / 256)
    small: Any = cv2.imdecode(jpeg, cv2.IMREAD_GRAYSCALE) if len(jpeg) else None
    if small is None:
        raise ValueError("no small picture")
    points = np.stack([kept["x"], kept["y"]], axis=1).astype(np.float32) / _fine(small.shape)
    return Described(blob, points, scales, angles, bins, small.astype(np.float32))


def _scaled(grey: Array, area: int) -> Array:
    """To about so many pixels; a strip keeps some across and not too many along."""
    factor = min(max((area / grey.size) ** 0.5, _ACROSS / min(grey.shape)), _ALONG / max(grey.shape))
    width, height = (max(_LEAST, round(side * factor)) for side in grey.shape[::-1])
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(grey, (width, height), interpolation=how))


def _limit(small: Array) -> int:
    """Bytes of a description: more for a strip, whose small picture would have a poor quality else."""
    larger = small.size / _SMALL
    return round(LIMIT * larger) if larger > _ROUNDED else LIMIT


def _fine(shape: tuple[int, ...]) -> int:
    """Parts of a pixel in which places are kept."""
    return _FINE if max(shape) <= _LONG else _FINE_LONG


def _is_noise(grey: Array) -> bool:
    """Whether neighbouring pixels have nothing to do with each other, as in no photo, or hardly differ at all."""
    values = grey - np.float32(grey.mean())
    power = float((values**2).mean())
    return power < _FLAT or float((values[:, 1:] * values[:, :-1]).mean()) < _PATTERN * power


@cache
def _sift() -> Any:
    return cv2.SIFT.create(nfeatures=_FOUND, contrastThreshold=_CONTRAST, enable_precise_upscale=True)


def _choose(points: Any, bins: Array, shape: tuple[int, ...]) -> Array:
    """(N,) _POINT, the strongest keypoints, spread: each further one in a cell of a grid counts less."""
    xy = np.array([point.pt for point in points], np.float32) + 0.5  # a pixel is a square, not a point
    strength = np.array([point.response for point in points])
    cells = (xy / (shape[1] / _GRID, shape[0] / _GRID)).astype(int).clip(0, _GRID - 1) @ (1, _GRID)
    order = np.lexsort((-strength, cells))
    starts = np.searchsorted(cells[order], cells[order])
    strength[order] /= 1 + np.arange(len(order)) - starts
    best = np.argsort(-strength, kind="stable")[:_POINTS]
    root = np.sqrt(bins[best] / np.maximum(bins[best].sum(axis=1, keepdims=True), 1e-6))
    levels = np.clip(np.round(root * _BINS), 0, _TOP).astype(np.uint8)
    kept = np.empty(len(best), _POINT)
    kept["x"], kept["y"] = np.clip(np.round(xy[best] * _fine(shape)), 0, 65535).T
    kept["scale"] = np.clip(np.round(_OCTAVE * np.log2([points[i].size for i in best])), 0, 255)
    kept["angle"] = np.round(np.array([points[i].angle for i in best]) * (256 / 360)).astype(int) % 256
    kept["bins"] = levels[:, ::2] << 4 | levels[:, 1::2]
    return kept
