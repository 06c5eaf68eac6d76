"""Which of several pictures that hold each other is the original.

In a set of edits it is the medoid: each edit differs from the original by its own change, two edits from each other by
both. Then no borders, no enlargement, more metadata, more detail; then ORDER, as a person wants it; the plainer path.
"""

import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

import numpy as np

from imgindex.errors import UsageError
from imgindex.facts import Facts
from imgindex.retention.gaps import PLACE, Holds, quality
from imgindex.retention.maps import around_middle, lay
from imgindex.retention.missed import told
from imgindex.retention.relations import Relation
from imgindex.retention.units import File

Size = tuple[int, int]  # width and height

_TURNED = 5.0  # degrees from which a picture counts as turned
_STRETCHED = 0.07  # log2 of the sides, from which it counts as stretched
_NOISE = 10.0  # grey values that count as much as a mirroring
_LIGHT = 25.0  # grey values that count as much as a mirroring
_CENTRAL = 0.05  # mean distance from the others that is no difference
_BORDER = 0.03  # of a picture beyond the edge of another, that shows nothing
_ENLARGED = 1.0  # log2 of pixels over those that have detail, that is no difference: blocks count for detail
_MANY = 30.0  # log2 of a share that is as good as none
_SHARP = 0.1  # log2 a side of detail that is no difference
_LEVEL = 5  # JPEG qualities that are no difference
_UNSEEN = 90  # JPEG quality from which there is none
_APART = 4.0  # distance of two pictures that nothing joins
_COPIED = re.compile(r"\bcopy\b|\(\d+\)$|~\d*$|[ _-](copy|kopie|copie|copia|kopia)\d*$", re.IGNORECASE)
_PASSING = re.compile(
    r"download|whatsapp|telegram|screenshot|messenger|received|\b(te?mp|cache|sent|trash|thumbs?|thumbnails?)\b",
    re.IGNORECASE,
)

_ORDERS: dict[str, Callable[[File, Facts | None], Any]] = {
    "pixels": lambda file, _: -file.width * file.height,
    "compression": lambda _, facts: _compression(facts),
    "oldest": lambda file, _: file.mtime_ns,
    "path": lambda file, _: plainness(file.path),
}
ORDER = tuple(_ORDERS)


def order_of(first: Sequence[str]) -> tuple[str, ...]:
    """These criteria, then the others in their usual order. Raises UsageError for an unknown one."""
    for name in first:
        if name not in _ORDERS:
            raise UsageError(f"Files are kept by {', '.join(ORDER)}, not by {name or 'nothing'}.")
    return tuple(dict.fromkeys([*first, *ORDER]))


class Originals:
    """Ranks the files of one group."""

    def __init__(
        self,
        files: Sequence[File],
        facts: Mapping[int, Facts],
        relations: Sequence[Relation],
        holds: Holds,
        order: Sequence[str],
    ) -> None:
        self._facts, self._holds = facts, holds
        names = order_of(order)
        self._ties = {file: tuple(_ORDERS[name](file, facts.get(file.image)) for name in names) for file in files}
        sizes = {file.image: (file.width, file.height) for file in sorted(files, key=lambda file: file.path)}
        inside = [each for each in relations if each.a in sizes and each.b in sizes and each.kind != "alike"]
        self._central = _central(sorted(sizes), inside, sizes)
        self._bordered = _bordered(inside)

    def rank(self, files: Sequence[File]) -> list[File]:
        """The likeliest original first."""
        most = min((self._central[file.image] for file in files), default=0.0)
        least = min((self._enlarged(file) for file in files), default=0.0)
        images = {file.image for file in files}
        finer = {image: self._finer(image, images) for image in images}
        finest = max(finer.values(), default=0.0)
        return sorted(files, key=lambda file: self._key(file, most, least, finest - finer[file.image]))

    def _finer(self, image: int, others: set[int]) -> float:
        """log2 a side of its detail over that of others that hold it."""
        holders = sorted(self._holds.of(image).keys() & others)
        return sum(self._holds.finer(image, other) for other in holders) / max(1, len(holders))

    def _key(self, file: File, most: float, least: float, coarser: float) -> tuple[Any, ...]:
        facts = self._facts.get(file.image)
        return (
            not file.kept,
            not file.preferred,
            file.volatile,
            facts is None,
            int((self._central[file.image] - most) / _CENTRAL),
            file.image in self._bordered,
            int((self._enlarged(file) - least) / _ENLARGED),
            -told(facts) if facts else 0,
            _damage(facts),
            int(coarser / _SHARP),
            *self._ties[file],
        )

    def _enlarged(self, file: File) -> float:
        """log2 of pixels over effective pixels."""
        facts = self._facts.get(file.image)
        pixels = file.width * file.height / 1e6
        known = facts is not None and facts.detail > 0 < pixels
        return max(-_MANY, min(_MANY, math.log2(pixels / facts.detail))) if facts and known else 0.0


