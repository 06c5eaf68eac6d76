"""Where one picture is not what the other, by one smooth map of colour and light, would look like there.

The map is fitted robustly: a curve of each colour and of lightness, mixing, and light that changes smoothly over the
picture. Where colours stay what they are, the three colours have one curve: a thing that alone changes its hue is no
filter of the picture.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_SAMPLES = 2_000  # pixels to which the map is fitted
_FITS = 5  # each weighs down what the one before does not explain
_WEIGHTS = np.array([0.299, 0.587, 0.114], np.float32)
_GREYS = np.array(
    [_WEIGHTS, _WEIGHTS[::-1], [0.2126, 0.7152, 0.0722], [1 / 3] * 3], np.float32
)  # as programs make grey
_DARK = 40  # grey value, below which colours are too faint to tell whether they stay
_STAYS = 6  # grey values by which a colour that stays may differ from grey otherwise than before
_ANCHOR = 0.25  # share of the overlap whose colours stay, from which no filter changes colours
_BLACK, _WHITE = 12, 252  # grey values beyond which a curve may have its ends
_EXACT = 3  # grey values within which nothing has changed
_COLOURED = 12  # grey values from grey
_KNOTS = 9  # of a curve from black to white
_RISING = np.arange(2 * _KNOTS - 1) != _KNOTS - 1  # the steps of the curve, and those of grey
_RISES = 3  # rounds in which steps that fall are made level
_STIFF = 1e-4  # of the samples' weight, towards curves without bends
_HAZE = 5  # fields of the lowest order
_ONE_CURVE = 0.02  # share of the samples, rare colours counting more, that one curve for all may leave
_FAINTEST = 0.05  # light in a corner, of that in the middle
_DOUBT = 12  # grey values for each e-fold of light that a place has more or less than the middle
_RIDGE = 1e-6  # of the samples' weight, towards factors of zero
_LIMIT = 8  # grey values, in places, that are nothing
_NOISE = 1.5  # as often what is left everywhere is nothing, either
_ROUGH = 0.2  # share of the range of values next to a pixel that a misregistration makes
_NEAR = (5, 5)  # pixels over which what is left is averaged, twice, so that noise and texture are nothing


@dataclass(frozen=True, eq=False)
class Unexplained:
    """The places, (n, 5) of x, y, width, height and area in pixels, largest first; and how much there is in all."""

    places: Array
    largest: float  # share of the overlap
    total: float
    noise: float  # grey values that are left where nothing is


def unexplained(x: Array, y: Array, inside: Array) -> Unexplained:
    """Where y is not what x would look like; (h, w, 3) uint8 both, (h, w) bool."""
    count = int(inside.sum())
    if count < 64:
        return Unexplained(np.zeros((0, 5), int), 1.0, 1.0, 0.0)
    expected, doubt = _expected(x, y, inside)
    left = cv2.subtract(y, expected, dtype=cv2.CV_32F)
    left *= inside[..., None]
    at = np.flatnonzero(inside)[:: max(1, count // _SAMPLES)]
    noise = float(np.median(np.maximum.reduce(np.abs(left.reshape(-1, 3)[at].T))))
    limit = doubt + _LIMIT + _NOISE * noise + _ROUGH * cv2.blur(_range(expected), (5, 5))
    odd = ((_most(cv2.blur(cv2.blur(left, _NEAR), _NEAR)) > limit) & inside).astype(np.uint8)
    odd = cv2.morphologyEx(odd, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    found = cv2.connectedComponentsWithStats(odd)[2][1:]
    found = found[np.argsort(-found[:, 4], kind="stable")]
    largest = float(found[0, 4] / count) if len(found) else 0.0
    return Unexplained(found, largest, float(odd.sum() / count), noise)


def _most(left: Array) -> Array:
    """(h, w): the largest of three differences, whatever its sign."""
    one, two, three = cv2.split(np.abs(left))
    return np.asarray(cv2.max(cv2.max(one, two), three))


def _range(picture: Array) -> Array:
    """(h, w) by how much grey values differ within a pixel's reach."""
    grey = cv2.transform(picture, _WEIGHTS[None])
    kernel = np.ones((3, 3), np.uint8)
    return np.asarray(cv2.dilate(grey, kernel) - cv2.erode(grey, kernel))


