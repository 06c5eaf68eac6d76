"""A run of the clustering, and the themes that live from run to run."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Candidate:
    """How well one number of clusters fits."""

    k: int
    inertia: float  # sum of squared distances to the nearest centroid
    silhouette: float  # -1 to 1; 0 for k = 1
    error: float  # standard error of the silhouette where it is of a sample; else 0


@dataclass(frozen=True)
class Lineage:
    """What became of the themes of the run before; ids of themes."""

    kept: tuple[int, ...] = ()
    new: tuple[int, ...] = ()
    gone: tuple[int, ...] = ()
    splits: tuple[tuple[int, tuple[int, ...]], ...] = ()  # a theme, and those that share its images now
    merges: tuple[tuple[tuple[int, ...], int], ...] = ()  # themes, and the one that has the most of each now
    stayed: int = 0  # images of both runs that kept their theme
    moved: int = 0  # those that did not


@dataclass(frozen=True)
class Run:
    """One clustering of the whole index."""

    id: int
    created: str  # ISO 8601, UTC
    seconds: float
    why: str  # a sentence
    images: int
    k: int
    elbow: int | None  # None: the inertia falls in a straight line
    silhouette: float  # mean over all images
    curve: tuple[Candidate, ...]
    model: str
    space: int  # version of the newest compare space then; the run's own projection was fitted with it
    far: float  # the distance from the centroid that 5 percent of the images exceeded
    lineage: Lineage


@dataclass(frozen=True)
class Member:
    """An image of a theme."""

    id: int
    path: str  # the first of its paths
    distance: float  # 1 - cosine to the centroid, 0 to 2
    silhouette: float | None  # None: placed since the run


@dataclass(frozen=True)
class Theme:
    """A cluster that lives from run to run."""

    id: int
    name: str | None  # that a person gave it
    share: float  # of all images, 0 to 1
    images: tuple[Member, ...]  # the run's by distance, its medoid first; then those that came since

    @property
    def title(self) -> str:
        """Its name, or its number."""
        return self.name or f"Theme {self.id}"


@dataclass(frozen=True)
class Drift:
    """How the collection changed since the last run."""

    images: int  # of the run
    placed: int  # images that came since
    removed: int
    far: int  # of those that came, how many lie farther out than 95 percent of the run's did

    @property
    def growth(self) -> float:
        """Images that came, as a share of the run's."""
        return self.placed / self.images

    @property
    def far_share(self) -> float:
        """Of those that came; near .05 while nothing has drifted."""
        return self.far / self.placed if self.placed else 0.0


@dataclass(frozen=True)
class Clusters:
    """The themes of the last run, with what was added since."""

    run: Run | None  # None: there was none yet
    themes: tuple[Theme, ...]  # the largest first
    drift: Drift | None
