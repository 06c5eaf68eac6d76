"""What all pages share: how they are registered, filters, notices, the counts in the header."""

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from flask import Blueprint, Flask, Response, current_app, make_response, render_template, request

from imgindex import LARGEST_ID, LONGEST_NAME
from imgindex.rendering.html import wrapping
from imgindex.rendering.paths import printable
from imgindex.rendering.sentences import counted, human, known, percent, shares, when
from imgindex.server.service import current

T = TypeVar("T")

LAST = "imgindex.counts"
SHA256 = re.compile("[0-9a-f]{64}")
NUMBER = re.compile("[0-9]{1,18}")  # all of them below LARGEST_ID
NOTICES = {  # what a page says after a redirect
    "forgotten": "The picture is forgotten.",
    "kept": "The report is saved; the next one says what changed since.",
    "keep": "Saved: that file stays.",
    "keep-back": "Undone: which files stay is told by what they hold again.",
    "different": "Saved: they are different pictures.",
    "different-back": "Undone: they may be copies of each other again.",
    "named": "The theme has its new name.",
    "unnamed": "The theme goes by its number again.",
}


def page_blueprint(name: str, *, url_prefix: str | None = None) -> Blueprint:
    """A blueprint for pages: each of its addresses gives a page or, to htmx, a part of it, and says so to caches."""
    pages = Blueprint(name, __name__, url_prefix=url_prefix)
    pages.after_request(_vary)
    return pages


def _vary(response: Response) -> Response:
    response.vary.add("HX-Request")
    return response


pages = page_blueprint("layout")


def register(app: Flask) -> None:
    """Filters, notices and counts for the pages of an app."""
    app.jinja_env.filters |= {
        "counted": counted, "file_name": file_name, "folder": folder, "line": printable, "path": wrapping,
        "known": known, "percent": percent, "ratio": ratio, "shares": shares, "size": human, "when": when,
    }  # fmt: skip
    app.context_processor(_shared)
    app.jinja_env.globals["longest_name"] = LONGEST_NAME
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True


@pages.get("/counts")
def counts() -> str:
    """The counts in the header: only what is cheap, because every page asks after every change."""
    index = current().index
    found = {"library": f"{index.counts().images:,}", "themes": f"{index.themes.count():,}"}
    current_app.extensions[LAST] = found  # shown by the next page until it has asked
    return render_template("_counts.html", counts=found)


def whole(name: str, default: int | None = None) -> int | None:
    """A whole number in the query or form, at most LARGEST_ID; the default for anything else."""
    number: int | None = request.values.get(name, type=int)
    return default if number is None or number < 0 else min(number, LARGEST_ID)


@dataclass(frozen=True)
class Part(Generic[T]):
    """A part of a list, from the place that the query names; `further` is where the next one begins, if any."""

    items: Sequence[T]
    start: int
    further: int | None


def part(items: Sequence[T], size: int) -> Part[T]:
    """At most `size` items, from the query's `from`."""
    start = whole("from", 0) or 0
    end = start + size
    return Part(items[start:end], start, end if end < len(items) else None)


def numbers(texts: Iterable[str]) -> list[int]:
    """Those that are whole numbers of 1 to 18 digits; the rest is dropped."""
    return [int(text) for text in texts if NUMBER.fullmatch(text)]


def partly() -> bool:
    """Whether htmx asks, for a part of a page."""
    return request.headers.get("HX-Request") == "true"


def changed(part: str) -> Response:
    """A part of a page, after which the counts in the header are stale."""
    response = make_response(part)
    response.headers["HX-Trigger"] = "imgindex:changed"
    return response


def ratio(picture: Any) -> int:
    """Ten times the width over the height of a picture, for which the style sheet has classes r5 to r25."""
    return max(5, min(25, int(10 * picture.width / picture.height + 0.5)))


def file_name(path: str) -> str:
    """The last part of a path; for an upload, whose name is its SHA-256, the beginning of that."""
    name, kind = os.path.splitext(os.path.basename(path))
    return printable(f"{name[:10]}…{kind}" if SHA256.fullmatch(name) else name + kind)


def folder(path: str) -> str:
    """A path without its last part."""
    return os.path.dirname(path)


def _shared() -> dict[str, Any]:
    last: dict[str, str] = current_app.extensions.get(LAST, {})
    return {"notice": NOTICES.get(request.args.get("said", "")), "counted_last": last}
