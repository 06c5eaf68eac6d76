"""How fine a picture really is across and down, each by itself, by the spectra of pieces of its rows and columns.

Along a line that crosses edges, power falls with the square of frequency (Field, "Relations between the statistics of
natural images", 1987). A blur or an enlargement breaks off where nothing was, along the axis that it was made; pieces
under a window lie anywhere on JPEG's grid, so that mirrored and turned copies measure alike. Imports only NumPy and
OpenCV.
"""

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]

SMALLEST = 32  # pixels of a side that can be told
_LENGTH = 64  # pixels of a piece, where there are so many
_LINES, _PIECES = 32, 8  # that are looked at: 1 ms together
_BUSY = 4  # a quarter of the pieces are the busiest
_SLOPE = 2.0  # power falls with frequency to this power
_FIRST = 3  # frequencies whose level the others are compared with
_BREAK = -11.0  # dB below that; linear enlargement leaves copies of what is coarser at -11
_MEDIAN = 7  # frequencies; blocks of compression make a peak of three at each eighth
_MARGIN = 1.25  # of the noise's power that is taken off, so that noise is no detail
_STILL = 0.35  # of the steps beside it: a smaller one is no step; what enlarging without smoothing repeats has .1
_NEAR = 7  # steps around one
_FLAT = 0.5  # grey values of steps that tell nothing


def reach(picture: Array, noise: float) -> tuple[float, float]:
    """Across and down, the share of the pixels of (H, W) or (H, W, 3) uint8, BGR, that show something of their own."""
    if min(picture.shape[:2]) < SMALLEST:
        return 1.0, 1.0  # too small to be told, and too small to matter
    down = picture.swapaxes(0, 1)
    return _along(picture, noise), _along(down, noise)


def _along(picture: Array, noise: float) -> float:
    """Of the axis that comes second."""
    pieces = _sample(picture)
    return min(_broken_off(pieces, noise), _stepping(pieces))


def _sample(picture: Array) -> Floats:
    """(places, lines, length), grey, spread over the picture."""
    lines, pixels = picture.shape[:2]
    length = _LENGTH if pixels >= _LENGTH else SMALLEST
    rows = np.linspace(0, lines - 1, min(_LINES, lines)).astype(int)
    starts = np.linspace(0, pixels - length, min(_PIECES, pixels // length)).astype(int)
    pieces = []
    for start in starts:
        part = np.ascontiguousarray(picture[:, start : start + length][rows])
        pieces.append(cv2.cvtColor(part, cv2.COLOR_BGR2GRAY) if part.ndim == 3 else part)
    return np.asarray(np.stack(pieces), np.float32)


@lru_cache(maxsize=2)
def _waves(length: int) -> tuple[Floats, float]:
    """(length, 2 x frequencies) cosines and sines under a window, and what noise of sigma 1 makes of each pair."""
    window = np.hanning(length + 1)[:-1]
    angles = 2 * np.pi * np.outer(np.arange(length), np.arange(1, length // 2 + 1)) / length
    waves = window[:, None] * np.hstack([np.cos(angles), np.sin(angles)])
    waves -= window[:, None] / window.sum() * waves.sum(0)  # the mean is no wave
    return waves.astype(np.float32), float((window**2).sum())


def _broken_off(pieces: Floats, noise: float) -> float:
    """The frequency, of the highest there can be, up to which there is something to see."""
    length = pieces.shape[-1]
    waves, gain = _waves(length)
    found = np.square(pieces.reshape(-1, length) @ waves)
    power = found[:, : length // 2] + found[:, length // 2 :]
    busy = np.argpartition(power.sum(1), -max(1, len(power) // _BUSY))[-max(1, len(power) // _BUSY) :]
    mean = power[busy].mean(0)
    mean = np.maximum(np.maximum(mean - _MARGIN * gain * noise**2, mean * 1e-3), 1e-3)
    level = 10 * np.log10(mean) + 10 * _SLOPE * np.log10(np.arange(1, len(mean) + 1))
    level -= level[:_FIRST].mean()
    below = np.flatnonzero(_smooth(level) < _BREAK)
    return float(max(1, below[0]) / len(mean)) if len(below) else 1.0


def _smooth(level: Array) -> Array:
    """Each the median of those around it; numpy's own loads 40 ms of numpy.ma."""
    half = _MEDIAN // 2
    padded = np.concatenate([level[:1].repeat(half), level, level[-1:].repeat(half)])
    around = np.lib.stride_tricks.sliding_window_view(padded, _MEDIAN)
    return np.asarray(np.sort(around, axis=1)[:, half])


def _stepping(pieces: Floats) -> float:
    """The share of steps from pixel to pixel that are any: where pixels are only repeated, others are none."""
    steps = np.abs(np.diff(pieces, axis=2)).mean(1)
    around = cv2.dilate(steps, np.ones((1, _NEAR), np.uint8))
    told = around > _FLAT
    if not told.any():
        return 1.0
    return float((steps > _STILL * around)[told].mean())
