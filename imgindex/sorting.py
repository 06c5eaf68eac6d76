"""What an index offers about themes. A part of ImageIndex."""

from collections.abc import Callable

from imgindex.clustering.records import Clusters, Run
from imgindex.clustering.store import Runs
from imgindex.clustering.themes import EVERY, Themes

Progress = Callable[[int, int], None]


class Sorting:
    """Everything about themes that an index offers. ImageIndex is one."""

    _runs: Runs
    _themes: Themes

    def recluster(
        self, clusters: int | None = None, *, why: str = "It was asked for.", progress: Progress | None = None
    ) -> Run:
        """Sort all images into themes, as many as silhouette and elbow say or `clusters`; one that lives keeps its id.

        Published in one transaction; until then, and when it is killed, the last run stays. `progress` is called with
        the candidates for k that are done and all. Raises UsageError for fewer than 1 or more clusters than images,
        NotIndexedError for an empty index, BusyError when another recluster is running.
        """
        return self._themes.recluster(clusters, why, progress)

    def due(self, every: str = EVERY) -> str | None:
        """Why reclustering is due, as a sentence, or None.

        It is when images came or went and `every`, an interval (12h, 7d) or a cron expression, has passed since the
        last run; when clearly more than a tenth of those that came (at least 20) lie far from every theme; when the
        index has grown by half; and when there was no run. Raises UsageError for another schedule.
        """
        return self._themes.due(every)

    def clusters(self) -> Clusters:
        """The themes of the last run with their images, what was added since included."""
        return self._themes.current()

    def count_themes(self) -> int:
        """How many themes `clusters` lists; much cheaper."""
        return self._runs.count()

    def rename_theme(self, theme: int, name: str | None) -> None:
        """Give a theme a name, which it keeps from run to run; None takes it back.

        Control characters become spaces, and spaces in a row one. Raises NotIndexedError, and UsageError for a name of
        more than 80 letters.
        """
        self._themes.rename(theme, name)

    def runs(self) -> list[Run]:
        """All runs, the newest first."""
        return self._runs.history()
