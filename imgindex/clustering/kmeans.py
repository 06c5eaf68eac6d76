"""Spherical k-means, its seeds and its silhouettes. Pure: arrays in, arrays out."""

from collections.abc import Iterator

import numpy as np

from imgindex.types import Floats, Labels

SEED = 0
SAME = 1e-6  # a distance that is rounding only
CELLS = 1 << 24  # cosines held at once


def seed(vectors: Floats, k: int, start: int) -> Floats:
    """Greedy k-means++ (Arthur and Vassilvitskii 2007)."""
    from sklearn.cluster import kmeans_plusplus

    seeds = kmeans_plusplus(vectors.astype(np.float64), k, random_state=SEED + start)[0]  # three times as fast so
    return np.asarray(seeds, np.float32)


def lloyd(vectors: Floats, centroids: Floats, steps: int) -> tuple[Floats, float]:
    """Spherical k-means (Dhillon and Modha 2001) -> (k, D) unit centroids, and the sum of the cosines to the nearest.

    scikit-learn has only the Euclidean one; that of faiss takes five to ten times as long for vectors this short.
    """
    before = np.empty(0, np.int64)
    for _ in range(steps):
        labels, distances = assign(vectors, centroids)
        if np.array_equal(labels, before):
            break
        before = labels
        means = _unit_sums(vectors, labels, len(centroids))
        centroids = np.where(means.any(axis=1, keepdims=True), means, centroids)
    return centroids, float(len(vectors) - distances.sum())


def centroids_of(vectors: Floats, labels: Labels) -> Floats:
    """(N, D) vectors, (N,) labels, -1 for none, -> (k, D) mean directions; labels need not be consecutive."""
    known = labels >= 0
    held, rows = np.unique(labels[known], return_inverse=True)
    return _unit_sums(vectors[known], rows, len(held))


def _unit_sums(vectors: Floats, labels: Labels, k: int) -> Floats:
    """(N, D), (N,) -> (k, D): the mean directions; zeros for a cluster that has nothing."""
    sums = _sums(vectors, labels, k)
    means: Floats = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)
    return means


def _sums(vectors: Floats, labels: Labels, k: int) -> Floats:
    from scipy.sparse import csr_array

    ones, rows = np.ones(len(vectors), np.float32), np.arange(len(vectors) + 1)
    sums: Floats = csr_array((ones, labels, rows), shape=(len(vectors), k)).T @ vectors
    return sums


def assign(vectors: Floats, centroids: Floats) -> tuple[Labels, Floats]:
    """(N, D) unit vectors, (k, D) unit centroids -> (N,) the nearest, and (N,) the distance, 0 .. 2 (1 - cosine)."""
    labels, distances = [np.empty(0, np.int64)], [np.empty(0, np.float32)]
    for part in _parts(vectors, len(centroids)):
        cosines = vectors[part] @ centroids.T
        nearest = cosines.argmax(1)
        labels.append(nearest)
        distances.append(1 - cosines[np.arange(len(nearest)), nearest])
    return np.concatenate(labels), np.concatenate(distances)


def silhouettes(vectors: Floats, labels: Labels) -> Floats:
    """(N, D) unit vectors, (N,) labels 0 .. k-1 -> (N,) silhouettes by cosine distance, exactly (Rousseeuw 1987).

    For cosines, the mean distance to a cluster is the distance to its mean; so this takes N x k steps, not N x N.
    """
    k = int(labels.max()) + 1 if len(labels) else 0
    if k < 2:
        return np.zeros(len(labels), np.float32)
    sizes = np.bincount(labels, minlength=k)
    means = _sums(vectors, labels, k) / sizes[:, None].astype(np.float32)
    parts = []
    for part in _parts(vectors, k):
        own, cosines = labels[part], vectors[part] @ means.T
        rows, size = np.arange(len(own)), sizes[own]
        within = 1 - (cosines[rows, own] * size - 1) / np.maximum(size - 1, 1)
        cosines[rows, own] = -2
        between = 1 - cosines.max(1)
        score = (between - within) / np.maximum(np.maximum(within, between), SAME)
        parts.append(np.where(size > 1, score.clip(-1, 1), 0))
    return np.concatenate(parts).astype(np.float32)


def _parts(vectors: Floats, k: int) -> Iterator[slice]:
    step = max(1, CELLS // k)
    return (slice(start, start + step) for start in range(0, len(vectors), step))
