"""Pairs -> groups of images, and ids that live on. Pure: no files, no database."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from imgindex.duplicates.records import Pair


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
