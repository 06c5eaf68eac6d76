"""Frozen dataclasses that cross rooms."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Sha256 = bytes  # 32 of them


@dataclass(frozen=True)
class ModelInfo:
    """What makes two embeddings comparable; stored with an index and checked on open."""

    name: str
    layer: str
    pooling: str
    input_size: int  # pixels; pictures go in as input_size x input_size
    preprocessing: str
    weights: str  # SHA-256 (hex) over the tensors
    dimension: int


@dataclass(frozen=True)
class Decoded:
    """A picture, upright, shrunk to a model's input size."""

    pixels: npt.NDArray[np.uint8]  # (size, size, 3), RGB
    width: int  # pixels of the upright original
    height: int
    digest: bytes  # 32 bytes, the same for the same pixels in another lossless file; zeros for a large picture
    description: bytes  # its local features, as `features.describe` gives them


@dataclass(frozen=True)
class State:
    """Where a database stands; what is derived from it is current when it has the same."""

    uid: str  # of this database, random
    generation: int  # how often its vectors changed
    space: int  # version of its newest compare space, 0 before any fit
    fitted: int  # images which that space was fitted for


@dataclass(frozen=True)
class Counts:
    """How much an index holds."""

    images: int  # distinct contents
    files: int  # paths


@dataclass(frozen=True)
class Image:
    """One content, however many paths it has."""

    id: int
    sha256: bytes  # 32 bytes, of the file
    width: int  # pixels, upright
    height: int
    bytes: int


@dataclass(frozen=True)
class Entry:
    """What an index holds of one image."""

    id: int
    sha256: Sha256
    width: int  # pixels, upright
    height: int
    bytes: int
    theme: int | None  # None: there was no run yet, or it is not placed yet
    paths: tuple[str, ...]


@dataclass(frozen=True)
class Incoming:
    """A picture that came as bytes."""

    data: bytes
    sha256: Sha256
    image: int | None  # the id of a known one
    decoded: Decoded | None  # None for a known one


@dataclass(frozen=True)
class Original:
    """A file that holds an image as it was indexed."""

    path: str
    media_type: str  # by its first bytes


@dataclass(frozen=True)
class File:
    """One path of an image."""

    path: str  # absolute; bytes that are not UTF-8 as surrogates (os.fsdecode)
    image: int
    bytes: int
    mtime_ns: int


@dataclass(frozen=True)
class Failure:
    """A file that could not be indexed."""

    path: str
    reason: str
    bytes: int | None = None  # as the file was when it was tried; None: to be tried again in any case
    mtime_ns: int | None = None


@dataclass(frozen=True)
class Neighbour:
    """An image found by likeness."""

    id: int
    path: str  # the first of its paths
    similarity: float  # 0: as unlike as two pictures picked at random; 1: the same picture


@dataclass(frozen=True)
class Similar:
    """The answer to "find images like this"."""

    id: int | None  # of the query, None when it is not in the index
    path: str | None  # None for a vector
    results: list[Neighbour]  # best first, without the query itself


@dataclass(frozen=True)
class Added:
    """What an `add` or `sync` did, in files, and what the index holds after it."""

    added: int
    unchanged: int
    moved: int
    failed: list[Failure]
    images: int
    files: int
    seconds: float


@dataclass(frozen=True)
class Removed:
    """What a `remove` did, in files, and what the index holds after it."""

    removed: int
    images: int
    files: int


@dataclass(frozen=True)
class Space:
    """A fitted compare space: principal components of a collection's unit-length embeddings."""

    version: int
    images: int  # of the collection that it was fitted for
    mean: npt.NDArray[np.float32]  # (dimension,)
    components: npt.NDArray[np.float32]  # (D, dimension), orthonormal rows, the strongest first
    singular: npt.NDArray[np.float32]  # (D,), relative to the first


@dataclass(frozen=True)
class Pair:
    """Two images that show the same picture ("copy") or the same scene ("alike"), and the evidence."""

    a: int  # image ids, a < b
    b: int
    kind: Literal["copy", "alike"]
    score: float  # 0 to 1: how much of what is to be seen in the overlap agrees; 1 for the same pixels
    inliers: int  # keypoints that agree on the transform; 0 for the same pixels
    transform: tuple[float, ...]  # 3 x 3 by rows: a's coordinates to b's, each 0 to 1 across and down
    mirrored: bool
    overlap: float  # share of the smaller picture


@dataclass(frozen=True)
class Copy:
    """One file of a group."""

    path: str
    image: int
    width: int  # pixels, upright
    height: int
    bytes: int
    mtime_ns: int
    sha256: Sha256


@dataclass(frozen=True)
class Group:
    """Files that show the same picture, the one to keep first."""

    id: int  # stays while the group lives
    kind: Literal["exact", "near"]  # exact: all have the same bytes
    why: str  # what speaks for the first one
    files: tuple[Copy, ...]
    weakest: Pair | None  # the pair that holds the group together with the least evidence; None: exact
    loose: bool  # that pair alone joins two parts of at least two images each: look at it


class _Redundancy:
    """What counts files, and those of them that are redundant."""

    files: int
    redundant: int

    @property
    def percent(self) -> float:
        """Redundant of its files, 0 to 100."""
        return 100 * self.redundant / self.files if self.files else 0.0


@dataclass(frozen=True)
class Duplicates(_Redundancy):
    """All groups, and what they amount to, in files."""

    groups: tuple[Group, ...]  # the largest first
    alike: tuple[Pair, ...]  # the same scene, not the same picture; counted nowhere
    images: int
    files: int  # all that the index holds
    redundant: int  # those beyond the one to keep in each group
    calibration: str  # a sentence: when and how well `calibrate` measured this index, or that it should


@dataclass(frozen=True)
class FolderShare(_Redundancy):
    """What copies take up in one folder, without the folders inside it."""

    path: str
    files: int
    redundant: int


@dataclass(frozen=True)
class Since:
    """How groups changed since the report before; ids of groups."""

    created: str  # of that report, ISO 8601, UTC
    new: tuple[int, ...]
    gone: tuple[int, ...]
    grown: tuple[int, ...]


@dataclass(frozen=True)
class ThemeShare(_Redundancy):
    """What copies take up in one theme."""

    id: int
    name: str | None
    images: int
    share: float  # of all images, 0 to 1
    files: int
    redundant: int

    @property
    def title(self) -> str:
        """Its name, or its number."""
        return self.name or f"Theme {self.id}"


@dataclass(frozen=True)
class Report(_Redundancy):
    """What an index holds and how much of it is redundant, at one moment; all counts are of files, never of pairs."""

    created: str  # ISO 8601, UTC
    images: int
    files: int
    redundant: int
    groups: int
    folders: tuple[FolderShare, ...]  # the one with most redundant files first
    clusters: tuple[ThemeShare, ...]  # the largest first; none before a first run
    since_last: Since | None  # None: this is the first report
    calibration: str

    @property
    def table(self) -> tuple[tuple[str, int, float], ...]:
        """The reference script's: cluster, images, share x (1 - k / N) x 100, and a total row; empty before a run."""
        total = sum(cluster.images for cluster in self.clusters)
        percent = 100 * (1 - len(self.clusters) / total) if total else 0.0
        rows = [(cluster.title, cluster.images, cluster.images / total * percent) for cluster in self.clusters]
        return (*rows, ("Total", total, percent)) if rows else ()


@dataclass(frozen=True)
class PastReport(_Redundancy):
    """What a report that was kept said in all."""

    created: str  # ISO 8601, UTC
    images: int
    files: int
    redundant: int


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
