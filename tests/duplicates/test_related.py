"""Which pairs are related without being versions of each other, from what was seen of pairs."""

from dataclasses import replace

import pytest

from imgindex.duplicates.records import Pair
from imgindex.duplicates.related import Link, links
from imgindex.retention.relations import Relation, same_pixels

LEFT = (0.5, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def pair(a: int, b: int, kind: str = "copy") -> Pair:
    return Pair(a, b, kind, 0.9, 30, LEFT, False, 1.0)


def seen(a: int, b: int, kind: str, transform: tuple[float, ...] = LEFT) -> Relation:
    return replace(same_pixels(a, b), kind=kind, transform=transform)


def told(pairs: list[Pair], *relations: Relation) -> list[tuple[str, int, int]]:
    return [(one.kind, one.a, one.b) for one in found(pairs, *relations)]


def found(pairs: list[Pair], *relations: Relation) -> list[Link]:
    return links(pairs, {(one.a, one.b): one for one in relations}, {})


def test_of_copies_that_nobody_looked_at_nothing_is_told():
    assert told([pair(1, 2)]) == []
    assert told([pair(1, 2), pair(2, 3)], seen(2, 3, "part")) == [("part", 2, 3)]
    assert told([pair(1, 2, "alike")]) == [("alike", 1, 2)]


def test_what_was_seen_is_told():
    pairs = [pair(1, 2), pair(1, 3), pair(1, 4)]
    relations = [seen(1, 2, "edited"), seen(1, 3, "alike"), seen(1, 4, "part")]
    assert told(pairs, *relations) == [("edited", 1, 2), ("alike", 1, 3), ("part", 1, 4), ("part", 2, 4)]


def test_what_follows_lies_where_both_maps_bring_it():
    (link,) = [
        one for one in found([pair(1, 2), pair(2, 3)], seen(1, 2, "part"), seen(2, 3, "edited")) if one.b - one.a > 1
    ]
    assert (link.kind, link.a, link.b) == ("part", 1, 3)
    assert link.transform == pytest.approx((0.25, 0, 0, 0, 1, 0, 0, 0, 1))
    assert (link.share_a, link.share_b) == (pytest.approx(1), pytest.approx(0.25))
