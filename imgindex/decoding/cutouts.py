"""Pictures with an alpha channel: how much is seen through, and how they look on a ground."""

import hashlib

import cv2
import numpy as np

from imgindex.types import Array

SEEN_THROUGH = 0.001  # of a picture's area; less is an idle channel with a hole, or rounded corners
UNSEEN = 0.999  # of a picture's area, from which nothing is left to compare, and its colours can be brought back
_STRIP = 256  # rows that are composited at a time, so that the copies stay small
_SAMPLE = 256  # pixels across, of a look at all of a picture
_LIGHT, _MOSTLY = 0.9, 0.95  # a drawing with so much of it so light would vanish on white: it stands on black


def veil(stored: Array, white: float) -> tuple[float, bytes]:
    """How much is seen through, 0 to 1, and a digest of it; empty where nothing is."""
    alpha = cv2.extractChannel(stored, stored.shape[2] - 1)
    top = white or 1.0
    if alpha.min() >= top:
        return 0.0, b""
    share = 1 - min(1.0, max(0.0, cv2.mean(alpha)[0] / top))
    return share, hashlib.blake2b(alpha.data, digest_size=32).digest()


def vanishes_on_white(stored: Array, white: float, *, premultiplied: bool) -> bool:
    """Whether it is a drawing in white; all others stand on white, as on a page."""
    top = white or 1.0
    height, width = (min(side, _SAMPLE) for side in stored.shape[:2])
    few = cv2.resize(stored, (width, height), interpolation=cv2.INTER_NEAREST).astype(np.float32) / top
    weight = np.nan_to_num(few[..., -1])
    darkest = few[..., :-1].min(2)
    light = darkest >= _LIGHT * (weight if premultiplied else 1)
    total = float(weight.sum())
    return bool(total > 0 and float(weight[light].sum()) >= _MOSTLY * total and weight.mean() < 1 - SEEN_THROUGH)


def flattened(stored: Array, white: float, *, premultiplied: bool, on_black: bool) -> Array:
    """Composite in place, before shrinking, so that the colour of invisible pixels does not bleed in."""
    colours = stored.shape[2] - 1
    top = white or 1.0
    ground = 0.0 if on_black else top
    for row in range(0, len(stored), _STRIP):
        strip = stored[row : row + _STRIP]
        alpha = cv2.extractChannel(strip, colours)
        if alpha.min() >= top:
            continue
        for channel in range(colours):
            colour = cv2.extractChannel(strip, channel)
            cv2.insertChannel(_composited(colour, alpha, top, ground, premultiplied=premultiplied), strip, channel)
    return cv2.extractChannel(stored, 0) if colours == 1 else stored


def _composited(colour: Array, alpha: Array, top: float, ground: float, *, premultiplied: bool) -> Array:
    if not ground:
        return colour if premultiplied else np.asarray(cv2.multiply(colour, alpha, scale=1 / top))
    if premultiplied:
        return np.asarray(cv2.add(colour, _less(top, alpha)))
    return _less(top, cv2.multiply(_less(top, colour), alpha, scale=1 / top))


def _less(top: float, values: Array) -> Array:
    return np.asarray(cv2.subtract(np.full_like(values, top), values))