def _central(
    images: list[int], relations: Sequence[Relation], sizes: Mapping[int, tuple[int, int]]
) -> dict[int, float]:
    """Mean distance from each image to the others, over others where two were not compared."""
    if len(images) == 1:
        return {images[0]: 0.0}
    at = {image: place for place, image in enumerate(images)}
    steps = np.full((len(images), len(images)), np.inf)
    for relation in relations:
        a, b = at[relation.a], at[relation.b]
        steps[a, b], steps[b, a] = _distances(relation, sizes[relation.a], sizes[relation.b])
    np.fill_diagonal(steps, 0)
    for between in range(len(images)):  # Floyd and Warshall's shortest ways
        steps = np.minimum(steps, steps[:, between, None] + steps[between])
    far = np.minimum(steps, _APART)
    return dict(zip(images, (far.sum(1) / max(1, len(images) - 1)).tolist(), strict=True))


def _distances(relation: Relation, a: Size, b: Size) -> tuple[float, float]:
    """From a to b and from b to a: 1 for a plain change. The way back is longer when it explains less."""
    turned, stretched = _turn(relation, a, b)
    both = (
        1e-6
        + relation.mirrored
        + (turned > _TURNED)
        + (stretched > _STRETCHED)
        + (1 - min(1.0, relation.share_a))
        + (1 - min(1.0, relation.share_b))
        + min(1.0, abs(relation.finer))
        + min(1.0, abs(relation.noisier) / _NOISE)
        + min(1.0, abs(relation.light) / _LIGHT)
    )
    return both + min(1.0, relation.place_ab / (2 * PLACE)), both + min(1.0, relation.place_ba / (2 * PLACE))


def _turn(relation: Relation, a: Size, b: Size) -> tuple[float, float]:
    """By how many degrees b is turned beside a, and log2 of by how much it is stretched, in its middle."""
    p, q, r, s = around_middle(lay(relation.transform).map)
    p, q, r, s = p * b[0] / a[0], q * b[0] / a[1], r * b[1] / a[0], s * b[1] / a[1]
    if p * s < q * r:
        p, r = -p, -r
    both, apart = math.hypot(p + s, r - q), math.hypot(p - s, r + q)  # sum and difference of the two sides
    turn = math.degrees(math.atan2(r - q, p + s))
    return abs(turn), math.log2((both + apart) / max(both - apart, 1e-9))


def _bordered(relations: Sequence[Relation]) -> set[int]:
    """Images that reach beyond most others and show nothing there: black corners, white margins."""
    beyond: dict[int, list[float]] = {}
    for relation in relations:
        if relation.kind in ("same", "version"):
            over = lay(relation.transform)
            beyond.setdefault(relation.a, []).append(relation.share_a - over.inside)
            beyond.setdefault(relation.b, []).append(relation.share_b - over.inside_back)
    return {image for image, shares in beyond.items() if median(shares) > _BORDER}


def _damage(facts: Facts | None) -> int:
    """Levels by which compression shows; its blocks look like detail, so this comes before that."""
    return -(min(_UNSEEN, facts.quality or _UNSEEN) // _LEVEL) if facts else 0


def _compression(facts: Facts | None) -> tuple[int, bool]:
    """Bytes a pixel are no quality: a noisy copy and a plain picture say nothing by them."""
    return (-(quality(facts) // _LEVEL), facts.subsampling == "4:2:0") if facts else (0, False)


def plainness(path: str) -> tuple[bool, bool, int, int, str]:
    """Not called a copy, not where files merely pass through, in few folders, short; then by name."""
    stem = os.path.splitext(os.path.basename(path))[0]
    return bool(_COPIED.search(stem)), bool(_PASSING.search(path)), path.count(os.sep), len(path), path