def _expected(x: Array, y: Array, inside: Array) -> tuple[Array, Array]:
    """(h, w, 3) float32, what x would look like by the map that explains y best; and (h, w), how far that may err."""
    at = np.flatnonzero(inside)[:: max(1, int(inside.sum()) // _SAMPLES)]
    values, target = (picture.reshape(-1, 3)[at].astype(np.float32) for picture in (x, y))
    h, w = inside.shape
    if _light_stays(values, target):
        return _faded(x, values, target), np.zeros((h, w), np.float32)
    places = _places(2 * (at % w) / w - 1, 2 * (at // w) / h - 1)
    *one, left = _fit(values, target, places, shared=True)
    if left > _ONE_CURVE and not _colours_stay(values, target):
        *three, rest = _fit(values, target, places, shared=False)
        one = three if rest < left else one
    return _apply(x, *one)


def _colours_stay(values: Array, target: Array) -> bool:
    """Whether many colours are as far from grey as they were."""
    before, after = ((v - (v @ _WEIGHTS)[:, None]) for v in (values, target))
    light = np.minimum(values @ _WEIGHTS, target @ _WEIGHTS) > _DARK
    stays = np.maximum.reduce(np.abs(before - after).T) < _STAYS
    return bool(stays[light].sum() > _ANCHOR * max(1, light.sum()))


def _light_stays(values: Array, target: Array) -> bool:
    """Whether much that is neither black nor white is just what it was, as no curve leaves it that changes others."""
    change = (target - values).T
    middle = (np.minimum.reduce(values.T) > _BLACK) & (np.maximum.reduce(values.T) < _WHITE)
    exact = middle & (np.maximum.reduce(np.abs(change)) < _EXACT)
    return bool(exact.mean() > _ANCHOR and np.abs(change[:, exact].mean(axis=1)).max() < _EXACT / 3)


def _faded(x: Array, values: Array, target: Array) -> Array:
    """(h, w, 3) float32: x with more or less of its colours, and the light that it has."""
    best, least = np.eye(3, dtype=np.float32), np.inf
    for weights in _GREYS:
        colour, after = ((v - (v @ weights)[:, None]).ravel() for v in (values, target))
        much = np.abs(colour) > _COLOURED
        factor = float(np.clip(np.median(after[much] / colour[much]), 0, 3)) if much.any() else 1.0
        mixing = factor * np.eye(3, dtype=np.float32) + (1 - factor) * weights
        miss = float(np.abs(values @ mixing.T - target).mean())
        if miss < least - 1e-3:
            best, least = mixing.astype(np.float32), miss
    return np.asarray(np.clip(cv2.transform(x.astype(np.float32), best), 0, 255))


def _tones(values: Array) -> Array:
    """(3, n, 5 + _KNOTS) float32: what each colour's value is made from, of (n, 3) values."""
    t = values / 255
    light = t @ _WEIGHTS
    common = [*t.T, light**2, light**3]
    away = (_KNOTS - 1) * t.T[..., None] - np.arange(_KNOTS, dtype=np.float32)
    hats = np.maximum(0, 1 - np.abs(away))
    return np.concatenate([np.tile(np.stack(common, axis=1), (3, 1, 1)), hats], axis=2)


def _places(u: Array, v: Array) -> Array:
    """(..., 18) float32: fields that change smoothly over the picture, of places from -1 to 1."""
    across, down = (
        [np.ones_like(one), one] for one in np.broadcast_arrays(*(np.asarray(side, np.float32) for side in (u, v)))
    )
    for sides in (across, down):
        for _ in range(5):
            sides.append(sides[-1] * sides[1])
    powers = [(i, n - i) for n in range(1, 5) for i in range(n + 1)] + [(6, 0), (4, 2), (2, 4), (0, 6)]
    means = [(i % 2 == 0) * (j % 2 == 0) / ((i + 1) * (j + 1)) for i, j in powers]  # so that they change no average
    fields = [across[i] * down[j] - np.float32(mean) for (i, j), mean in zip(powers, means, strict=True)]
    return np.stack(fields, axis=-1)


def _fit(values: Array, target: Array, places: Array, *, shared: bool) -> tuple[Array, Array, Array, float]:
    """The factors: (3, 14) of the tones, (3, 18) of the light's strength, (3, 5) of haze; and what they leave."""
    tones = _tones(values)
    target = np.ascontiguousarray(target.T)
    low, high = target < 3, target > 252
    rare = _rare(values)
    weight = np.where(low | high, np.float32(0.3), np.float32(1)) * rare
    wanted = target
    shown, gain = np.ascontiguousarray(values.T), np.ones_like(target)
    haze = np.broadcast_to(places[:, :_HAZE], (3, len(values), _HAZE))
    ends = np.cumsum([tones.shape[2], places.shape[1]])
    for _ in range(_FITS):  # each by the light and the tones that the one before found
        terms = np.concatenate([tones * gain[..., None], shown[..., None] / 255 * places, haze], axis=2)
        k, light, fog = np.split(_solve(terms, wanted + shown * (gain - 1), weight, shared=shared), ends, axis=1)
        light /= 255
        shown = (tones @ k[..., None])[..., 0]
        gain = np.clip(1 + light @ places.T, _FAINTEST, 5)
        seen = shown * gain + fog @ places[:, :_HAZE].T
        miss = np.maximum.reduce(np.abs(target - np.clip(seen, 0, 255)))
        weight = np.tile(rare / (1 + (miss / (2 * np.median(miss) + 2)) ** 2), (3, 1))
        wanted = np.where((low & (seen < target)) | (high & (seen > target)), seen, target)  # clipped: it may be more
    return k, light, fog, float(rare @ (miss > _LIMIT)) / len(values)


def _rare(values: Array) -> Array:
    """(n,) float32 weights, so that a colour that few pixels have is not left to the curves of the others."""
    cells = (values // 32).astype(int) @ np.array([1, 8, 64])
    weight = np.bincount(cells)[cells] ** np.float32(-0.5)
    return np.asarray(weight / weight.mean(), np.float32)


def _solve(terms: Array, target: Array, weight: Array, *, shared: bool) -> Array:
    """(3, terms) float32, by least squares, for (3, n, terms) and (3, n) values and weights; curves only rise."""
    weighted = (terms * weight[..., None]).transpose(0, 2, 1)
    squares, sums = weighted @ terms, (weighted @ target[..., None])[..., 0]
    bend, rise = _stiffness(terms.shape[2])
    scale = target.shape[1]
    if shared:
        squares, sums, scale = squares.sum(axis=0)[None], sums.sum(axis=0)[None], 3 * scale
    squares = squares + scale * bend
    k = np.linalg.solve(squares, sums[..., None])[..., 0]
    for _ in range(_RISES):
        falls = (k @ rise.T < -1e-3).astype(float)
        if not falls.any():
            break
        k = np.linalg.solve(squares + scale * (rise.T * falls[:, None]) @ rise, sums[..., None])[..., 0]
    return np.broadcast_to(k, (3, terms.shape[2])).astype(np.float32)


@cache
def _stiffness(terms: int) -> tuple[Array, Array]:
    """(terms, terms) by which no factor is large without need and curves bend little; (n, terms) of what must rise."""
    curve = np.eye(terms)[5 : 5 + _KNOTS]
    bend = np.diff(curve, 2, axis=0)
    t = np.linspace(0, 1, _KNOTS)
    grey = curve.copy()
    grey[:, :3], grey[:, 3], grey[:, 4] = t[:, None], t**2, t**3
    return _RIDGE * np.eye(terms) + _STIFF * bend.T @ bend, np.diff(np.vstack([curve, grey]), axis=0)[_RISING]


@cache
def _grid() -> Array:
    """(33, 33, 18): the fields, at places from which they are interpolated."""
    return _places(np.linspace(-1, 1, 33)[None], np.linspace(-1, 1, 33)[:, None])


def _apply(x: Array, k: Array, light: Array, fog: Array) -> tuple[Array, Array]:
    """As `_expected`: the map as tables of grey values, as a picture has many pixels."""
    h, w = x.shape[:2]
    t = np.arange(256) / 255
    grey = cv2.transform(x, _WEIGHTS[None])
    done = cv2.transform(x.astype(np.float32), k[:, :3] / 255)
    done += cv2.LUT(cv2.merge([grey] * 3), (k[:, 3:4] * t**2 + k[:, 4:5] * t**3).T[None].astype(np.float32))
    curves = [np.interp(t, np.linspace(0, 1, _KNOTS), curve) for curve in k[:, 5:]]
    done += cv2.LUT(x, np.array(curves, np.float32).T[None])
    gain = np.clip(1 + _grid() @ light.T, _FAINTEST, 5)
    doubt = cv2.resize(_DOUBT * np.abs(np.log(gain)).mean(axis=2), (w, h), interpolation=cv2.INTER_LINEAR)
    gain = cv2.resize(gain, (w, h), interpolation=cv2.INTER_LINEAR)
    haze = cv2.resize(_grid()[..., :_HAZE] @ fog.T, (w, h), interpolation=cv2.INTER_LINEAR)
    done = cv2.add(cv2.multiply(done, gain), haze)
    return np.clip(done, 0, 255, out=done), doubt
