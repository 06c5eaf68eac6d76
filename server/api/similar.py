"""Images similar to one in the index, or to a picture that is sent and not kept."""

from typing import Any

import numpy as np
import numpy.typing as npt
from apiflask import APIBlueprint
from flask import Response

from imgindex import UnreadablePictureError
from imgindex.rendering.exports import similar_json
from imgindex.server.api.requests import SEND_A_FILE, Picture, Wanted
from imgindex.server.api.responses import answer
from imgindex.server.api.schemas import images as schemas
from imgindex.server.problems import problem
from imgindex.server.routing import reads_only
from imgindex.server.service import current

bp = APIBlueprint("api_similar", __name__, url_prefix="/api/v1", tag="Similar")


@bp.get("/images/<id:image>/similar")
@bp.input(Wanted, location="query")
@bp.output(schemas.Similar)
@bp.doc(operation_id="similar_to_image")
def of_image(image: int, query_data: dict[str, Any]) -> Response:
    """The images most similar to one in the index."""
    return _similar(image, query_data)


@bp.post("/similar")
@reads_only
@bp.input(Picture, location="files")
@bp.input(Wanted, location="query")
@bp.output(schemas.Similar)
@bp.doc(operation_id="similar_to_picture", responses={404: "There is no such theme.", 503: "Too busy."})
def of_picture(files_data: dict[str, Any], query_data: dict[str, Any]) -> Response:
    """The images most similar to a picture, which is not kept."""
    part = files_data["file"]
    data = part.read()
    if not part.filename and not data:
        return problem(422, SEND_A_FILE)
    try:
        query = current().look(data)
    except UnreadablePictureError as error:
        return problem(422, f"The picture cannot be read: {error}.")
    return _similar(query, query_data)


def _similar(query: int | npt.NDArray[np.float32], wanted: dict[str, Any]) -> Response:
    k, least, theme = wanted["k"], wanted["min"], wanted.get("theme")
    return answer(similar_json(current().index.similar(query, k=k, at_least=least, theme=theme)))
