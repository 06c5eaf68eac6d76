"""What becomes of themes from run to run."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from imgindex.clustering.lineage import heirs, lineage


def labels(*counts: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Of triples: so many images of this theme (-1: new ones) are in this cluster now."""
    rows = [(theme, cluster) for number, theme, cluster in counts for _ in range(number)]
    before, after = np.array(rows, np.int64).T
    return before, after


def named(before, after) -> dict[int, int]:
    """As a run does: the heirs, and new numbers for the others."""
    inherited = heirs(before, after)
    return {cluster: inherited.get(cluster, 1000 + cluster) for cluster in range(int(after.max()) + 1)}


def told(*counts: tuple[int, int, int]):
    before, after = labels(*counts)
    return lineage(before, after, named(before, after))


def test_what_only_changed_its_number_stays():
    counts = (10, 7, 2), (20, 3, 0), (5, 90, 1)
    assert heirs(*labels(*counts)) == {2: 7, 0: 3, 1: 90}
    found = told(*counts)
    assert found.kept == (3, 7, 90)
    assert (found.new, found.gone, found.splits, found.merges) == ((), (), (), ())
    assert (found.stayed, found.moved) == (35, 0)


@pytest.mark.parametrize("seed", range(10))
def test_numbers_mean_nothing(seed):
    dice = np.random.default_rng(seed)
    before, after = dice.integers(-1, 6, 500), dice.integers(0, 7, 500)
    after[before >= 0] = np.where(dice.random(500) < 0.7, before, after)[before >= 0]
    inherited = heirs(before, after)
    theme, cluster, order = dice.permutation(6) * 10 + 5, dice.permutation(7), dice.permutation(500)
    renamed = heirs(np.where(before < 0, -1, theme[before])[order], cluster[after][order])
    assert renamed == {int(cluster[one]): int(theme[other]) for one, other in inherited.items()}
    assert len(inherited) >= 5


def test_grown_by_new_images():
    found = told((10, 1, 0), (40, -1, 0), (20, 2, 1), (3, -1, 1))
    assert found.kept == (1, 2)
    assert found.new == ()
    assert (found.stayed, found.moved) == (30, 0)


def test_a_new_theme():
    before, after = labels((10, 1, 0), (20, 2, 1), (30, -1, 2))
    assert heirs(before, after) == {0: 1, 1: 2}
    found = told((10, 1, 0), (20, 2, 1), (30, -1, 2))
    assert found.new == (1002,)
    assert found.gone == found.splits == found.merges == ()


def test_the_first_run_has_new_themes_only():
    found = told((10, -1, 0), (20, -1, 1))
    assert found.new == (1000, 1001)
    assert (found.kept, found.gone, found.splits, found.merges) == ((), (), (), ())
    assert (found.stayed, found.moved) == (0, 0)


def test_a_split_is_inherited_by_the_larger_part():
    found = told((12, 5, 0), (8, 5, 1), (20, 6, 2))
    assert found.splits == ((5, (5, 1001)),)
    assert found.kept == (5, 6)
    assert found.new == (1001,)
    assert (found.stayed, found.moved) == (32, 8)


def test_a_crumb_is_no_split():
    assert told((99, 5, 0), (1, 5, 1), (20, 6, 1)).splits == ()


def test_a_merge_is_inherited_from_the_larger():
    found = told((12, 5, 0), (8, 7, 0), (20, 6, 1))
    assert found.merges == (((5, 7), 5),)
    assert found.kept == (5, 6)
    assert found.gone == (7,)
    assert (found.stayed, found.moved) == (32, 8)


def test_three_split_and_merge_at_once():
    found = told((30, 1, 0), (20, 1, 1), (25, 2, 1), (10, 3, 2), (9, 4, 2))
    assert heirs(*labels((30, 1, 0), (20, 1, 1), (25, 2, 1), (10, 3, 2), (9, 4, 2))) == {0: 1, 1: 2, 2: 3}
    assert found.splits == ((1, (1, 2)),)
    assert found.merges == (((3, 4), 3),)
    assert found.gone == (4,)
    assert (found.stayed, found.moved) == (30 + 25 + 10, 20 + 9)


def test_the_whole_counts_more_than_the_first_choice():
    """Cluster 0 has more of theme 1, but then theme 2 would have nothing."""
    assert heirs(*labels((50, 1, 0), (48, 1, 1), (45, 2, 0))) == {0: 2, 1: 1}


def test_one_image_left_over_inherits_nothing():
    for rest in ((40, -1, 1),), ((20, 3, 1), (20, -1, 1)), ((5, 2, 1),):
        counts = (9, 1, 0), (30, 2, 0), (1, 1, 1), *rest
        assert heirs(*labels(*counts)).get(1) != 1, rest
        assert 1 in told(*counts).gone


def test_a_theme_that_went_whole():
    before, after = labels((10, 1, 0), (5, 2, 0), (20, 3, 1))
    assert 2 in lineage(before, after, named(before, after)).gone


pairs = st.lists(st.tuples(st.sampled_from([-1, 1, 2, 3, 8, 9]), st.integers(0, 5)), min_size=1, max_size=80)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(pairs=pairs)
def test_laws(pairs):
    before, after = np.array(pairs, np.int64).T
    after = np.unique(after, return_inverse=True)[1]
    inherited, k = heirs(before, after), int(after.max()) + 1
    themes = {*before[before >= 0].tolist()}
    assert {*inherited} <= {*range(k)}
    assert {*inherited.values()} <= themes
    assert len({*inherited.values()}) == len(inherited)
    assert all(((before == theme) & (after == cluster)).any() for cluster, theme in inherited.items())
    names = named(before, after)
    found = lineage(before, after, names)
    assert found.stayed + found.moved == (before >= 0).sum()
    assert {*found.kept} == {*inherited.values()}
    assert {*found.kept} | {*found.gone} == themes
    assert {*found.kept} | {*found.new} == {*names.values()}
    assert not {*found.kept} & {*found.gone}
    assert not {*found.new} & themes
    for theme, parts in found.splits:
        assert theme in themes
        assert len({*parts}) == len(parts) > 1
        assert {*parts} <= {*names.values()}
    merged = [theme for sources, _ in found.merges for theme in sources]
    assert len({*merged}) == len(merged)
    for sources, into in found.merges:
        assert len(sources) > 1
        assert {*sources} <= themes
        assert into in names.values()


@settings(max_examples=100, deadline=None, derandomize=True)
@given(pairs=pairs)
def test_the_same_clusters_again_change_nothing(pairs):
    after = np.unique([cluster for _, cluster in pairs], return_inverse=True)[1]
    assert heirs(after + 40, after) == {cluster: cluster + 40 for cluster in range(int(after.max()) + 1)}
