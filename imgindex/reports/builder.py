"""How much is redundant, by folder and by theme, and what changed since the last report."""

import os
from collections import Counter
from collections.abc import Callable

from imgindex.clustering.store import Runs
from imgindex.duplicates.records import Duplicates, once
from imgindex.reports.records import FolderShare, PastReport, Report, Since, ThemeShare
from imgindex.reports.store import ReportStore
from imgindex.storage.database import Database, now


class Reports:
    """`index.reports`. Usable from several threads."""

    def __init__(self, database: Database, runs: Runs, *, find: Callable[[], Duplicates]) -> None:
        """`find` gives the groups as they are now."""
        self._database = database
        self._kept = ReportStore(database)
        self._runs = runs
        self._find = find

    def make(self) -> Report:
        """What copies amount to, by folder, and what changed since the last report; the next one compares with this."""
        return self._report(self._kept.put)

    def preview(self) -> Report:
        """The report as it is now; it is not kept, so the next one does not compare with it."""
        return self._report(lambda *_: now())

    def history(self) -> list[PastReport]:
        """All reports that were kept, the oldest first."""
        return self._kept.history()

    def _report(self, keep: Callable[[int, int, int, dict[int, int]], str]) -> Report:
        duplicates = self._find()
        redundant = Counter(os.path.dirname(file.path) for group in duplicates.groups for file in once(group.redundant))
        shares = [FolderShare(path, held, redundant[path]) for path, held in self._kept.folders().items()]
        sizes = {group.id: len(group.files) for group in duplicates.groups}
        with self._database.transaction():
            last = self._kept.last()
            created = keep(duplicates.images, duplicates.files, duplicates.redundant, sizes)
            clusters = self._theme_shares(duplicates)
        return Report(
            created=created,
            images=duplicates.images,
            files=duplicates.files,
            redundant=duplicates.redundant,
            bytes=duplicates.bytes,
            groups=len(duplicates.groups),
            folders=tuple(sorted(shares, key=lambda share: (-share.redundant, share.path))),
            clusters=clusters,
            since_last=_since(*last, sizes) if last else None,
            calibration=duplicates.calibration,
        )

    def _theme_shares(self, duplicates: Duplicates) -> tuple[ThemeShare, ...]:
        placed, files, names = self._runs.placed(), self._runs.files(), self._runs.names()
        images = Counter(placed.values())
        redundant = Counter(placed.get(file.image) for group in duplicates.groups for file in once(group.redundant))
        return tuple(
            ThemeShare(theme, names.get(theme), count, count / len(placed), files.get(theme, 0), redundant[theme])
            for theme, count in sorted(images.items(), key=lambda item: (-item[1], item[0]))
        )


def _since(created: str, before: dict[int, int], now: dict[int, int]) -> Since:
    return Since(
        created,
        new=tuple(sorted(now.keys() - before.keys())),
        gone=tuple(sorted(before.keys() - now.keys())),
        grown=tuple(sorted(group for group in now.keys() & before.keys() if now[group] > before[group])),
    )
