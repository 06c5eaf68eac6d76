"""Vectors -> clusters, as many as silhouette and elbow together say. Pure: no files, no database."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from imgindex.clustering.kmeans import SEED, assign, centroids_of, lloyd, seed, silhouettes
from imgindex.clustering.records import Candidate
from imgindex.types import Floats, Labels, Progress

STARTS, FEWEST_STARTS = 8, 2  # for each k of the curve: luck matters for few vectors, time for many
SHARED = 10_000  # vectors, times starts: so many starts as go into it
FINAL = 8  # starts of the result for each start above the fewest
STEPS, FINAL_STEPS = 6, 100  # of Lloyd's algorithm, at most
SAMPLE = 20_000  # vectors on which k is chosen, in a larger collection
SMOOTH = 0.15  # weight of each neighbour of a silhouette on the curve
KEEP, BETTER = 0.95, 1.01  # k stays while it scores so much of the best; another result must be so much better
FEWEST = 20  # of that sample, for each cluster
NEAR, COARSE, FINE = 12, 1.3, 1.05  # all candidates up to here; then steps, and steps beside the best


@dataclass(frozen=True)
class Clustering:
    """N vectors in k clusters."""

    labels: Labels  # (N,) 0 .. k-1
    centroids: Floats  # (k, D), unit length
    silhouettes: Floats  # (N,) -1 .. 1
    curve: tuple[Candidate, ...]  # what k was chosen from
    elbow: int | None  # None: the curve has none

    @property
    def silhouette(self) -> float:
        """The mean over all vectors; 0 for one cluster."""
        return float(self.silhouettes.mean()) if len(self.silhouettes) else 0.0


def cluster(
    vectors: Floats, *, clusters: int | None = None, before: Labels | None = None, progress: Progress | None = None
) -> Clustering:
    """(N, D) unit vectors, N > 0, in `clusters` or in as many as `choose` says; the same vectors give the same result.

    There are never more clusters than different vectors. `before`, (N,) clusters of an earlier result or -1, is
    followed where another result is not clearly better. `progress` is called with the candidates done and all.
    """
    sample = vectors
    if len(vectors) > SAMPLE:
        sample = vectors[np.sort(np.random.default_rng(SEED).choice(len(vectors), SAMPLE, replace=False))]
    sampled = len(sample) < len(vectors)
    warm = centroids_of(vectors, before) if before is not None else vectors[:0]
    distinct = len(np.unique(sample, axis=0))
    ks = candidates(len(vectors), min(distinct, len(sample) // FEWEST) if sampled else distinct)
    curve = _Curve(sample, ks[-1], sampled)
    for done, k in enumerate(ks, 1):
        curve.add(k)
        if progress:
            progress(done, len(ks))
    least = fewest(len(vectors))
    for k in beside(ks, choose(curve.points(), least), len(warm)):
        curve.add(k)
    points = curve.points()
    k = clusters or choose(points, least, len(warm))
    if k > distinct:
        sample = vectors
        k = min(k, len(np.unique(vectors, axis=0)))
    seeds = [curve.centroids[k] if k in curve.centroids else seed(sample, k, 0)]
    seeds += [seed(sample, k, start) for start in range(1, 1 + FINAL * (_starts(len(sample)) - FEWEST_STARTS))]
    fits = [lloyd(sample, one, FINAL_STEPS) for one in seeds]
    centroids, cosines = lloyd(vectors, max(fits, key=lambda found: found[1])[0], FINAL_STEPS)
    if k == len(warm):
        known, as_before = lloyd(vectors, warm, FINAL_STEPS)
        if cosines <= BETTER * as_before:
            centroids = known
    held, labels = np.unique(assign(vectors, centroids)[0], return_inverse=True)  # a cluster may have lost all it had
    return Clustering(labels, centroids[held], silhouettes(vectors, labels), points, knee(points)[0])


def candidates(images: int, most: int) -> list[int]:
    """1 .. 4 * sqrt(N / 2), but no more than `most`; all of them to 12, then in steps of 30 percent."""
    last = max(1, min(int(4 * np.sqrt(images / 2)), images - 1, most))
    return _steps(1, last, COARSE)


def fewest(images: int) -> int:
    """The least k to choose: 2; sqrt(N / 2) / 10 of a large collection, as two or three themes of it help nobody."""
    return max(2, int(np.sqrt(images / 2) / 10))


def beside(ks: list[int], best: int, before: int) -> list[int]:
    """Those between a candidate and its neighbours, in steps of 5 percent, and the k of the result before."""
    place = ks.index(best)
    low, high = ks[max(place - 1, 0)], ks[min(place + 1, len(ks) - 1)]
    more = {*_steps(low, high, FINE), before} - {*ks}
    return sorted(k for k in more if ks[0] < k < ks[-1])


def _steps(first: int, last: int, step: float) -> list[int]:
    ks = [first]
    while ks[-1] < last:
        ks.append(min(last, ks[-1] + 1 if ks[-1] < NEAR else max(ks[-1] + 1, round(ks[-1] * step))))
    return ks


def choose(curve: tuple[Candidate, ...], least: int, before: int = 0) -> int:
    """The k, not under `least`, with the highest sum of silhouette and elbow, each as a share of its highest.

    The silhouette alone takes the coarsest split where themes nest; the elbow alone overshoots where there are few. The
    silhouette is smoothed over neighbouring candidates, as single ones jump with the luck of k-means. The k of the
    result `before` stays while its sum is within 5 percent of the highest.
    """
    wanted = [place for place, candidate in enumerate(curve) if candidate.k >= least]
    if not wanted:
        return curve[-1].k
    silhouette = np.array([curve[place].silhouette for place in wanted])
    around = np.pad(silhouette, 1, mode="edge")
    smooth = np.maximum(SMOOTH * (around[:-2] + around[2:]) + (1 - 2 * SMOOTH) * silhouette, 0)
    score = smooth / max(smooth.max(), 1e-9) + knee(curve)[1][wanted]
    for place, one in zip(wanted, score, strict=True):
        if curve[place].k == before and one >= KEEP * score.max():
            return before
    return curve[wanted[int(score.argmax())]].k


def knee(curve: tuple[Candidate, ...]) -> tuple[int | None, npt.NDArray[np.float64]]:
    """The elbow of the inertia, and how far each candidate lies below the straight line, as a share of the farthest.

    Satopää et al. 2011, "Finding a 'Kneedle' in a haystack"; None and zeros for a straight line.
    """
    from kneed import KneeLocator

    inertia = np.minimum.accumulate([candidate.inertia for candidate in curve])
    if len(curve) < 3 or inertia[0] - inertia[-1] <= 1e-9 * max(inertia[0], 1e-9):
        return None, np.zeros(len(curve))
    found = KneeLocator([candidate.k for candidate in curve], inertia, curve="convex", direction="decreasing")
    below = np.maximum(found.y_difference, 0)
    if below.max() < 1e-6:
        return None, np.zeros(len(curve))
    return (int(found.elbow) if found.elbow else None), below / below.max()


class _Curve:
    """How well each candidate k fits a sample."""

    def __init__(self, sample: Floats, last: int, sampled: bool) -> None:
        self._sample, self._sampled = sample, sampled
        self._points: list[Candidate] = []
        self.centroids: dict[int, Floats] = {}  # of each candidate
        # The first seeds serve a smaller k as well.
        self._seeds = [seed(sample, last, start) for start in range(_starts(len(sample)))]

    def add(self, k: int) -> None:
        fits = (lloyd(self._sample, seeds[:k], STEPS) for seeds in self._seeds)
        centroids, cosines = max(fits, key=lambda found: found[1])
        self.centroids[k] = centroids
        labels = np.unique(assign(self._sample, centroids)[0], return_inverse=True)[1]
        scores = silhouettes(self._sample, labels)
        error = float(scores.std() / np.sqrt(len(scores))) if self._sampled else 0.0
        self._points.append(Candidate(k, 2 * (len(scores) - cosines), float(scores.mean()), error))

    def points(self) -> tuple[Candidate, ...]:
        """By k."""
        return tuple(sorted(self._points, key=lambda point: point.k))


def _starts(vectors: int) -> int:
    return min(max(SHARED // vectors, FEWEST_STARTS), STARTS)
