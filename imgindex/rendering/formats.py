"""The formats that a report and the duplicates come in: one row each, read by command line, API and OpenAPI.

To add a format, write a module that makes its text, and a row here. `tests/rendering/test_formats.py` runs every row.
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from imgindex.duplicates.records import Duplicates
from imgindex.records import ImageFile
from imgindex.rendering.exports import duplicates_json, report_json
from imgindex.rendering.html import duplicates_html, report_html
from imgindex.rendering.tables import duplicates_csv, report_csv
from imgindex.reports.records import Report


class Pictures(Protocol):
    """What a format may ask for pictures; `index.images` is one."""

    def thumbnail(self, image: int) -> bytes:
        """A JPEG of an image. Raises FileGoneError, NotIndexedError."""

    def files(self, images: Collection[int]) -> Mapping[int, ImageFile]:
        """A file of each image, by the image's id."""


@dataclass(frozen=True)
class Format:
    """One row; both functions give the text in pieces, as it is made."""

    name: str  # of the option and of `?format=`
    media_type: str
    extension: str
    about: str  # the option's help
    printed: bool  # on the terminal, or written to a file that the option names
    report: Callable[[Report], Iterable[str]]
    duplicates: Callable[[Duplicates, Pictures], Iterable[str]]


def _json(value: dict[str, Any]) -> Iterator[str]:
    yield json.dumps(value, indent=2) + "\n"


JSON = Format(
    "json", "application/json", "json", "Print one JSON document.", printed=True,
    report=lambda report: _json(report_json(report)),
    duplicates=lambda duplicates, _: _json(duplicates_json(duplicates)),
)  # fmt: skip
CSV = Format(
    "csv", "text/csv", "csv", "Print a table for spreadsheets.", printed=True,
    report=report_csv,
    duplicates=lambda duplicates, _: duplicates_csv(duplicates),
)  # fmt: skip
HTML = Format(
    "html", "text/html", "html", "Write a self-contained page.", printed=False,
    report=report_html,
    duplicates=lambda duplicates, pictures: duplicates_html(duplicates, pictures.thumbnail),
)  # fmt: skip

FORMATS = {row.name: row for row in (JSON, CSV, HTML)}  # where several are printed at once, the first one is
