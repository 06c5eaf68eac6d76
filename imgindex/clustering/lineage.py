"""Themes from run to run: which cluster is which theme, and what split, merged and moved. Pure."""

from collections.abc import Mapping

import numpy as np

from imgindex.clustering.records import Lineage
from imgindex.types import Labels

ALIVE = 0.5  # a theme lives on in a cluster that has so much of it, or so much of which it is
PART = 0.2  # of a theme's images: a part that counts when it splits


def heirs(before: Labels, after: Labels) -> dict[int, int]:
    """(N,) themes before, -1 for none, and (N,) clusters now -> the theme that each cluster carries on, where it does.

    Linear assignment on shared members (Kuhn 1955, "The Hungarian method").
    """
    from scipy.optimize import linear_sum_assignment

    themes, shared = _shared(before, after)
    rows, columns = linear_sum_assignment(shared, maximize=True)
    alive = shared >= ALIVE * np.minimum(shared.sum(1, keepdims=True), np.bincount(after))
    return {
        int(column): int(themes[row])
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
        if shared[row, column] and alive[row, column]
    }


def lineage(before: Labels, after: Labels, names: Mapping[int, int]) -> Lineage:
    """What became of the themes of (N,) `before`, -1 for none; `names` gives each cluster of (N,) `after` its theme."""
    themes, shared = _shared(before, after)
    now = np.array([names[cluster] for cluster in range(len(names))], np.int64)
    of_theme = shared / np.maximum(shared.sum(1, keepdims=True), 1)
    splits = tuple(
        (int(theme), tuple(now[row >= PART].tolist()))
        for theme, row in zip(themes.tolist(), of_theme, strict=True)
        if (row >= PART).sum() > 1
    )
    merges = tuple(
        (tuple(themes[column > ALIVE].tolist()), int(theme))
        for theme, column in zip(now.tolist(), of_theme.T, strict=True)
        if (column > ALIVE).sum() > 1
    )
    known = before >= 0
    stayed = int((now[after[known]] == before[known]).sum())
    old, held = {*themes.tolist()}, {*now.tolist()}
    return Lineage(
        kept=tuple(sorted(old & held)),
        new=tuple(sorted(held - old)),
        gone=tuple(sorted(old - held)),
        splits=splits,
        merges=merges,
        stayed=stayed,
        moved=int(known.sum()) - stayed,
    )


def _shared(before: Labels, after: Labels) -> tuple[Labels, Labels]:
    """(T,) the themes, and (T, k) how many images each shares with each cluster."""
    known = before >= 0
    themes, rows = np.unique(before[known], return_inverse=True)
    shared = np.zeros((len(themes), int(after.max()) + 1), np.int64)
    np.add.at(shared, (rows, after[known]), 1)
    return themes, shared
