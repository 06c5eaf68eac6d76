"""What goes is in what stays, by its pixels: random edits of a picture whose maps are known."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
import pytest

from imgindex.comparison.second_look import look
from imgindex.decoding.fineness import detail_and_noise, has_colour
from imgindex.facts import Facts
from imgindex.retention.holding import decide
from imgindex.retention.relations import Relation
from imgindex.retention.units import File
from tests.comparison.test_second_look import clipped, jpeg, scene
from tests.support import ATTACK

GROUPS, EDITS = 50 if ATTACK else 15, 4  # a second each; 200 edits in all
COARSER = 0.75  # of a picture's density, that its holder has at least
PLACE = 0.004  # of the picture: the largest place that may be other than in its holder
UNLIKE = 40  # grey values
BLACK = 14  # grey values below which corners are, compressed as they may be


@dataclass(frozen=True, eq=False)
class Edit:
    """(H, W, 3) uint8; where it lies in the original, each 0 to 1; its density beside it; whether it has colour."""

    pixels: np.ndarray
    onto: np.ndarray
    density: float = 1.0
    colour: bool = True
    quality: int = 95


def cropped(edit: Edit, rng: np.random.Generator) -> Edit:
    h, w = edit.pixels.shape[:2]
    ch, cw = (int(side * rng.uniform(0.7, 0.95)) for side in (h, w))
    y, x = int(rng.integers(0, h - ch)), int(rng.integers(0, w - cw))
    box = np.array([[cw / w, 0, x / w], [0, ch / h, y / h], [0, 0, 1]])
    return replace(edit, pixels=edit.pixels[y : y + ch, x : x + cw], onto=edit.onto @ box)


def mirrored(edit: Edit, rng: np.random.Generator) -> Edit:
    if rng.integers(2):
        return replace(edit, pixels=edit.pixels[:, ::-1], onto=edit.onto @ [[-1, 0, 1], [0, 1, 0], [0, 0, 1]])
    return replace(edit, pixels=edit.pixels[::-1], onto=edit.onto @ [[1, 0, 0], [0, -1, 1], [0, 0, 1]])


def turned(edit: Edit, rng: np.random.Generator) -> Edit:
    """By any small angle, with black corners."""
    h, w = edit.pixels.shape[:2]
    turn = cv2.getRotationMatrix2D((w / 2, h / 2), float(rng.uniform(8, 30)), 1)
    size = np.diag([1 / w, 1 / h, 1.0])
    back = size @ np.linalg.inv(np.vstack([turn, [0, 0, 1]])) @ np.linalg.inv(size)
    return replace(edit, pixels=cv2.warpAffine(edit.pixels, turn, (w, h), flags=cv2.INTER_CUBIC), onto=edit.onto @ back)


def smaller(edit: Edit, rng: np.random.Generator) -> Edit:
    factor = float(rng.uniform(0.4, 0.8))
    small = cv2.resize(edit.pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return replace(edit, pixels=small, density=edit.density * factor)


def compressed(edit: Edit, rng: np.random.Generator) -> Edit:
    quality = int(rng.integers(30, 90))
    return replace(edit, pixels=jpeg(edit.pixels, quality), quality=quality)


def toned(edit: Edit, rng: np.random.Generator) -> Edit:
    return replace(edit, pixels=clipped(255 * (edit.pixels / 255) ** rng.uniform(0.8, 1.25, 3)))


def greyed(edit: Edit, _rng: np.random.Generator) -> Edit:
    grey = cv2.cvtColor(cv2.cvtColor(edit.pixels, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    return replace(edit, pixels=grey, colour=False)


def stuck(edit: Edit, rng: np.random.Generator) -> Edit:
    """A disc over 1 to 6% of it; neither black nor white, which would be a border where it touches one."""
    pixels = np.ascontiguousarray(edit.pixels).copy()
    h, w = pixels.shape[:2]
    radius = int((rng.uniform(0.01, 0.06) * h * w / np.pi) ** 0.5)
    colour = [(0, 220, 255), (255, 0, 200), (30, 250, 40)][rng.integers(3)]
    cv2.circle(pixels, rng.integers(radius, (w - radius, h - radius)).tolist(), radius, colour, -1)
    return replace(edit, pixels=pixels)


WAYS = (cropped, mirrored, turned, smaller, compressed, toned, greyed, stuck)


def edits(seed: int) -> list[Edit]:
    """An original and edits of it by one or two ways each."""
    rng = np.random.default_rng(seed)
    original = Edit(scene(seed), np.eye(3))
    made = [original]
    for _ in range(EDITS):
        edit = original
        for way in rng.choice(len(WAYS), int(rng.integers(1, 3)), replace=False):
            edit = WAYS[way](edit, rng)
        made.append(replace(edit, pixels=np.ascontiguousarray(edit.pixels)))
    return made


def facts(edit: Edit) -> Facts:
    share, noise = detail_and_noise(edit.pixels)
    h, w = edit.pixels.shape[:2]
    colour = has_colour(edit.pixels)
    return Facts("jpeg", quality=edit.quality, detail=h * w / 1e6 * share, noise=noise, colour=colour)


def related(a: int, b: int, made: list[Edit]) -> Relation:
    map_ = np.linalg.inv(made[b].onto) @ made[a].onto
    seen = vars(look(made[a].pixels, made[b].pixels, tuple((map_ / map_[2, 2]).ravel())))
    values = {name: value for name, value in seen.items() if name != "where"}
    return Relation(a, b, score=1.0, mirrored=bool(np.linalg.det(map_[:2, :2]) < 0), **values)


def laid(holder: Edit, edit: Edit) -> tuple[np.ndarray, np.ndarray]:
    """The holder as it lies over the edit, and the share of what the edit shows that it covers there."""
    h, w = edit.pixels.shape[:2]
    hh, hw = holder.pixels.shape[:2]
    map_ = np.diag([hw, hh, 1.0]) @ np.linalg.inv(holder.onto) @ edit.onto @ np.diag([1 / w, 1 / h, 1.0])
    over = cv2.warpPerspective(holder.pixels, map_, (w, h), flags=cv2.INTER_AREA | cv2.WARP_INVERSE_MAP)
    yy, xx = np.mgrid[0:h, 0:w]
    at = edit.onto @ np.stack([(xx + 0.5) / w, (yy + 0.5) / h, np.ones((h, w))]).reshape(3, -1)
    black = cv2.morphologyEx(np.uint8(edit.pixels.max(axis=2) < BLACK), cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    shown = ((at[:2] > 0) & (at[:2] < 1)).all(axis=0) & (black.ravel() == 0)  # corners of a turned crop show nothing
    there = np.linalg.inv(holder.onto) @ at
    covered = ((there[:2] > 0) & (there[:2] < 1)).all(axis=0)
    inside = (shown & covered).reshape(h, w)
    assert inside.sum() > 0.97 * shown.sum()
    return over, cv2.erode(inside.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0


def unlike(holder: Edit, edit: Edit) -> float:
    """The largest place, as a share, where the edit is not what its holder in other light would be."""
    over, inside = laid(holder, edit)
    x, y = (cv2.GaussianBlur(each, (0, 0), 2).astype(np.float64) / 255 for each in (over, edit.pixels))
    terms = [np.ones(len(x[inside]))[:, None], x[inside], x[inside] ** 2, x[inside] ** 3]
    terms.append(x[inside][:, [0, 0, 1]] * x[inside][:, [1, 2, 2]])
    design, target, weight = np.hstack(terms), y[inside], np.ones(len(x[inside]))
    for _ in range(5):  # what is elsewhere counts little
        fit = np.linalg.lstsq(design * weight[:, None], target * weight[:, None], rcond=None)[0]
        rest = np.abs(design @ fit - target).max(axis=1) * 255
        weight = 1 / (1 + (rest / 10) ** 2)
    apart = np.zeros(inside.shape, np.uint8)
    apart[inside] = rest > UNLIKE
    _, _, found, _ = cv2.connectedComponentsWithStats(cv2.morphologyEx(apart, cv2.MORPH_OPEN, np.ones((3, 3))))
    return float(max(found[1:, cv2.CC_STAT_AREA], default=0) / apart.size)


def check(seed: int) -> int:
    """How many edits of a picture go, each of which is checked."""
    made = edits(seed)
    files = [
        File(f"/p/{number}.jpg", number, *edit.pixels.shape[1::-1], 1000, 0, 0, 0) for number, edit in enumerate(made)
    ]
    relations = [related(a, b, made) for a in range(len(made)) for b in range(a + 1, len(made))]
    gone = [one for one in decide(files, dict(enumerate(map(facts, made))), relations) if not one.stays]
    for decision in gone:
        edit, holder = made[decision.file.image], made[decision.held_by]
        assert holder.density >= COARSER * edit.density
        assert holder.colour or not edit.colour
        assert unlike(holder, edit) < PLACE
    return len(gone)


@pytest.mark.attack
@pytest.mark.parametrize("first", range(0, GROUPS, 5))
def test_what_stays_covers_what_goes(first):
    assert sum(map(check, range(first, first + 5))) >= 5  # else little was tried
