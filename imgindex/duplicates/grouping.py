"""Pairs -> groups, and which file of a group to keep. Pure: no files, no database."""

import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from imgindex.duplicates.records import Group, Pair
from imgindex.errors import UsageError
from imgindex.records import ImageFile

# What makes a file the one to keep, by name: the smallest key wins; how it is said.
_ORDERS: dict[str, tuple[Callable[[ImageFile], Any], str]] = {
    "pixels": (lambda file: -file.width * file.height, "it has more pixels"),
    "compression": (lambda file: -round(file.bytes / (file.width * file.height), 3), "it is compressed less"),
    "oldest": (lambda file: file.mtime_ns, "it is older"),
    "path": (lambda file: _plainness(file.path), "its path is plainer"),
}
ORDER = tuple(_ORDERS)
_COPIED = re.compile(r"\bcopy\b|\(\d+\)$|~\d*$|[ _-](copy|kopie|copie|copia)\d*$", re.IGNORECASE)


@dataclass(frozen=True)
class Component:
    """Images that hang together by proven pairs."""

    images: frozenset[int]
    weakest: Pair | None  # the last of the pairs that join them, the strongest first; None for a single image
    loose: bool  # that pair alone joins two parts of at least two images each


def connect(pairs: Iterable[Pair], apart: Iterable[tuple[int, int]], names: Mapping[int, bytes]) -> list[Component]:
    """Images that `pairs` join, the strongest pair first, never putting two of `apart` together.

    `names`, an image's content, settles the order of equal pairs, so that the result does not depend on ids.
    This is Kruskal's maximum spanning forest: a component's weakest pair is the strongest bottleneck that it can have.
    """
    parts: dict[int, set[int]] = {}  # each image's part, shared by all in it
    foes: dict[int, set[int]] = {}
    for a, b in apart:
        foes.setdefault(a, set()).add(b)
        foes.setdefault(b, set()).add(a)
    joins: dict[int, tuple[Pair, frozenset[int], frozenset[int]]] = {}  # by id() of a part: how it last grew
    strongest = sorted(pairs, key=lambda pair: (-pair.score, -pair.inliers, *sorted((names[pair.a], names[pair.b]))))
    for pair in strongest:
        one, two = (parts.setdefault(image, {image}) for image in (pair.a, pair.b))
        if one is two or any(not foes[image].isdisjoint(two) for image in foes.keys() & one):
            continue
        small, large = sorted((one, two), key=len)
        joined = (pair, frozenset(one), frozenset(two)) if len(small) > 1 else (pair, frozenset(), frozenset())
        large |= small
        parts.update((image, large) for image in small)
        joins[id(large)] = joined
    neighbours: dict[int, set[int]] = {}
    for pair in strongest:
        neighbours.setdefault(pair.a, set()).add(pair.b)
        neighbours.setdefault(pair.b, set()).add(pair.a)
    components = []
    for part in {id(part): part for part in parts.values()}.values():
        if len(part) > 1:
            weakest, one_side, other = joins[id(part)]
            across = sum(len(neighbours[image] & other) for image in one_side)
            components.append(Component(frozenset(part), weakest, across == 1))
    return components


def name(components: Iterable[Component], before: Mapping[int, int], fresh: int) -> list[tuple[int, Component]]:
    """Give each component the id of the group that most of its images were in before; else a fresh one, counting on.

    Where two want the same id, the one with more of that group's images has it.
    """
    wishes = []
    components = list(components)
    for at, component in enumerate(components):
        votes: dict[int, int] = {}
        for image in component.images & before.keys():
            votes[before[image]] = votes.get(before[image], 0) + 1
        wishes += [(-count, group, min(component.images), at) for group, count in votes.items()]
    given: dict[int, int] = {}
    taken: set[int] = set()
    for _, group, _, at in sorted(wishes):
        if at not in given and group not in taken:
            given[at] = group
            taken.add(group)
    for at in sorted(range(len(components)), key=lambda at: min(components[at].images)):
        if at not in given:
            given[at] = fresh
            fresh += 1
    return [(given[at], component) for at, component in enumerate(components)]


def group(
    number: int, component: Component, files: Sequence[ImageFile], order: Sequence[str], kept: Collection[str]
) -> Group:
    """The files of a component as a group, the one to keep first."""
    ranked = sorted(files, key=lambda file: (file.path not in kept, *(_ORDERS[name][0](file) for name in order)))
    why = _why(ranked[0], ranked[1], order, kept)
    exact = len(component.images) == 1
    return Group(number, "exact" if exact else "near", why, tuple(ranked), component.weakest, component.loose)


def _why(first: ImageFile, second: ImageFile, order: Sequence[str], kept: Collection[str]) -> str:
    if first.path in kept:
        return "you chose it"
    return next(
        (_ORDERS[name][1] for name in order if _ORDERS[name][0](first) != _ORDERS[name][0](second)), "it is the first"
    )


def order_of(first: Sequence[str]) -> tuple[str, ...]:
    """These criteria, then the others in their usual order. Raises UsageError for an unknown one."""
    for name in first:
        if name not in _ORDERS:
            raise UsageError(f"Files are kept by {', '.join(ORDER)}, not by {name or 'nothing'}.")
    return tuple(dict.fromkeys([*first, *ORDER]))


def _plainness(path: str) -> tuple[bool, int, int, str]:
    """Not called a copy, in few folders, short; then by name."""
    stem = os.path.splitext(os.path.basename(path))[0]
    return bool(_COPIED.search(stem)), path.count(os.sep), len(path), path
