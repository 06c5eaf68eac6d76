"""Images: uploaded, listed, shown, forgotten."""

from typing import Any

from apiflask import APIBlueprint
from flask import Response, url_for

from imgindex import Entry, Pair, UnreadablePictureError
from imgindex.rendering.exports import pair_json
from imgindex.server.api import pagination
from imgindex.server.api.requests import SEND_FILES, ImagesPage, Pictures
from imgindex.server.api.responses import answer, described, json_of, unless_known
from imgindex.server.api.schemas import images as schemas
from imgindex.server.problems import problem
from imgindex.server.service import Uploaded, current

LONGEST_NAME = 255  # characters of a client's name for a file that are sent back: as long as a file name can be

bp = APIBlueprint("api_images", __name__, url_prefix="/api/v1/images", tag="Images")


@bp.post("")
@bp.input(Pictures, location="files")
@bp.output(schemas.Uploads, 201, description="At least one of them is new.")
@bp.doc(
    operation_id="upload_images",
    responses={
        200: described("All of them were in the index already.", content=json_of(schemas.Uploads)),
        201: described(location="Of the image, if it is the only one."),
        503: "Too busy.",
        507: "Disk full.",
    },
)
def upload(files_data: dict[str, Any]) -> Response:
    """Add pictures to the index; the answer says what each one copies, and its theme."""
    files = [(part.filename or "", part.read()) for part in files_data["file"]]
    files = [(name, data) for name, data in files if name or data]  # a form whose file field is empty
    if not files:
        return problem(422, SEND_FILES)
    service = current()
    largest = service.settings.files
    if len(files) > largest:
        return problem(
            413,
            f"{len(files)} pictures are too many for one upload; send at most {largest}.",
        )
    results = service.upload([data for _, data in files])
    images = [_uploaded_json(one) for one in results if isinstance(one, Uploaded)]
    failed = [
        {"name": name[:LONGEST_NAME], "position": position, "reason": str(one)}
        for position, ((name, _), one) in enumerate(zip(files, results, strict=True))
        if isinstance(one, UnreadablePictureError)
    ]
    if not images:
        which = "The picture" if len(files) == 1 else f"None of the {len(files)} pictures can be read; the first one"
        return problem(422, f"{which} cannot be read: {failed[0]['reason']}.", failed=failed)
    where = {"Location": images[0]["location"]} if len(images) == 1 else {}
    new = any(one["new"] for one in images)
    return answer({"images": images, "failed": failed}, 201 if new else 200, **where)


@bp.get("")
@bp.input(ImagesPage, location="query")
@bp.output(schemas.Entries)
@bp.doc(operation_id="list_images", responses=[304])
def listed(query_data: dict[str, Any]) -> Response:
    """All images, or those of a theme, the newest first."""
    limit, cursor = query_data["limit"], query_data.get("cursor")
    (before,) = pagination.decode(cursor, "images", 1) if cursor else (None,)

    def make() -> Response:
        found = current().index.images.list(before=before, limit=limit + 1, theme=query_data.get("theme"))
        more = len(found) > limit
        shown = [_entry_json(entry) for entry in found[:limit]]
        return answer({"images": shown, "next": pagination.encode("images", shown[-1]["id"]) if more else None})

    return unless_known(make)


@bp.get("/<id:image>")
@bp.output(schemas.Image)
@bp.doc(operation_id="get_image", responses=[304])
def one(image: int) -> Response:
    """What the index holds of an image."""
    return unless_known(lambda: answer(_entry_json(current().index.images.get(image))))


@bp.delete("/<id:image>")
@bp.output({}, 204, description="It is forgotten.")
@bp.doc(operation_id="forget_image", responses=[507])
def forget(image: int) -> Response:
    """Forget an image; its files stay where they are, except a copy that was uploaded, which is deleted."""
    current().forget(image)
    response = Response(status=204)
    del response.headers["Content-Type"]
    return response


def _entry_json(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "sha256": entry.sha256.hex(),
        "width": entry.width,
        "height": entry.height,
        "bytes": entry.bytes,
        "theme": entry.theme,
        "paths": entry.paths,
    }


def _uploaded_json(uploaded: Uploaded) -> dict[str, Any]:
    return {
        "id": uploaded.image,
        "new": uploaded.new,
        "copies": {"exact": uploaded.exact, "near": [_near_json(uploaded.image, pair) for pair in uploaded.near]},
        "theme": uploaded.theme,
        "location": url_for("api_images.one", image=uploaded.image),
    }


def _near_json(image: int, pair: Pair) -> dict[str, Any]:
    return {"id": pair.b if pair.a == image else pair.a, **pair_json(pair)}
