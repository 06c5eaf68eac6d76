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
    bytes: int  # that would be free without the redundant files
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


@dataclass(frozen=True)
class Calibration:
    """What became of a sample of photos and their edits."""

    created: str  # ISO 8601, UTC
    photos: int
    found: int  # pairs of files in one group
    right: int  # of those, pairs of the same photo
    by_edit: dict[str, int]  # photos that were in one group with this edit of theirs
    seconds: float

    @property
    def precision(self) -> float:
        """Share of the found pairs that are right; 1 when none was found."""
        return self.right / self.found if self.found else 1.0

    @property
    def recall(self) -> float:
        """Share of all pairs of a photo's files that were found."""
        files = len(self.by_edit) + 1
        return self.right / (self.photos * files * (files - 1) // 2)

    def recall_of(self, edit: str) -> float:
        """Share of the photos that were found together with this edit."""
        return self.by_edit[edit] / self.photos

    def sentence(self) -> str:
        """For people: when and how well."""
        worst = min(self.by_edit, key=self.recall_of)
        hardest = "" if self.recall == 1 else f" (worst: {worst}, {_percent(self.recall_of(worst))})"
        return (
            f"Calibrated on {self.created[:10]} with {len(self.by_edit)} edits of each of {self.photos} of your "
            f"photos: {_percent(self.recall)} of the copies were found{hardest}, "
            f"and {_percent(self.precision)} of what was found was right."
        )


def _percent(share: float) -> str:
    """One digit, and never 100 for less than all."""
    return f"{int(share * 1000) / 10:.1f}%" if share < 1 else "100%"
