"""Proven pairs, groups of files, and what they amount to."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from imgindex.comparison.second_look import Box
from imgindex.facts import Facts
from imgindex.records import ImageFile, Sha256, same_file

Held = Literal["exact", "same", "version"]


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
class GroupFile(ImageFile):
    """A file of a group, and what becomes of it."""

    stays: bool = True
    why: str = ""  # a few words: why it stays, or what holds it
    held_by: int | None = None  # the image that has all that it has, where it does not stay
    holder: str | None = None  # the path of that
    holder_sha256: Sha256 | None = None
    held: Held | None = None  # by the same bytes, the same pixels, or more than that
    facts: Facts | None = None  # None: it was not looked at closely yet
    chosen: bool = False  # a person said that it stays
    unit: str | None = None  # a name for the shot whose raw and developed files stay or go together


@dataclass(frozen=True)
class Group:
    """Files that show the same picture: those that stay, the likeliest original first, then those that may go."""

    id: int  # stays while the group lives
    kind: Literal["exact", "near"]  # exact: all have the same bytes
    files: tuple[GroupFile, ...]
    weakest: Pair | None  # the pair that holds the group together with the least evidence; None: exact
    loose: bool  # that pair alone joins two parts of at least two images each: look at it

    @property
    def why(self) -> str:
        """What speaks for the first one."""
        return self.files[0].why

    @property
    def redundant(self) -> tuple[GroupFile, ...]:
        """The files that one that stays holds."""
        return tuple(file for file in self.files if not file.stays)


@dataclass(frozen=True)
class Related:
    """Two images of which neither is a version of the other, though both show something of one scene or picture."""

    kind: Literal["part", "edited", "alike"]
    a: ImageFile  # the first file of each
    b: ImageFile
    score: float
    share_a: float  # of what there is to see in a, that lies in b
    share_b: float
    transform: tuple[float, ...]
    where: tuple[Box, ...]  # where they differ, in a


def once(files: Iterable[GroupFile]) -> list[GroupFile]:
    """These files, each by one of its paths."""
    return list({same_file(file): file for file in files}.values())


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
    related: tuple[Related, ...]  # counted nowhere
    images: int
    files: int  # all that the index holds
    redundant: int  # those that a file which stays holds; several paths of one count once
    bytes: int  # that would be free without them
    calibration: str  # a sentence: when and how well `calibrate` measured this index, or that it should
