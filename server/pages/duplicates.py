"""Groups of copies, what a person decides about them, and cleaning."""

import hashlib
import os
from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.exceptions import Conflict
from werkzeug.wrappers import Response

from imgindex import ImageFile
from imgindex.rendering.html import by_image
from imgindex.rendering.text import LOOSE, duplicates_sentences, held_by
from imgindex.server.pages.layout import changed, numbers, partly, whole
from imgindex.server.pages.library import view
from imgindex.server.pages.overlay import overlay
from imgindex.server.service import current

pages = Blueprint("duplicates", __name__)

PAGE = 12  # groups of a part of the list
ALIKE = 24  # pairs of a part of the list
CARD = 8  # pictures of a group in the list
UNDONE = 100  # images of a decision that can be taken back at once


@pages.get("/duplicates")
def duplicates() -> str:
    """All groups, part by part."""
    found, start = current().duplicates(), whole("from", 0) or 0
    return render_template(
        "_groups.html" if partly() else "duplicates.html",
        sentences=duplicates_sentences(found),
        duplicates=found,
        groups=found.groups[start : start + PAGE],
        further=start + PAGE if len(found.groups) > start + PAGE else None,
        undo=numbers(request.args.get("undo", "").split(",")[:UNDONE]),
        **_words(),
    )


@pages.get("/duplicates/alike")
def alike() -> str:
    """Pairs of the same scene, part by part."""
    found, start = current().duplicates(), whole("from", 0) or 0
    pairs = found.alike[start : start + ALIKE]
    further = start + ALIKE if len(found.alike) > start + ALIKE else None
    files = current().index.files_of_pairs(pairs)
    return render_template(
        "_alike.html" if partly() else "alike.html", pairs=pairs, files=files, further=further, total=len(found.alike)
    )


@pages.get("/duplicates/<int:number>")
def group(number: int) -> str:
    """One group, two of its pictures laid over each other."""
    group = current().group(number)
    pictures = by_image(group)
    laid = overlay(
        group,
        {copies[0].image: copies[0] for copies in pictures},
        current().index.copies_of(group.files[0].image),
        chosen=whole("image"),
        weakest="weakest" in request.args,
    )
    return render_template(
        "group.html",
        group=group,
        pictures=pictures,
        overlay=laid,
        views=laid and (view(laid.below.image), view(laid.above.image)),
        **_words(),
    )


def _words() -> dict[str, Any]:
    return {"held_by": held_by, "loose": LOOSE, "by_image": by_image, "token": token, "card": CARD}


def token(copy: ImageFile) -> str:
    """What a form names a file by, so that no path ever comes from a client."""
    return hashlib.sha256(os.fsencode(copy.path)).hexdigest()


@pages.post("/duplicates/<int:number>/keep")
def keep(number: int) -> Response | str:
    """Keep one file of a group, or take that back."""
    group, back = current().group(number), "back" in request.form
    for copy in group.files:
        if token(copy) == request.form.get("file"):
            index, paths = current().index, [other.path for other in group.files]
            if back:
                index.keep(paths, forget=True)
            else:
                index.keep([copy.path], instead_of=paths)
            return _decided(number, "keep-back" if back else "keep")
    raise Conflict("That file is no longer in this group; load the page again.")


@pages.post("/duplicates/<int:number>/different")
def different(number: int) -> Response | str:
    """A picture shows something else than all others of its group; or the two of the weakest pair do."""
    group, image = current().group(number), whole("image")
    images = {copy.image for copy in group.files}
    if "weakest" in request.form and group.weakest:
        image, others = group.weakest.a, [group.weakest.b]
    else:
        others = sorted(images - {image})
    if image is None or image not in images or not others:
        raise Conflict("That picture is no longer in this group; load the page again.")
    current().index.set_apart(image, others)
    return _decided(number, "different", [image, *others])


@pages.post("/duplicates/different/back")
def different_back() -> Response:
    """Take back that the first of these images differs from the others."""
    images = list(dict.fromkeys(numbers(request.form.getlist("image"))))
    if len(images) < 2:
        raise Conflict("No two pictures are named whose difference could be taken back; load the page again.")
    current().index.set_apart(images[0], images[1:], forget=True)
    return redirect(url_for("duplicates.duplicates", said="different-back"), 303)


def _decided(number: int, said: str, images: list[int] | None = None) -> Response | str:
    left = next((group for group in current().duplicates().groups if group.id == number), None)
    undo = images if images and len(images) <= UNDONE else []
    if partly():
        return changed(render_template("_decided.html", group=left, said=said, undo=undo, **_words()))
    if left and not undo:
        return redirect(url_for("duplicates.group", number=number, said=said), 303)
    return redirect(url_for("duplicates.duplicates", said=said, undo=",".join(map(str, undo)) or None), 303)
