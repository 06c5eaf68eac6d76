"""Pairs that share something without one being a version of the other: parts, edits, other shots. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from imgindex.comparison.second_look import Box
from imgindex.duplicates.records import Pair
from imgindex.retention.maps import ITSELF, Map, inverse, is_map, within
from imgindex.retention.relations import Relation

Kind = Literal["part", "edited", "alike"]

OVERLAP = (
    0.2  # of the smaller picture, from which two that were not compared themselves share something; as for a proof
)
HOPS = 4  # from one picture to another, by pairs that were
LARGEST = 64  # images that hang together, up to which pairs that were not compared are worked out
Step = tuple[int, Map, str, float]  # to an image: the map there, how the two relate, and the score


@dataclass(frozen=True)
class Link:
    """How one image is related to another."""

    kind: Kind
    a: int
    b: int
    score: float
    share_a: float
    share_b: float
    transform: tuple[float, ...]
    where: tuple[Box, ...] = ()


def links(
    pairs: Iterable[Pair], relations: Mapping[tuple[int, int], Relation], group_of: Mapping[int, int]
) -> list[Link]:
    """All pairs of different groups that share something: those compared, and those that follow from them.

    Of proven copies that nobody has looked at closely yet it is not known how they relate, so nothing is told of them.
    """
    pairs = [pair for pair in pairs if pair.kind == "alike" or (pair.a, pair.b) in relations]
    copies = [pair for pair in pairs if pair.kind == "copy" and relations[pair.a, pair.b].kind != "alike"]
    found: dict[tuple[int, int], Link] = {}
    for part, inside in _parts(copies):
        if len(part) <= LARGEST and len({group_of.get(image, -image) for image in part}) > 1:
            found |= {(link.a, link.b): link for link in _derived(part, inside, relations)}
    for pair in pairs:
        seen = relations.get((pair.a, pair.b))
        if seen or (pair.a, pair.b) not in found:  # that they hang together by copies says more than a scene alike
            found[pair.a, pair.b] = _direct(pair, seen)
    return [
        link for (a, b), link in sorted(found.items()) if group_of.get(a) is None or group_of.get(a) != group_of.get(b)
    ]


def ends(links: Iterable[Link]) -> set[int]:
    """The images of some links."""
    return {image for link in links for image in (link.a, link.b)}


def _direct(pair: Pair, seen: Relation | None) -> Link:
    """What was seen of a pair; versions that are in different groups are there for what others of these show."""
    if seen is None:
        return Link("alike", pair.a, pair.b, pair.score, pair.overlap, pair.overlap, pair.transform)
    match seen.kind:
        case "part" | "alike" as other:
            kind: Kind = other
        case _:
            kind = "edited"
    return Link(kind, pair.a, pair.b, pair.score, seen.share_a, seen.share_b, seen.transform, seen.where)


def _parts(pairs: Iterable[Pair]) -> list[tuple[set[int], list[Pair]]]:
    """Images that hang together by these pairs, and the pairs of each such set."""
    pairs = list(pairs)
    parts: dict[int, set[int]] = {}
    for pair in pairs:
        one, two = (parts.setdefault(image, {image}) for image in (pair.a, pair.b))
        if one is not two:
            small, large = sorted((one, two), key=len)
            large |= small
            parts.update((image, large) for image in small)
    inside: dict[int, list[Pair]] = {}
    for pair in pairs:
        inside.setdefault(id(parts[pair.a]), []).append(pair)
    return [(parts[own[0].a], own) for own in inside.values()]


def _derived(part: set[int], pairs: Iterable[Pair], relations: Mapping[tuple[int, int], Relation]) -> Iterator[Link]:
    """Of each two images of a part that were not compared: what follows from the shortest way between them."""
    steps: dict[int, list[Step]] = {image: [] for image in part}
    for pair in pairs:
        seen = relations[pair.a, pair.b]
        steps[pair.a].append((pair.b, seen.transform, seen.kind, pair.score))
        steps[pair.b].append((pair.a, inverse(seen.transform), seen.kind, pair.score))
    for start in sorted(part):
        for end, (map_, kinds, score) in _reached(start, steps).items():
            if end <= start or not is_map(map_):
                continue
            shares = within(map_), within(inverse(map_))
            if max(shares) >= OVERLAP:
                kind: Kind = "part" if "part" in kinds else "edited"
                yield Link(kind, start, end, score, *shares, tuple(number / map_[8] for number in map_))


def _reached(start: int, steps: Mapping[int, list[Step]]) -> dict[int, tuple[Map, frozenset[str], float]]:
    found: dict[int, tuple[Map, frozenset[str], float]] = {start: (ITSELF, frozenset(), 1.0)}
    last = [start]
    for _ in range(HOPS):
        following: list[int] = []
        for here in last:
            map_, kinds, score = found[here]
            for there, step, kind, strength in sorted(steps[here], key=lambda one: (-one[3], one[0])):
                if there not in found:
                    found[there] = (_after(map_, step), kinds | {kind}, min(score, strength))
                    following.append(there)
        last = following
    del found[start]
    return found


def _after(first: Map, then: Map) -> Map:
    """One map, and another on what it gives."""
    return tuple(
        sum(a * b for a, b in zip(then[row : row + 3], first[column::3], strict=True))
        for row in (0, 3, 6)
        for column in range(3)
    )
