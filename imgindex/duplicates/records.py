"""Proven pairs, groups of files, and what they amount to."""

from dataclasses import dataclass
from typing import Literal

from imgindex.records import ImageFile


@dataclass(frozen=True)
class Pair:
    """Two images that show the same picture ("copy") or the same scene ("alike"), and the evidence."""

    a: int  # image ids, a < b
    b: int
    kind: Literal["copy", "alike"]
    score: float  # 0 to 1: how much of what is to be seen in the overlap agrees; 1 for the same pixels
    inliers: int  # keypoints that agree on the transform; 0 for the same pixels
    transform: tuple[float, ...]  # 3 x 3 by rows: a's coordinates to b's, each 0 to 1 across and down
    mirrored: bool
    overlap: float  # share of the smaller picture


@dataclass(frozen=True)
class Group:
    """Files that show the same picture, the one to keep first."""

    id: int  # stays while the group lives
    kind: Literal["exact", "near"]  # exact: all have the same bytes
    why: str  # what speaks for the first one
    files: tuple[ImageFile, ...]
    weakest: Pair | None  # the pair that holds the group together with the least evidence; None: exact
    loose: bool  # that pair alone joins two parts of at least two images each: look at it


class Redundancy:
    """What counts files, and those of them that are redundant."""

    files: int
    redundant: int

    @property
    def percent(self) -> float:
        """Redundant of its files, 0 to 100."""
        return 100 * self.redundant / self.files if self.files else 0.0


@dataclass(frozen=True)
class Duplicates(Redundancy):
    """All groups, and what they amount to, in files."""

    groups: tuple[Group, ...]  # the largest first
    alike: tuple[Pair, ...]  # the same scene, not the same picture; counted nowhere
    images: int
    files: int  # all that the index holds
    redundant: int  # those beyond the one to keep in each group
    calibration: str  # a sentence: when and how well `calibrate` measured this index, or that it should
