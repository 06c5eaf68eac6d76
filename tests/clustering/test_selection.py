"""Clusters of vectors: the right number of them, the same each time, whatever the vectors are."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as arrays
from sklearn.metrics import silhouette_samples

from imgindex.clustering import kmeans
from imgindex.clustering import selection as clusters
from imgindex.clustering.kmeans import assign, silhouettes
from imgindex.clustering.records import Candidate
from imgindex.clustering.selection import Clustering, candidates, choose, cluster, fewest, knee
from imgindex.search.projection import unit


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def blobs(k: int, each: int = 30, spread: float = 0.05, dimension: int = 16, seed: int = 0):
    """(N, D) unit vectors around k directions at least 60 degrees apart, shuffled, and (N,) their directions."""
    dice = rng(seed)
    centres = np.empty((0, dimension))
    while len(centres) < k:
        one = unit(dice.normal(size=(1, dimension)))
        if not len(centres) or (centres @ one[0]).max() < 0.5:
            centres = np.concatenate([centres, one])
    truth = dice.permutation(np.repeat(np.arange(k), each))
    return unit(centres[truth] + spread * dice.normal(size=(len(truth), dimension))).astype(np.float32), truth


def same(labels, others) -> bool:
    """Whether two labellings say the same, whatever the numbers."""
    pairs = {*zip(labels.tolist(), others.tolist(), strict=True)}
    return len(pairs) == len({*labels.tolist()}) == len({*others.tolist()})


def is_sound(found: Clustering, vectors) -> None:
    k = len(found.centroids)
    assert sorted({*found.labels.tolist()}) == list(range(k))
    assert k <= len(np.unique(vectors, axis=0))
    assert np.allclose(np.linalg.norm(found.centroids, axis=1), 1, atol=1e-4)
    assert found.labels.shape == found.silhouettes.shape == vectors.shape[:1]
    assert np.abs(found.silhouettes).max() <= 1 + 1e-6
    nearest, distances = assign(vectors, found.centroids)
    assert (nearest == found.labels).all()
    assert distances.min() > -1e-6
    assert distances.max() < 2 + 1e-6
    assert [point.k for point in found.curve] == sorted({point.k for point in found.curve})
    assert found.curve[0].k == 1
    assert all(np.isfinite([point.inertia, point.silhouette, point.error]).all() for point in found.curve)
    assert all(abs(point.silhouette) <= 1 + 1e-6 for point in found.curve)


@pytest.mark.parametrize("k", [2, 3, 5, 8, 13, 20])
def test_well_separated_blobs_are_found_exactly(k):
    for seed in range(2):
        vectors, truth = blobs(k, each=20, seed=seed)
        found = cluster(vectors)
        assert same(found.labels, truth), (seed, len(found.centroids))
        assert found.silhouette > 0.8
        is_sound(found, vectors)


def test_blobs_of_very_different_sizes_are_found():
    vectors, truth = blobs(5, each=100)
    keep = np.concatenate([np.flatnonzero(truth == one)[:size] for one, size in enumerate((100, 60, 30, 15, 10))])
    assert same(cluster(vectors[keep]).labels, truth[keep])


def test_the_same_vectors_give_the_same_result():
    vectors = unit(rng().normal(size=(300, 8))).astype(np.float32)
    one, two = cluster(vectors), cluster(vectors.copy())
    assert one.curve == two.curve
    assert one.elbow == two.elbow
    for mine, other in (one.labels, two.labels), (one.centroids, two.centroids), (one.silhouettes, two.silhouettes):
        assert np.array_equal(mine, other)


def test_the_vectors_are_left_alone():
    vectors = blobs(3)[0]
    before = vectors.copy()
    cluster(vectors)
    assert np.array_equal(vectors, before)


def test_nested_themes_are_not_answered_by_two():
    dice = rng(1)
    tops = np.eye(24)[:2]
    subs = unit(np.repeat(tops, 6, 0) + 0.6 * np.eye(24)[2:14])
    truth = np.repeat(np.arange(12), 25)
    vectors = unit(subs[truth] + 0.02 * dice.normal(size=(300, 24))).astype(np.float32)
    found = cluster(vectors)
    by_k = {point.k: point.silhouette for point in found.curve}
    assert by_k[2] > 0.5  # the coarse answer is a fair one, too
    assert same(found.labels, truth)


@pytest.mark.parametrize("k", [1, 2, 7, 40, 89, 90])
def test_a_forced_number_is_kept(k):
    vectors = blobs(3)[0]
    found = cluster(vectors, clusters=k)
    assert len(found.centroids) == k
    is_sound(found, vectors)
    assert found.curve == cluster(vectors).curve


def test_forced_to_the_true_number_they_are_the_blobs():
    vectors, truth = blobs(6, spread=0.1)
    assert same(cluster(vectors, clusters=6).labels, truth)


# What bad input gives


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_very_few_vectors(n):
    vectors = unit(rng().normal(size=(n, 4))).astype(np.float32)
    is_sound(cluster(vectors), vectors)
    for k in range(1, n + 1):
        assert len(cluster(vectors, clusters=k).centroids) == k


@pytest.mark.parametrize("clusters", [None, 1, 7, 50])
def test_identical_vectors_are_one_cluster(clusters):
    vectors = np.tile(unit(np.arange(1, 9, dtype=np.float32)[None]), (50, 1))
    found = cluster(vectors, clusters=clusters)
    is_sound(found, vectors)
    assert len(found.centroids) == 1
    assert found.silhouette == 0
    assert found.elbow is None


@pytest.mark.parametrize("noise", [1e-8, 1e-7, 1e-6, 1e-4])
@pytest.mark.parametrize("clusters", [None, 30])
def test_vectors_that_differ_by_rounding_only(noise, clusters):
    vectors = unit(np.ones((30, 4)) + noise * rng().normal(size=(30, 4))).astype(np.float32)
    is_sound(cluster(vectors, clusters=clusters), vectors)


def test_one_far_outlier():
    vectors = unit(np.eye(8)[:1] + 0.01 * rng().normal(size=(60, 8))).astype(np.float32)
    vectors[17] *= -1
    found = cluster(vectors)
    is_sound(found, vectors)
    assert np.bincount(found.labels).tolist() in ([59, 1], [1, 59])
    assert found.silhouettes[17] == 0


def test_one_dimension_has_two_directions():
    vectors = np.where(np.arange(20) % 3, 1, -1)[:, None].astype(np.float32)
    for k in None, 2, 20:
        assert len(cluster(vectors, clusters=k).centroids) == 2


def test_zeros_among_the_vectors_are_put_somewhere():
    vectors = blobs(3)[0]
    vectors[:5] = 0
    found = cluster(vectors)
    assert len(found.labels) == 90
    assert np.isfinite(found.centroids).all()
    assert np.abs(found.silhouettes).max() <= 1 + 1e-6
    assert len(cluster(np.zeros((9, 4), np.float32)).centroids) == 1


rows = st.integers(1, 4).flatmap(
    lambda dimension: st.lists(
        arrays.arrays(np.float32, dimension, elements=st.integers(-3, 3)).filter(np.any), min_size=1, max_size=25
    )
)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(rows=rows, data=st.data())
def test_any_vectors_give_a_sound_result(rows, data):
    vectors = unit(np.stack(rows))
    forced = data.draw(st.none() | st.integers(1, len(vectors)))
    before = data.draw(st.none() | arrays.arrays(np.int64, len(vectors), elements=st.sampled_from([-1, 3, 4, 70])))
    found = cluster(vectors, clusters=forced, before=before)
    is_sound(found, vectors)
    assert len(found.centroids) <= (forced or len(vectors))
    if forced == 1:
        assert found.silhouette == 0
    again = cluster(vectors, clusters=forced, before=before)
    assert np.array_equal(found.labels, again.labels)


# Silhouettes


@pytest.mark.parametrize(("n", "k"), [(40, 2), (200, 7), (60, 30), (12, 11)])
def test_silhouettes_are_those_of_scikit_learn(n, k, monkeypatch):
    monkeypatch.setattr(kmeans, "CELLS", 16)
    dice = rng(n)
    vectors = unit(dice.normal(size=(n, 6))).astype(np.float32)
    labels = dice.permutation(np.r_[np.arange(k), dice.integers(0, k // 2 + 1, n - k)])
    assert 1 in np.bincount(labels) or k == 2
    mine = silhouettes(vectors, labels)
    assert np.abs(mine - silhouette_samples(vectors, labels, metric="cosine")).max() < 1e-5
    assert (mine[np.bincount(labels)[labels] == 1] == 0).all()


def test_silhouettes_of_one_cluster_are_zero():
    assert silhouettes(blobs(2)[0], np.zeros(60, np.int64)).tolist() == [0] * 60


def test_silhouettes_of_copies_are_one():
    vectors = np.repeat(np.eye(3, dtype=np.float32), 4, 0)
    assert np.allclose(silhouettes(vectors, np.repeat(np.arange(3), 4)), 1)


def test_silhouettes_of_the_wrong_cluster_are_negative():
    vectors, truth = blobs(3)
    labels = truth.copy()
    labels[0] = (truth[0] + 1) % 3
    assert silhouettes(vectors, labels)[0] < -0.5


# How the number is chosen


def curve(*inertia: float, silhouette: tuple[float, ...] = ()) -> tuple[Candidate, ...]:
    silhouette = silhouette or (0.1,) * len(inertia)
    return tuple(Candidate(k, one, other, 0) for k, (one, other) in enumerate(zip(inertia, silhouette, strict=True), 1))


def test_a_straight_curve_has_no_elbow():
    for points in (
        curve(*range(100, 80, -1)),
        curve(*[7.5] * 10),
        curve(*[0] * 5),
        curve(3, 2),
        curve(3),
        curve(*[100 - k * k / 10 for k in range(12)]),  # bends the other way
    ):
        elbow, below = knee(points)
        assert elbow is None
        assert not below.any()
        assert choose(points, 2) in {point.k for point in points}


def test_a_bent_curve_has_its_elbow_at_the_bend():
    elbow, below = knee(curve(100, 75, 50, 25, 20, 18, 16, 14, 12, 10))
    assert elbow == 4
    assert below.argmax() == 3
    assert below.max() == 1


def test_silhouette_and_elbow_decide_together():
    bend = (100, 75, 50, 25, 20, 18, 16, 14, 12, 10)
    assert choose(curve(*bend), 2) == 4
    assert choose(curve(*range(100, 90, -1), silhouette=(0, 0, 0, 0, 0, 0.2, 0.6, 0.2, 0, 0)), 2) == 7
    # The silhouette alone would take 2, and a single high one is luck.
    assert choose(curve(*bend, silhouette=(0, 0.6, 0.55, 0.55, 0.5, 0.3, 0.2, 0.2, 0.2, 0.1)), 2) == 4
    assert choose(curve(*bend, silhouette=(0, 0.1, 0.3, 0.5, 0.3, 0.1, 0.1, 0.1, 0.55, 0.1)), 2) == 4


def test_no_fewer_than_the_least_where_there_are_as_many():
    points = curve(100, 10, 9, 8, 7, 6)
    assert choose(points, 2) == 2
    assert choose(points, 4) >= 4
    assert choose(points[:1], 2) == 1
    assert choose(points[:3], 9) == 3


def test_the_number_before_stays_where_it_is_nearly_as_good():
    points = curve(*[100 * 0.995**k for k in range(9)], silhouette=(0, 0.3, 0.5, 0.5, 0.5, 0.5, 0.5, 0.3, 0.1))
    best = choose(points, 2)
    others = {before for before in range(2, 10) if before != best and choose(points, 2, before) == before}
    assert others
    assert choose(points, 2, 9) == best
    assert choose(points, 2, 40) == best
    assert choose(points, 2, 0) == best


@pytest.mark.parametrize(
    ("images", "last"), [(1, 1), (2, 1), (3, 2), (8, 7), (50, 20), (200, 40), (5000, 200), (10**6, 2828)]
)
def test_candidates_reach_four_times_the_root(images, last):
    ks = candidates(images, images)
    assert ks[0] == 1
    assert ks[-1] == last
    assert ks == sorted({*ks})
    assert all(k in ks for k in range(1, min(last, 12) + 1))
    assert len(ks) < 40
    assert candidates(images, 1) == [1]


def test_the_least_grows_with_the_collection():
    assert [fewest(images) for images in (1, 500, 20_000, 1_000_000)] == [2, 2, 10, 70]


# Run after run


def test_a_result_before_is_followed_as_the_blobs_grow():
    vectors, truth = blobs(7, each=44, spread=0.12)
    first = cluster(vectors[:280])
    before = np.full(len(vectors), -1)
    before[:280] = 100 + 3 * first.labels
    found = cluster(vectors, before=before)
    assert same(found.labels[:280], first.labels)
    assert same(found.labels, truth)


def test_a_result_before_is_followed_where_nothing_is_clear():
    """In vectors without themes, k-means ends elsewhere each time."""
    vectors = unit(rng(5).normal(size=(440, 6))).astype(np.float32)
    first = cluster(vectors[:400])
    before = np.r_[first.labels, np.full(40, -1)]

    def moved(labels):
        shared = np.zeros((100, 100), int)
        np.add.at(shared, (first.labels, labels[:400]), 1)
        return 400 - shared.max(1).sum()

    found = cluster(vectors, before=before)
    assert len(found.centroids) == len(first.centroids)
    assert moved(found.labels) <= 40
    assert moved(cluster(vectors).labels) > 2 * moved(found.labels)


def test_a_bad_result_before_is_not_followed():
    vectors, truth = blobs(5)
    bad = rng().integers(0, 5, len(vectors))
    assert same(cluster(vectors, before=bad).labels, truth)
    assert same(cluster(vectors, before=np.zeros(len(vectors), np.int64)).labels, truth)
    assert same(cluster(vectors, before=np.full(len(vectors), -1)).labels, truth)


def test_a_result_before_that_is_stuck_is_not_followed():
    """One cluster has two blobs, and two share one: k-means from there would change nothing."""
    vectors, truth = blobs(5)
    stuck = np.where(truth == 1, 0, truth)
    stuck[(truth == 2) & (vectors[:, 0] > np.median(vectors[truth == 2, 0]))] = 1
    for k in None, 5:
        assert same(cluster(vectors, clusters=k, before=stuck).labels, truth)


# Large collections


def test_a_sample_is_enough_to_choose(monkeypatch):
    monkeypatch.setattr(clusters, "SAMPLE", 600)
    vectors, truth = blobs(6, each=400)
    found = cluster(vectors)
    assert same(found.labels, truth)
    is_sound(found, vectors)
    assert all(point.error > 0 for point in found.curve if point.k > 1)
    assert max(point.k for point in found.curve) <= 600 // clusters.FEWEST
    scores = {point.k: point for point in found.curve}
    assert abs(scores[6].silhouette - found.silhouette) < 4 * scores[6].error
    monkeypatch.undo()
    assert all(point.error == 0 for point in cluster(vectors[:500]).curve)


def test_more_clusters_than_the_sample_has(monkeypatch):
    monkeypatch.setattr(clusters, "SAMPLE", 50)
    vectors = blobs(3, each=30)[0]
    found = cluster(vectors, clusters=60)
    assert len(found.centroids) == 60
    is_sound(found, vectors)


def test_progress_comes_to_its_end():
    for vectors in blobs(4)[0], blobs(4)[0][:1]:
        calls: list[tuple[int, int]] = []
        cluster(vectors, progress=lambda done, total, calls=calls: calls.append((done, total)))
        total = calls[-1][1]
        assert calls == [(done, total) for done in range(1, total + 1)]


def test_the_distance_is_one_less_the_cosine(monkeypatch):
    monkeypatch.setattr(kmeans, "CELLS", 7)
    vectors, centroids = blobs(4)[0], np.eye(16, dtype=np.float32)[:3]
    labels, distances = assign(vectors, centroids)
    cosines = vectors @ centroids.T
    assert np.array_equal(labels, cosines.argmax(1))
    assert np.allclose(distances, 1 - cosines.max(1))
    assert assign(vectors[:0], centroids)[0].shape == (0,)
