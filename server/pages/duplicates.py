"""Groups of copies, and what a person decides about them."""

import hashlib
import os
from collections import Counter
from typing import Any

from flask import redirect, render_template, request, url_for
from werkzeug.exceptions import Conflict
from werkzeug.wrappers import Response

from imgindex import ImageFile
from imgindex.rendering.html import by_image
from imgindex.rendering.sentences import LOOSE, RELATED, duplicates_sentences, held_by
from imgindex.server.pages.layout import changed, numbers, page_blueprint, part, partly, whole
from imgindex.server.pages.library import view
from imgindex.server.pages.overlay import overlay
from imgindex.server.service import current

pages = page_blueprint("duplicates")

PAGE = 12  # groups of a part of the list: a few screens, each with up to CARD thumbnails
PAIRS = 24  # pairs of a part of the list: as many thumbnails as four groups have
CARD = 8  # pictures of a group in the list: two rows of a wide screen
UNDONE = 100  # images of a decision that can be undone at once: their ids fit into an address


@pages.get("/duplicates")
def duplicates() -> str:
    """All groups, part by part."""
    found = current().duplicates()
    groups = part(found.groups, PAGE)
    return render_template(
        "_groups.html" if partly() else "duplicates.html",
        sentences=duplicates_sentences(found),
        duplicates=found,
        groups=groups.items,
        further=groups.further,
        undo=numbers(request.args.get("undo", "").split(",")[:UNDONE]),
        **_words(),
    )


@pages.get("/duplicates/related")
def related() -> str:
    """Pairs that share something and neither holds the other, of one kind or all, part by part."""
    found, kind = current().duplicates().related, request.args.get("kind")
    kind = kind if kind in RELATED else None
    pairs = part([pair for pair in found if kind in (None, pair.kind)], PAIRS)
    return render_template(
        "_related.html" if partly() else "related.html",
        pairs=pairs.items,
        further=pairs.further,
        kind=kind,
        kinds=RELATED,
        counts=Counter(pair.kind for pair in found),
        total=len(found),
    )


@pages.get("/duplicates/alike")
def alike() -> Response:
    """Where those of the same scene were to be found once."""
    return redirect(url_for("duplicates.related", kind="alike"), 301)


@pages.get("/duplicates/<id:number>")
def group(number: int) -> str:
    """One group, two of its pictures laid over each other."""
    group = current().group(number)
    pictures = by_image(group)
    laid = overlay(
        group,
        {copies[0].image: copies[0] for copies in pictures},
        current().index.duplicates.of(group.files[0].image),
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
    """The name of a file in a form, so that no path ever comes from a client."""
    return hashlib.sha256(os.fsencode(copy.path)).hexdigest()


@pages.post("/duplicates/<id:number>/keep")
def keep(number: int) -> Response | str:
    """Choose the file to keep in a group, or undo that."""
    group, back = current().group(number), "back" in request.form
    for copy in group.files:
        if token(copy) == request.form.get("file"):
            index, paths = current().index, [other.path for other in group.files]
            if back:
                index.duplicates.prefer(paths, forget=True)
            else:
                index.duplicates.prefer([copy.path], instead_of=paths)
            return _decided(number, "keep-back" if back else "keep")
    raise Conflict("That file is no longer in this group; reload the page.")


@pages.post("/duplicates/<id:number>/different")
def different(number: int) -> Response | str:
    """Mark a picture as different from all others of its group; or the two of the weakest pair from each other."""
    group, image = current().group(number), whole("image")
    images = {copy.image for copy in group.files}
    if "weakest" in request.form and group.weakest:
        image, others = group.weakest.a, [group.weakest.b]
    else:
        others = sorted(images - {image})
    if image is None or image not in images or not others:
        raise Conflict("That picture is no longer in this group; reload the page.")
    current().index.duplicates.mark_different(image, others)
    return _decided(number, "different", [image, *others])


@pages.post("/duplicates/different/back")
def different_back() -> Response:
    """Undo that the first of these images was marked as different from the others."""
    images = list(dict.fromkeys(numbers(request.form.getlist("image"))))
    if len(images) < 2:
        raise Conflict("The request does not name two pictures; reload the page.")
    current().index.duplicates.mark_different(images[0], images[1:], forget=True)
    return redirect(url_for("duplicates.duplicates", said="different-back"), 303)


def _decided(number: int, said: str, images: list[int] | None = None) -> Response | str:
    left = next((group for group in current().duplicates().groups if group.id == number), None)
    undo = images if images and len(images) <= UNDONE else []
    if partly():
        return changed(render_template("_decided.html", group=left, said=said, undo=undo, **_words()))
    if left and not undo:
        return redirect(url_for("duplicates.group", number=number, said=said), 303)
    return redirect(url_for("duplicates.duplicates", said=said, undo=",".join(map(str, undo)) or None), 303)
