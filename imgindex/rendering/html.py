"""Records -> self-contained HTML pages: no script, no other file."""

from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from imgindex.clustering.records import Clusters, Member, Theme
from imgindex.duplicates.records import Duplicates, Group
from imgindex.errors import FileGoneError, NotIndexedError
from imgindex.records import ImageFile
from imgindex.rendering.paths import printable
from imgindex.rendering.sentences import (
    LOOSE,
    RELATED,
    clusters_sentences,
    duplicates_sentences,
    held_by,
    human,
    percent,
    report_sentences,
)
from imgindex.reports.records import Report

PICTURED = 500  # groups, pairs and themes shown with pictures: some 30 MB of HTML, which browsers still open
GROUP_PICTURED = 24  # pictures of one group or theme: a screenful

Thumbnail = Callable[[int], bytes]


def duplicates_html(duplicates: Duplicates, thumbnail: Thumbnail) -> Iterator[str]:
    """A page of all groups, what stays of each first, then of what is related; in pieces, as it is made.

    `thumbnail` gives a JPEG of an image, or raises FileGoneError or NotIndexedError; it is asked once an image
    and only for the first PICTURED groups and pairs.
    """
    return _page(
        "duplicates.html",
        duplicates=duplicates,
        sentences=duplicates_sentences(duplicates),
        kinds=RELATED,
        pictured=PICTURED,
        group_pictured=GROUP_PICTURED,
        by_image=by_image,
        held_by=held_by,
        loose=LOOSE,
        uri=lambda file: _uri(thumbnail, file.image),
    )


def report_html(report: Report) -> Iterator[str]:
    """A page of how much is redundant, what changed, and each folder's share; in pieces, as it is made."""
    return _page("report.html", report=report, sentences=report_sentences(report))


def clusters_html(clusters: Clusters, thumbnail: Thumbnail, files: Mapping[int, ImageFile]) -> Iterator[str]:
    """A contact sheet of each theme, its most typical picture first; in pieces, as it is made.

    `thumbnail` is as for `duplicates_html`. `files` has a file for each image that `pictured` names, by its id.
    """
    return _page(
        "clusters.html",
        themes=clusters.themes,
        sentences=clusters_sentences(clusters),
        files=files,
        themes_pictured=PICTURED,
        pictured=pictured,
        uri=lambda file: _uri(thumbnail, file.image),
    )


def pictured(theme: Theme, count: int = GROUP_PICTURED) -> list[Member]:
    """At most `count` images of a theme: its medoid, then a sample spread from the most to the least typical."""
    medoid, *others = theme.images
    others.sort(key=lambda member: (member.distance, member.id))
    shown = min(len(others), count - 1)
    return [medoid, *(others[place * (len(others) - 1) // max(shown - 1, 1)] for place in range(shown))]


def by_image(group: Group) -> list[list[ImageFile]]:
    """The files of each picture; the one to keep is the very first."""
    images: dict[int, list[ImageFile]] = {}
    for copy in group.files:
        images.setdefault(copy.image, []).append(copy)
    return list(images.values())


def wrapping(path: str) -> Any:
    """A path as HTML that may wrap behind each slash."""
    import markupsafe

    return markupsafe.Markup("/<wbr>").join(printable(path).split("/"))


def _page(template: str, **context: Any) -> Iterator[str]:
    stream = _templates().get_template(template).stream(context)
    stream.enable_buffering(64)
    yield from stream


@cache
def _templates() -> Any:
    import jinja2

    folder = Path(__file__).with_name("templates")
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {"path": wrapping, "size": human, "percent": percent, "line": printable}
    return templates


def _uri(thumbnail: Thumbnail, image: int) -> str | None:
    try:
        return "data:image/jpeg;base64," + b64encode(thumbnail(image)).decode()
    except (FileGoneError, NotIndexedError):
        return None
