"""All pictures, what is like one of them, and one of them."""

from typing import Any

import numpy as np
import numpy.typing as npt
from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from imgindex import FileGoneError, UnreadablePictureError
from imgindex.server.pages.layout import partly, whole
from imgindex.server.service import current

pages = Blueprint("library", __name__)

PAGE = 60  # pictures of a part of the grid
LIKE = 24  # pictures of an answer at first
MOST = 1000  # of an answer
SHOWN = {"image/jpeg", "image/png", "image/gif", "image/webp", "image/avif", "image/bmp"}  # by every browser


@pages.get("/")
def library() -> str:
    """The grid, with what adds pictures and finds like ones above it."""
    return render_template("library.html", **_grid(), themes=current().clusters().themes)


@pages.get("/pictures")
def pictures() -> str:
    """The next part of the grid."""
    return render_template("_pictures.html", **_grid())


def _grid() -> dict[str, Any]:
    theme = whole("theme")
    entries = current().index.entries(before=whole("before"), limit=PAGE, theme=theme)
    return {"entries": entries, "older": entries[-1].id if len(entries) == PAGE else None, "theme": theme}


@pages.post("/upload")
def upload() -> str | tuple[str, int]:
    """What became of each file of a form; the page's script sends them to the API instead, one by one."""
    sent = [(file.filename or "A picture", file.read()) for file in request.files.getlist("file") if file]
    if not sent:
        return render_template("uploaded.html", results=[], reason="Choose at least one picture first."), 422
    answers = current().upload([data for _, data in sent])
    results = [
        (name, None if isinstance(answer, UnreadablePictureError) else answer, answer)
        for (name, _), answer in zip(sent, answers, strict=True)
    ]
    return render_template("uploaded.html", results=results)


@pages.post("/search")
def search() -> str | tuple[str, int]:
    """What is like a picture that is not kept."""
    file = request.files.get("file")
    reason = "Choose a picture first."
    if file:
        try:
            return _answer(current().look(file.read()))
        except UnreadablePictureError as error:
            reason = f"This file cannot be read: {error}."
    return render_template("_results.html" if partly() else "similar.html", reason=reason, entry=None, results=[]), 422


@pages.get("/similar/<int:image>")
def similar(image: int) -> str:
    """What is like a picture of the index."""
    current().index.entry(image)
    return _answer(image)


def _answer(query: int | npt.NDArray[np.float32]) -> str:
    service = current()
    k, least, theme = whole("k", LIKE) or LIKE, min(whole("min", 0) or 0, 100), whole("theme")
    found = service.index.similar(query, k=min(k, MOST), at_least=least / 100, theme=theme)
    return render_template(
        "_results.html" if partly() else "similar.html",
        part=partly(),
        uploaded=request.method == "POST",
        entry=service.index.entry(found.id) if found.id is not None else None,
        results=found.results,
        files=service.index.files_of({hit.id for hit in found.results}),
        more=min(2 * k, MOST) if len(found.results) == k < MOST else None,
        least=least,
        theme=theme,
        themes=service.clusters().themes,
    )


@pages.get("/images/<int:image>")
def picture(image: int) -> str:
    """One picture, its files, its theme and its copies."""
    service = current()
    entry = service.index.entry(image)
    pairs = sorted(service.index.copies_of(image), key=lambda pair: -pair.score)
    copies = [(pair.b if pair.a == image else pair.a, pair) for pair in pairs]
    return render_template(
        "picture.html",
        entry=entry,
        view=view(image),
        theme=next((theme for theme in service.clusters().themes if theme.id == entry.theme), None),
        copies=copies,
        files=service.index.files_of({other for other, _ in copies}),
        uploaded=[path for path in entry.paths if service.index.is_upload(path)],
    )


@pages.post("/images/<int:image>/forget")
def forget(image: int) -> Response:
    """Forget a picture."""
    current().forget(image)
    return redirect(url_for("library.library", said="forgotten"), 303)


def view(image: int) -> str | None:
    """Where a browser finds a picture, as large as it can show it; None when its file is gone."""
    try:
        shown = current().index.original(image).media_type in SHOWN
    except FileGoneError:
        return None
    return f"/api/v1/images/{image}/{'file' if shown else 'thumbnail'}"
