"""How much a picture really shows: its effective pixels, its noise, whether it has colour; from a sample of blocks.

Blocks of 8 x 8 pixels, where JPEG has its own, are turned into cosines. The power of what is busiest falls with the
third power of frequency in photos (Field, "Relations between the statistics of natural images", 1987: the second in
all, steeper at edges); an enlargement or a blur breaks off where nothing was, a strong compression where it left out.
Noise is what the calmest blocks have at the highest frequencies (Pyatykh, Hesser and Zheng, "Image noise level
estimation by principal component analysis", 2013).
"""

import cv2
import numpy as np
import numpy.typing as npt

from imgindex.types import Array

SMALLEST = 32  # pixels of a side that can be told
_SIDE = 8  # pixels of a block
_ACROSS = 24  # blocks in a row and in a column: 1 ms, and a quarter of them are enough to tell
_SLOPE = 3.0  # power falls with frequency to this power
_BREAK = -6.0  # dB below that; 48 photos keep 1 as they are, .43 enlarged twice, .16 four times, .11 blurred by 2
_CALM = 4  # a quarter of the blocks are the calmest, and a quarter the busiest
_MARGIN = 1.25  # of the noise's power that is taken off, so that noise is no detail
_SAMPLE, _SPOT = 256, 16  # pixels across, for colour; and of the smallest stamp or signature that is colour
_TINTED, _COLOURED = 10, 30  # grey values between channels: what a grey picture's compression adds is below
_WAVES = np.arange(_SIDE)
_COSINES = np.cos(np.pi * (2 * _WAVES[None] + 1) * _WAVES[:, None] / (2 * _SIDE)) * np.sqrt(2 / _SIDE)
_COSINES[0] /= np.sqrt(2)
_COSINES = _COSINES.astype(np.float32)
_RINGS = np.hypot(_WAVES[None], _WAVES[:, None]).round().astype(int)
_HIGH = _RINGS >= _SIDE - 2
_MIDDLE = (_RINGS >= 3) & (_RINGS <= 5)  # where JPEG leaves noise that it takes from the highest
_EXPECTED = -10 * _SLOPE * np.log10(_WAVES[1:])
_MEMBERS = (np.arange(1, _SIDE)[:, None] == _RINGS.ravel()[None]).astype(np.float32)
_MEMBERS /= _MEMBERS.sum(1, keepdims=True)


def detail_and_noise(picture: Array) -> tuple[float, float]:
    """(H, W) or (H, W, 3) uint8, BGR: the share of its pixels that show something of their own, and sigma of noise."""
    if min(picture.shape[:2]) < SMALLEST:
        return 1.0, 0.0  # too small to be told, and too small to matter
    columns = _sample(picture).reshape(-1, _SIDE) @ _COSINES.T
    waves = columns.reshape(-1, _SIDE, _SIDE).swapaxes(1, 2).reshape(-1, _SIDE) @ _COSINES.T
    waves = waves.reshape(-1, _SIDE, _SIDE)
    power = np.square(waves).reshape(len(waves), -1)
    order = np.argsort(power[:, 1:].sum(1))
    part = max(1, len(order) // _CALM)
    calm = np.abs(waves[order[:part]])
    rings = _MEMBERS @ power[order[-part:]].mean(0)
    noise = _median(calm[:, _HIGH])
    return _reach(rings, noise) ** 2, max(noise, _median(calm[:, _MIDDLE]))


def _median(sizes: Array) -> float:
    """Of half-normal values, as their sigma; numpy's own loads 40 ms of numpy.ma."""
    flat = sizes.ravel()
    return float(np.partition(flat, len(flat) // 2)[len(flat) // 2]) / 0.6745


def has_colour(picture: Array) -> bool:
    """Whether there is colour in (H, W, 3) uint8, beyond what compression leaves in a grey picture."""
    if picture.ndim == 2:
        return False
    height, width = (min(side, _SAMPLE) for side in picture.shape[:2])
    few = cv2.resize(picture, (width, height), interpolation=cv2.INTER_NEAREST)
    blue, green, red = few[..., 0], few[..., 1], few[..., 2]
    apart = np.maximum(np.maximum(blue, green), red) - np.minimum(np.minimum(blue, green), red)
    return bool((apart > _COLOURED).sum() >= _SPOT or (apart > _TINTED).sum() * 100 > apart.size)


def _sample(picture: Array) -> npt.NDArray[np.float32]:
    """(N, 8, 8), grey, spread over the picture."""
    rows, columns = (
        np.linspace(0, side // _SIDE - 1, min(_ACROSS, side // _SIDE)).astype(int) * _SIDE for side in picture.shape[:2]
    )
    blocks = np.empty((len(rows), len(columns), _SIDE, _SIDE), np.float32)
    for into, row in zip(blocks, rows, strict=True):
        strip = picture[row : row + _SIDE]
        wide = np.concatenate([strip[:, column : column + _SIDE] for column in columns], 1)
        grey = cv2.cvtColor(wide, cv2.COLOR_BGR2GRAY) if wide.ndim == 3 else wide
        into[:] = grey.reshape(_SIDE, len(columns), _SIDE).swapaxes(0, 1)
    return blocks.reshape(-1, _SIDE, _SIDE)


def _reach(rings: Array, noise: float) -> float:
    """The frequency, of the highest there can be, up to which there is something to see."""
    power = np.maximum(np.maximum(rings - _MARGIN * noise**2, rings * 1e-3), 1e-6)
    level = 10 * np.log10(power / power[0]) - _EXPECTED
    smooth = np.convolve(np.concatenate([level[:1], level, level[-1:]]), [0.2, 0.6, 0.2], "valid")
    below = np.flatnonzero(smooth < _BREAK)
    if not len(below):
        return 1.0
    at = int(below[0])
    if not at:
        return 1 / _SIDE
    return float(at + (smooth[at - 1] - _BREAK) / (smooth[at - 1] - smooth[at])) / _SIDE
