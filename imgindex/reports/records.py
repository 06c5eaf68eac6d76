"""How much is redundant, at one moment and over time."""

from dataclasses import dataclass

from imgindex.duplicates.records import Redundancy


@dataclass(frozen=True)
class FolderShare(Redundancy):
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
class ThemeShare(Redundancy):
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
class Report(Redundancy):
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
class PastReport(Redundancy):
    """What a report that was kept said in all."""

    created: str  # ISO 8601, UTC
    images: int
    files: int
    redundant: int
