"""How two images relate, seen closely: what of each lies in the other."""

import math
from dataclasses import dataclass
from typing import Literal

from imgindex.comparison.second_look import Box
from imgindex.retention.maps import is_map

Kind = Literal["same", "version", "part", "edited", "alike"]


@dataclass(frozen=True)
class Relation:
    """Of images a and b; shares are of what there is to see."""

    a: int
    b: int
    kind: Kind
    score: float  # 0 to 1
    share_a: float  # of a, that lies in b
    share_b: float
    place_ab: float  # largest place where b is not what a by one smooth map of light would look like; of the overlap
    place_ba: float
    finer: float  # log2 a side of a's detail over b's, where they overlap
    noisier: float  # a's noise minus b's, in grey values
    transform: tuple[float, ...]  # 3 x 3 by rows: a's coordinates to b's, each 0 to 1 across and down
    mirrored: bool
    light: float = 0.0  # grey values by which light and colours differ, in the middle of what both show
    stretched: int = 0  # 1: b was stretched out of a, which added no detail; -1: a out of b
    where: tuple[Box, ...] = ()  # the places where they differ, in a, the largest first

    @property
    def possible(self) -> bool:
        """Whether two pictures can relate so; else nothing was seen that could be relied on."""
        shares = self.share_a, self.share_b, self.place_ab, self.place_ba
        measures = self.score, self.finer, self.noisier, self.light
        return all(0 <= one <= 1 for one in shares) and all(map(math.isfinite, measures)) and is_map(self.transform)


def same_pixels(a: int, b: int) -> Relation:
    """Of two images whose frames have the same pixels."""
    whole, none, unmoved = (1.0, 1.0, 1.0), (0.0, 0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    return Relation(a, b, "same", *whole, *none, unmoved, mirrored=False)
