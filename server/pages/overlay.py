"""Two pictures of a group, one laid over the other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from imgindex import Group, ImageFile, Pair


@dataclass(frozen=True)
class Overlay:
    """Two pictures of a group, the one below and the one above."""

    below: ImageFile
    above: ImageFile
    pair: Pair | None  # None: not proven of these two themselves
    transform: list[float] | None  # 3 x 3 by rows: unit coordinates of the one above to those of the one below


def overlay(
    group: Group, files: Mapping[int, ImageFile], pairs: Sequence[Pair], *, chosen: int | None, weakest: bool
) -> Overlay | None:
    """The one to keep and a chosen picture, or else the first other one; or the weakest pair. None for the same bytes.

    `files` has a file of each image, the one to keep first; `pairs` are its proven copies.
    """
    keeper, *others = files
    if not others or group.weakest is None:
        return None
    if weakest:
        pair: Pair | None = group.weakest
        below, above = (group.weakest.a, group.weakest.b)
        if above == keeper:
            below, above = above, below
    else:
        below, above = keeper, chosen if chosen in others and chosen is not None else others[0]
        pair = next((pair for pair in pairs if {pair.a, pair.b} == {below, above}), None)
    return Overlay(files[below], files[above], pair, _placed(pair, below) if pair else None)


def _placed(pair: Pair, below: int) -> list[float] | None:
    """The pair's transform from the one above to the one below; None where it has no inverse."""
    matrix = np.array(pair.transform, float).reshape(3, 3)
    if below == pair.a:
        try:
            matrix = np.linalg.inv(matrix)
        except np.linalg.LinAlgError:
            return None
    return [float(number) for number in (matrix / matrix[2, 2]).ravel()] if matrix[2, 2] else None
