"""All pictures, a single one, and what is similar to one."""

from typing import Any

import numpy as np
import numpy.typing as npt
from flask import redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from imgindex import FileGoneError, UnreadablePictureError
from imgindex.server.pages.layout import page_blueprint, partly, whole
from imgindex.server.routing import reads_only
from imgindex.server.service import current

pages = page_blueprint("library")

PAGE = 60  # pictures of a part of the grid: two screens, loaded in one go
LIKE = 24  # pictures of an answer at first: one screen
MOST = 1000  # pictures of an answer at most, as in the API
SHOWN = {"image/jpeg", "image/png", "image/gif", "image/webp", "image/avif", "image/bmp"}  # by every browser


@pages.get("/")
def library() -> str:
    """The grid, below the forms that add pictures and find similar ones."""
    return render_template("library.html", **_grid(), themes=current().clusters().themes)


@pages.get("/pictures")
def pictures() -> str:
    """The next part of the grid."""
    return render_template("_pictures.html", **_grid())


def _grid() -> dict[str, Any]:
    theme = whole("theme")
    entries = current().index.images.list(before=whole("before"), limit=PAGE, theme=theme)
    return {"entries": entries, "older": entries[-1].id if len(entries) == PAGE else None, "theme": theme}


@pages.post("/upload")
def upload() -> str | tuple[str, int]:
    """Add the files of a form and show each outcome; the page's script sends them to the API instead, one by one."""
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
@reads_only
def search() -> str | tuple[str, int]:
    """What is similar to a picture that is not kept."""
    file = request.files.get("file")
    reason = "Choose a picture first."
    if file:
        try:
            return _answer(current().look(file.read()))
        except UnreadablePictureError as error:
            reason = f"This file cannot be read: {error}."
    return render_template("_results.html" if partly() else "similar.html", reason=reason, entry=None, results=[]), 422


@pages.get("/similar/<id:image>")
def similar(image: int) -> str:
    """What is similar to a picture in the index."""
    current().index.images.get(image)
    return _answer(image)


def _answer(query: int | npt.NDArray[np.float32]) -> str:
    service = current()
    k, least, theme = whole("k", LIKE) or LIKE, min(whole("min", 0) or 0, 100), whole("theme")
    found = service.index.similar(query, k=min(k, MOST), at_least=least / 100, theme=theme)
    return render_template(
        "_results.html" if partly() else "similar.html",
        part=partly(),
        uploaded=request.method == "POST",
        entry=service.index.images.get(found.id) if found.id is not None else None,
        results=found.results,
        files=service.index.images.files({hit.id for hit in found.results}),
        more=min(2 * k, MOST) if len(found.results) == k < MOST else None,
        least=least,
        theme=theme,
        themes=service.clusters().themes,
    )


@pages.get("/images/<id:image>")
def picture(image: int) -> str:
    """One picture, its files, its theme and its copies."""
    service = current()
    entry = service.index.images.get(image)
    pairs = sorted(service.index.duplicates.of(image), key=lambda pair: -pair.score)
    copies = [(pair.b if pair.a == image else pair.a, pair) for pair in pairs]
    return render_template(
        "picture.html",
        entry=entry,
        view=view(image),
        theme=next((theme for theme in service.clusters().themes if theme.id == entry.theme), None),
        copies=copies,
        files=service.index.images.files({other for other, _ in copies}),
        uploaded=[path for path in entry.paths if service.index.uploads.owns(path)],
    )


@pages.post("/images/<id:image>/forget")
def forget(image: int) -> Response:
    """Forget a picture."""
    current().forget(image)
    return redirect(url_for("library.library", said="forgotten"), 303)


def view(image: int) -> str | None:
    """The address of a picture, at the largest size that a browser can show; None when its file is gone."""
    try:
        shown = current().index.images.original(image).media_type in SHOWN
    except FileGoneError:
        return None
    return f"/api/v1/images/{image}/{'file' if shown else 'thumbnail'}"
