"""What all pages share: filters, notices, the counts in the header."""

import os
from typing import Any

from flask import Blueprint, Flask, Response, render_template, request
from markupsafe import Markup

from imgindex.report import counted, human, percent, printable, when
from server.service import current

pages = Blueprint("frame", __name__)

OURS = ("frame", "library", "duplicates", "cleaning", "themes", "report")
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
        "counted": counted, "file_name": file_name, "folder": folder, "line": printable, "path": path,
        "percent": percent, "ratio": ratio, "size": human, "when": when,
    }  # fmt: skip
    app.context_processor(_notice)
    app.after_request(_private)
    app.register_blueprint(pages)


@pages.get("/counts")
def counts() -> str:
    """What the header counts."""
    service = current()
    return render_template(
        "_counts.html",
        images=service.index.counts().images,
        duplicates=service.duplicates(),
        themes=len(service.clusters().themes),
    )


def whole(name: str, default: int | None = None) -> int | None:
    """A whole number of the query or form, as far as the index counts; the default for anything else."""
    number = request.values.get(name, type=int)
    return default if number is None or number < 0 else min(number, LARGEST)


def partly() -> bool:
    """Whether htmx asks, for a part of a page."""
    return request.headers.get("HX-Request") == "true"


def ratio(picture: Any) -> int:
    """Ten times the width over the height of a picture, as the style sheet has classes for it."""
    return max(5, min(25, round(10 * picture.width / picture.height)))


def file_name(path: str) -> str:
    """The last part of a path."""
    return printable(os.path.basename(path))


def folder(path: str) -> str:
    """What comes before the last part of a path."""
    return os.path.dirname(path)


def path(path: str) -> Markup:
    """A path that may wrap behind each slash."""
    return Markup("/<wbr>").join(printable(path).split("/"))


def _notice() -> dict[str, Any]:
    return {"notice": NOTICES.get(request.args.get("said", ""))}


def _private(response: Response) -> Response:
    if request.blueprint in OURS:
        response.vary.add("HX-Request")  # the same address gives a page or a part of it
        if "Cache-Control" not in response.headers:
            response.headers["Cache-Control"] = "private, no-cache"
    return response
