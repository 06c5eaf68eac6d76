"""Records -> CSV, for spreadsheets (RFC 4180, valid UTF-8)."""

import csv
from collections.abc import Iterable, Iterator, Sequence

from imgindex.duplicates.records import Duplicates
from imgindex.rendering.paths import utf8
from imgindex.reports.records import Report


def duplicates_csv(duplicates: Duplicates) -> Iterator[str]:
    """Lines: a header, then one a file, the groups as in `duplicates`, the file to keep first."""
    yield from _csv(
        ("group", "kind", "keep", "path", "image", "width", "height", "bytes", "weakest", "loose"),
        (
            (
                group.id, group.kind, "yes" if copy.stays else "no", utf8(copy.path), copy.image, copy.width,
                copy.height, copy.bytes, round(group.weakest.score, 4) if group.weakest else 1.0,
                "yes" if group.loose else "no",
            )
            for group in duplicates.groups
            for copy in group.files
        ),
    )  # fmt: skip


def report_csv(report: Report) -> Iterator[str]:
    """Lines: a header, then one a folder."""
    yield from _csv(
        ("folder", "files", "redundant", "percent"),
        ((utf8(f.path), f.files, f.redundant, round(f.percent, 2)) for f in report.folders),
    )


class _Echo:
    def write(self, text: str) -> str:
        return text


def _csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    # No cell can start a spreadsheet's formula (= + - @): the only free text is paths, and they are absolute.
    line = csv.writer(_Echo()).writerow
    yield line(header)
    yield from map(line, rows)  # writerow returns what write does
