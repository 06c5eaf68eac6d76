"""The files that stay, of which none holds another and that hold all others."""

from collections.abc import Callable, Mapping

import numpy as np

Rank = Callable[[list[int]], list[int]]


def kernel(holders: Mapping[int, frozenset[int]], forced: frozenset[int], rank: Rank) -> frozenset[int] | None:
    """What stays of those that `holders` names: `forced` ones, and others of which none is held by one that stays.

    Who is held by nobody comes first; where some hold each other in a circle, the first by `rank` is tried first. As
    tolerances are no equalities, a circle may have no answer; then it is None.
    """
    stay = set(forced)
    left = {one for one in holders if one not in stay and not holders[one] & stay}
    while left:
        for circle in _first(left, holders):
            chosen = _of_circle(rank(sorted(circle)), holders)
            if chosen is None:
                return None
            stay |= chosen
        left = {one for one in left - stay if not holders[one] & stay}
    return frozenset(stay)


def _first(left: set[int], holders: Mapping[int, frozenset[int]]) -> list[set[int]]:
    """Sets of those left that hold each other, and that no other of them holds."""
    if len(left) == 1:
        return [left]
    ones = sorted(left)
    at = {one: place for place, one in enumerate(ones)}
    reach = np.eye(len(ones), dtype=np.float32)
    for one in ones:
        for by in holders[one] & left:
            reach[at[one], at[by]] = 1
    for _ in range(len(ones).bit_length()):  # from one step to any number of them
        reach = np.minimum(reach @ reach, 1)
    free = ~(reach > reach.T).any(1)
    circles = {frozenset(ones[at] for at in np.flatnonzero(row)) for row in reach[free]}
    return [set(circle) for circle in sorted(circles, key=min)]


def _of_circle(ranked: list[int], holders: Mapping[int, frozenset[int]]) -> set[int] | None:
    for first in ranked:
        chosen = {first}
        rest = [one for one in ranked if one != first and first not in holders[one]]
        while rest:
            free = [one for one in rest if not any(one in holders[each] for each in chosen)]
            if not free:
                break
            chosen.add(free[0])
            rest = [one for one in rest if one != free[0] and free[0] not in holders[one]]
        else:
            return chosen
    return None
