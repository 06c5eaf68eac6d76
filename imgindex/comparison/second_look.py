"""How two pictures relate of which a proof says that one lies over the other: what each holds, and where they differ.

Both are laid over each other in the detail of the coarser one. Of imgindex it imports only its own room, as a decoder
child looks.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from imgindex.comparison import borders, detail
from imgindex.comparison.explain import Unexplained, unexplained
from imgindex.comparison.overlay import Overlay, growth, lay
from imgindex.comparison.stretch import stretched
from imgindex.comparison.strips import pieces, squares

Array = npt.NDArray[Any]
Kind = Literal["version", "part", "edited", "alike"]

SIDE = 1024  # pixels of the longer side that a picture is looked at, of a strip `strips.reach`
_WHOLE = 0.98  # share from which a picture is wholly in another: a map is right to a pixel or two at the edges
_SET_OFF = 0.18  # share of an edge with a seam; crops had at most .11, collages and pages .30 and more
_PLACE = 0.0008  # of the overlap, from which it is an edit; quality 10 made .0006, a word on a page .0009
_ALIKE_PLACES = 4  # as often as the smaller one, the larger of two places may be the same difference
_LEAST_PLACE = 24  # pixels of the frame
_LOOSE = 0.6  # pixels by which the tiles bend, from which it is another shot
_BLURRED = 0.5  # octaves
_BOXES = 12


@dataclass(frozen=True)
class Box:
    """A place in the first picture, 0 to 1 across and down."""

    x: float
    y: float
    w: float
    h: float


@dataclass(frozen=True)
class Relation:
    """What a and b are to each other. Borders in which there is nothing to see do not count."""

    kind: Kind
    share_a: float  # of a, how much lies in b
    share_b: float
    # The largest place where b is not what a would look like, as a share of the overlap, of a strip of a square of it.
    place_ab: float  # 1: nothing could be compared
    place_ba: float
    finer: float  # log2 of a's finest real detail over b's, per side; above 0: a shows finer detail
    noisier: float  # grey values of noise of a less those of b
    transform: tuple[float, ...]  # 3 x 3 by rows: a's coordinates to b's, each 0 to 1 across and down
    where: tuple[Box, ...]  # where they differ, largest first
    light: float = 0.0  # grey values by which light and colours differ, in the middle of all that both show
    stretched: int = 0  # 1: b was stretched out of a, which added no detail; -1: a out of b


def look(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8], transform: tuple[float, ...] | Array) -> Relation:
    """Both (H, W, 3) uint8 with their colours in one order, at most SIDE pixels a side; a's coordinates to b's.

    look(b, a, inverse) says the same the other way round.
    """
    map_ = np.reshape(np.asarray(transform, np.float64), (3, 3))
    if _after(a, b, map_):
        return _look(b, a, np.linalg.inv(map_), mirrored=True)
    return _look(a, b, map_, mirrored=False)


def _after(a: Array, b: Array, map_: Array) -> bool:
    """Whether a is laid under b, as the coarser one is; an order that is the same for (b, a)."""
    area = growth(map_) * (b.shape[0] * b.shape[1]) / (a.shape[0] * a.shape[1])
    if abs(np.log(area)) > 1e-3:
        return bool(area > 1)
    return (a.shape, a.tobytes()) > (b.shape, b.tobytes())


def _look(a: Array, b: Array, map_: Array, *, mirrored: bool) -> Relation:
    over = lay(a, b, map_)
    if over is None:
        share = (0.0, 0.0)
        return _relation("alike", share, (1.0, 1.0), 0.0, 0.0, map_, (), mirrored)
    shares, set_off, inside = _holdings(a, b, over)
    x, y = (_soft(picture) for picture in _equally_sharp(over))
    there, back = unexplained(x, y, inside), unexplained(y, x, inside)
    places = _place(there, over), _place(back, over)
    kind = _kind(over, _kept(shares, a, b), set_off, places)
    greys = [cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY) for picture in (a, b, over.y)]
    finer = _finer(greys, over, inside)
    noisier = detail.noise(greys[0]) - detail.noise(greys[1])
    boxes = _boxes(min(there, back, key=lambda one: one.largest), over, over.onto_y if mirrored else over.onto_x)
    relation = _relation(kind, shares, places, finer, noisier, over.map_, boxes, mirrored)
    way = stretched(a, b, over.map_)
    return replace(relation, light=_light(x, y, inside), stretched=-way if mirrored else way)


def _light(x: Array, y: Array, inside: Array) -> float:
    if not inside.any():
        return 0.0
    return float(np.median(cv2.absdiff(x, y).max(axis=2)[inside]))


def _relation(
    kind: Kind,
    shares: tuple[float, float],
    places: tuple[float, float],
    finer: float,
    noisier: float,
    map_: Array,
    boxes: tuple[Box, ...],
    mirrored: bool,
) -> Relation:
    if mirrored:
        shares, places, finer, noisier, map_ = shares[::-1], places[::-1], -finer, -noisier, np.linalg.inv(map_)
    flat = tuple(float(value) for value in (map_ / map_[2, 2]).ravel())
    return Relation(kind, *shares, *places, finer, noisier, flat, boxes)


def _holdings(a: Array, b: Array, over: Overlay) -> tuple[tuple[float, float], float, Array]:
    """How much of either the other has; how far one is set off from what is around it; and where both can be seen."""
    blank_a, blank_b = borders.blank(a), borders.blank(b)
    back = np.linalg.inv(over.map_)
    hidden_a, hidden_b = borders.hides(blank_a, blank_b, back), borders.hides(blank_b, blank_a, over.map_)
    shares = borders.share(blank_a.seen, hidden_b, over.map_), borders.share(blank_b.seen, hidden_a, back)
    inside = over.inside & _open(hidden_a, hidden_b, over)
    if min(shares) >= _WHOLE or max(shares) < _WHOLE:
        return shares, 0.0, inside
    smaller, larger, map_ = (b, a, over.map_) if shares[1] >= _WHOLE else (a, b, back)
    seams, plain = borders.seam(larger, map_)
    # What is smooth around a crop, as a sky, is like an echo, too, but goes on without a seam.
    if seams > _SET_OFF and borders.echo(smaller, larger, np.linalg.inv(map_)):
        return (1.0, shares[1]) if larger is a else (shares[0], 1.0), 0.0, inside
    return shares, max(seams, plain if plain > 0.97 else 0.0), inside


def _open(hidden_a: Array, hidden_b: Array, over: Overlay) -> Array:
    """(h, w) bool, in the frame: not where a border of the one lies over the other."""
    h, w = over.inside.shape
    one, other = (
        borders.frame(255 * hidden.astype(np.uint8), (h, w), onto)
        for hidden, onto in ((hidden_a, over.onto_x), (hidden_b, over.onto_y))
    )
    return np.asarray(cv2.dilate(cv2.max(one, other), np.ones((7, 7), np.uint8)) < 5)


def _equally_sharp(over: Overlay) -> tuple[Array, Array]:
    """Both pictures, the sharper one blurred as the other is."""
    one, other = (cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY) for picture in (over.x, over.y))
    octaves = detail.blurrier(one, other, over.inside)
    if not octaves:
        return over.x, over.y
    blur = detail.blur_of(abs(octaves))
    if octaves > 0:
        return cv2.GaussianBlur(over.x, (0, 0), blur), over.y
    return over.x, cv2.GaussianBlur(over.y, (0, 0), blur)


def _soft(picture: Array) -> Array:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 1))


def _place(found: Unexplained, over: Overlay) -> float:
    """The largest place as a share of the overlap, of a strip of a square of that."""
    return min(1.0, found.largest * squares(*over.y.shape[:2]))


def _kept(shares: tuple[float, float], a: Array, b: Array) -> tuple[float, float]:
    """Shares, in which what a strip lacks counts as what a piece of it lacks."""
    one, other = (1 - (1 - share) * pieces(*picture.shape[:2]) for share, picture in zip(shares, (a, b), strict=True))
    return one, other


def _kind(over: Overlay, shares: tuple[float, float], set_off: float, places: tuple[float, float]) -> Kind:
    if over.loose > _LOOSE:
        return "alike"
    if max(shares) < _WHOLE or set_off > _SET_OFF:
        return "part"
    least, most = sorted(places)
    place = (least * most) ** 0.5 if most < _ALIKE_PLACES * least else least
    if place >= max(_PLACE, _LEAST_PLACE * squares(*over.y.shape[:2]) / max(1, over.inside.sum())):
        return "edited"
    return "version"


def _finer(greys: list[Array], over: Overlay, inside: Array) -> float:
    """log2 of a's finest real detail over b's: in the frame, and what either has beyond it."""
    a, b, y = greys
    octaves = detail.blurrier(over.fine, y, inside)
    one = detail.beyond(a, over.shrunk[0]) * _sharp(octaves)
    other = detail.beyond(b, over.shrunk[1]) * _sharp(-octaves)
    return octaves + one - other


def _sharp(octaves: float) -> float:
    """1 for what is not blurred in the frame, down to 0: what is blurred there has no finer detail beyond."""
    return min(1.0, max(0.0, 1 + octaves / _BLURRED))


def _boxes(found: Unexplained, over: Overlay, onto: Array) -> tuple[Box, ...]:
    """Where they differ, in the coordinates of the picture that the frame's lead to."""
    h, w = over.inside.shape
    boxes = []
    for left, top, width, height, _ in found.places[:_BOXES]:
        sides = [[x / w, y / h, 1] for x in (left, left + width) for y in (top, top + height)]
        moved = np.array(sides) @ onto.T
        moved = (moved[:, :2] / moved[:, 2:]).clip(0, 1)
        low, size = moved.min(axis=0), np.ptp(moved, axis=0)
        boxes.append(Box(float(low[0]), float(low[1]), float(size[0]), float(size[1])))
    return tuple(boxes)
