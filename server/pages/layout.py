"""What all pages share: filters, notices, the counts in the header."""

import os
import re
from collections.abc import Iterable
from typing import Any

from flask import Blueprint, Flask, Response, current_app, make_response, render_template, request

from imgindex.rendering.html import wrapping
from imgindex.rendering.text import counted, human, percent, printable, when
from imgindex.server.service import current

pages = Blueprint("frame", __name__)

LAST = "imgindex.counts"
OURS = ("frame", "library", "duplicates", "cleaning", "themes", "report")
SHA256 = re.compile("[0-9a-f]{64}")
NUMBER = re.compile("[0-9]{1,18}")  # fits what the index counts with
LARGEST = 2**63 - 1  # as far as the index counts
NOTICES = {  # what a page says after a redirect
    "forgotten": "The picture is forgotten.",
    "kept": "The report is kept; the next one says what changed since.",
    "keep": "Done: that file is the one to keep.",
    "keep-back": "Taken back: the file to keep is chosen by its quality again.",
    "different": "Remembered: they are different pictures.",
    "different-back": "Taken back: they may be copies of each other again.",
    "named": "The theme has its name.",
    "unnamed": "The theme goes by its number again.",
}


def register(app: Flask) -> None:
    """Filters, notices and headers for the pages of an app."""
    app.jinja_env.filters |= {
        "counted": counted, "file_name": file_name, "folder": folder, "line": printable, "path": wrapping,
        "percent": percent, "ratio": ratio, "size": human, "when": when,
    }  # fmt: skip
    app.context_processor(_shared)
    app.after_request(_vary)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.register_blueprint(pages)


@pages.get("/counts")
def counts() -> str:
    """What the header counts: only what costs next to nothing, as every page asks after every change."""
    index = current().index
    found = {"library": f"{index.counts().images:,}", "themes": f"{index.count_themes():,}"}
    current_app.extensions[LAST] = found  # so that the next page has room for them, before it asks
    return render_template("_counts.html", counts=found)


def whole(name: str, default: int | None = None) -> int | None:
    """A whole number of the query or form, as far as the index counts; the default for anything else."""
    number: int | None = request.values.get(name, type=int)
    return default if number is None or number < 0 else min(number, LARGEST)


def numbers(texts: Iterable[str]) -> list[int]:
    """Those that are whole numbers of 1 to 18 digits; anything else names nothing."""
    return [int(text) for text in texts if NUMBER.fullmatch(text)]


def partly() -> bool:
    """Whether htmx asks, for a part of a page."""
    return request.headers.get("HX-Request") == "true"


def changed(part: str) -> Response:
    """A part of a page, after which what the header counts is another."""
    response = make_response(part)
    response.headers["HX-Trigger"] = "imgindex:changed"
    return response


def ratio(picture: Any) -> int:
    """Ten times the width over the height of a picture, as the style sheet has classes for it."""
    return max(5, min(25, int(10 * picture.width / picture.height + 0.5)))


def file_name(path: str) -> str:
    """The last part of a path; of an upload, whose name is its SHA-256, the beginning."""
    name, kind = os.path.splitext(os.path.basename(path))
    return printable(f"{name[:10]}…{kind}" if SHA256.fullmatch(name) else name + kind)


def folder(path: str) -> str:
    """What comes before the last part of a path."""
    return os.path.dirname(path)


def _shared() -> dict[str, Any]:
    last: dict[str, str] = current_app.extensions.get(LAST, {})
    return {"notice": NOTICES.get(request.args.get("said", "")), "counted_last": last}


def _vary(response: Response) -> Response:
    if request.blueprint in OURS:
        response.vary.add("HX-Request")  # the same address gives a page or a part of it
    return response
