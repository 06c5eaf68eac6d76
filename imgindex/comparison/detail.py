"""How much finer the real detail of one picture is than that of another that shows the same, and how much noisier."""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_BLURS = (0.4, 0.6, 0.8, 1.1, 1.5, 2.0, 2.7, 3.6, 4.8, 6.4)  # pixels, standard deviation
_EQUAL = 1.12  # strengths of edges within this are the same
_PIXEL = 0.5  # standard deviation, in pixels, of the blur that a sharp picture has of its own
_FULL, _EMPTY = 0.48, 0.3  # finest octave over the next: of sharp photos at least, of enlarged ones at most
_PART = 512  # pixels of a side of the middle, which is looked at
_NOISE = 5.2  # strength of the edges that noise of one grey value makes
_REACH = np.arange(-7, 8)
_HALF = (
    np.sinc(_REACH / 2) * np.hamming(15) / (np.sinc(_REACH / 2) * np.hamming(15)).sum()
)  # keeps the lower half of frequencies


def blurrier(x: Array, y: Array, inside: Array) -> float:
    """log2 of how much coarser the detail of y is than that of x, per side; (h, w) grey uint8 in one frame."""
    at = cv2.erode(inside.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    if at.sum() < 256:
        return 0.0
    contrast = _contrast(y, at) / _contrast(x, at)
    dust = noise(x), noise(y)
    one, other = _real(_edges(x, at, 0), dust[0]) * contrast, _real(_edges(y, at, 0), dust[1])
    if max(one, other) < _EQUAL * min(one, other):
        return 0.0
    sharp, goal, sign = (x, other / contrast, 1) if one > other else (y, one, -1)
    found, last = 0.0, max(one, other) / (contrast if sign > 0 else 1)
    for blur in _BLURS:
        strength = _edges(sharp, at, blur)
        part = min(1.0, max(0.0, (last - goal) / max(1e-6, last - strength)))
        found, last = found + (blur - found) * part, strength
        if strength <= goal:
            break
    return float(sign * np.log2(np.hypot(_PIXEL, found) / _PIXEL))


def blur_of(octaves: float) -> float:
    """The standard deviation, in pixels, of the blur that takes so many octaves of detail from a sharp picture."""
    return float(_PIXEL * (4.0**octaves - 1) ** 0.5)


def _contrast(grey: Array, at: Array) -> float:
    """The strength of what is too coarse for a blur to matter."""
    small = cv2.resize(grey, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    there = cv2.resize(at.astype(np.uint8), small.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0
    coarse = cv2.GaussianBlur(small, (0, 0), 1).astype(np.float32) - cv2.GaussianBlur(small, (0, 0), 4)
    return float(np.percentile(np.abs(coarse)[there], 90)) + 1 if there.any() else 1.0


def _real(strength: float, noisy: float) -> float:
    """The strength of edges without that of noise."""
    return float(max(0.5, strength**2 - (_NOISE * noisy) ** 2) ** 0.5)


def _edges(grey: Array, at: Array, blur: float) -> float:
    """The strength of strong edges; a slight blur keeps noise out."""
    soft = cv2.GaussianBlur(grey, (0, 0), float(np.hypot(0.7, blur)))
    return float(np.percentile(np.abs(cv2.Laplacian(soft, cv2.CV_32F, ksize=3)[at][::3]), 95)) + 0.5


def beyond(picture: Array, shrunk: float) -> float:
    """log2 of how much finer detail a picture, (H, W) grey uint8, holds than itself shrunk so; 0 to -log2(shrunk)."""
    left = max(0.0, -float(np.log2(shrunk)))
    h, w = picture.shape
    top, side = max(0, h - _PART) // 2, max(0, w - _PART) // 2
    grey = picture[top : top + _PART, side : side + _PART].astype(np.float32)
    dusty, found = noise(picture), 0.0
    while left > 0.05 and min(grey.shape) >= 32:
        half = cv2.sepFilter2D(grey, cv2.CV_32F, _HALF, _HALF)
        quarter = cv2.sepFilter2D(half[::2, ::2], cv2.CV_32F, _HALF, _HALF)
        fine, next_ = float(((grey - half) ** 2).mean()), float(((half[::2, ::2] - quarter) ** 2).mean())
        ratio = (max(0.0, fine - 0.75 * dusty**2) / max(0.05, next_)) ** 0.5
        step = min(1.0, left)
        found += step * float(np.clip(np.log(max(ratio, 1e-3) / _EMPTY) / np.log(_FULL / _EMPTY), 0, 1))
        grey, left, dusty = half[::2, ::2], left - step, dusty / 2
    return found


def noise(grey: Array) -> float:
    """Grey values of noise, by what is left of a Laplacian where the picture is smoothest (Immerkaer 1996)."""
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    rest = cv2.blur(np.abs(cv2.filter2D(grey, cv2.CV_32F, kernel)), (9, 9))
    return float(np.percentile(rest[::3, ::3], 15) * np.sqrt(np.pi / 2) / 6)
