"""The compare space: where embeddings of a collection are compared, learnt from the collection itself."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from imgindex.records import Projection
from imgindex.threads import look_again, one_thread

Floats = npt.NDArray[np.float32]

FIRST_FIT = 200  # images; below, a fit is no better than the plain cosine (tests/benchmarks/README.md)
GROWING, GROWN = 1.5, 1.1  # a collection that grew so much since its fit is fitted again, during an add and after it
LAST_FIT = 20_000  # images; more of them hardly move 64 directions
SAMPLE = 4_096  # images that a fit looks at
RANK = 256  # components that a fit keeps
LIKENESS_RANK, LIKENESS_POWER = 64, 0.25
COPIES_RANK, COPIES_POWER = 256, 0.75
THEMES_RANK, THEMES_POWER = 32, 0.5
THEMES_SAMPLE = 1_024  # images that a fit for themes looks at
SAME = 1e-6  # of unit vectors, what rounding alone makes of one
UNLIKE = 0.5  # plain cosine of two unrelated photos (median of GeM on 960 photos: .46)


Project = Callable[[Floats, Projection | None], Floats]  # (N, D) embeddings -> (N, C) unit vectors


def unit(vectors: Floats) -> Floats:
    """Rows of unit length; a row of zeros stays."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Floats = vectors / np.maximum(length, np.finfo(np.float32).tiny)
    return scaled


def due(fitted: int, images: int, growth: float) -> bool:
    """Whether a collection of so many images should be fitted (again); the last fit saw `fitted`, 0 for none."""
    return images >= max(FIRST_FIT, growth * fitted) and fitted < LAST_FIT


def fit(vectors: Floats, images: int, rank: int = RANK) -> Projection | None:
    """The `rank` principal components of (N, D) embeddings of a collection of so many images; not yet versioned.

    Works in place: `vectors` is not the same afterwards. None where they do not differ.
    """
    from sklearn.decomposition import PCA

    look_again()  # SciPy has brought linear algebra of its own
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    if len(vectors) < 2 or np.ptp(vectors, axis=0).max() < SAME:
        return None
    pca: Any = PCA(min(rank, *vectors.shape), svd_solver="randomized", random_state=0, copy=False)
    with one_thread():
        pca.fit(vectors)
    singular = pca.singular_values_
    kept = int((singular > 1e-6 * singular[0]).sum())
    relative = singular[:kept] / singular[0]
    mean, components = np.asarray(pca.mean_, np.float32), np.asarray(pca.components_[:kept], np.float32)
    return Projection(0, images, mean, components, np.asarray(relative, np.float32))


def likeness(vectors: Floats, space: Projection | None) -> Floats:
    """(N, D) embeddings -> (N, L) unit vectors whose inner product ranks likeness.

    Centred, projected on the strongest components and divided by s^p (s: singular values), a mild whitening
    (Jégou and Chum 2012, "Negative evidences and co-occurrences in image retrieval"). Before a fit: as they are.
    """
    return _whitened(vectors, space, LIKENESS_RANK, LIKENESS_POWER)


def copies(vectors: Floats, space: Projection | None) -> Floats:
    """(N, D) embeddings -> (N, C) unit vectors in which a picture's edits are among its nearest.

    As `likeness`, but with more components and a stronger whitening, so that the subject counts less.
    """
    return _whitened(vectors, space, COPIES_RANK, COPIES_POWER)


def themes(vectors: Floats, space: Projection | None) -> Floats:
    """(N, D) embeddings -> (N, T) unit vectors to be clustered: as `likeness`, with fewer components, half whitened."""
    return _whitened(vectors, space, THEMES_RANK, THEMES_POWER)


@np.errstate(over="ignore", invalid="ignore")  # numbers of a damaged database
def _whitened(vectors: Floats, space: Projection | None, rank: int, power: float) -> Floats:
    if space is None:
        return unit(vectors)
    weight = space.components[:rank] / space.singular[:rank, None] ** power
    with one_thread():  # unit((unit(vectors) - mean) @ weight.T) without copies of many long vectors
        length = np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit(vectors @ weight.T - length * (weight @ space.mean))


def similarity(cosine: Floats, space: Projection | None) -> Floats:
    """Cosines of `likeness` -> 0 .. 1: 0 as unlike as two pictures picked at random, 1 the same picture."""
    zero = UNLIKE if space is None else 0.0
    scaled: Floats = np.clip((cosine - zero) / (1 - zero), 0, 1)
    return scaled
