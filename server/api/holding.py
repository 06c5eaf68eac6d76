"""What must not be lost: policies for all groups, and whether pictures that are sent are in the collection."""

from typing import Any

from apiflask import APIBlueprint
from flask import Response, request

from imgindex import Policies
from imgindex.rendering.exports import containment_json, policies_json
from imgindex.rendering.paths import utf8
from imgindex.server.api import requests
from imgindex.server.api.responses import answer, unless_known
from imgindex.server.api.schemas import holding as schemas
from imgindex.server.problems import problem
from imgindex.server.routing import reads_only
from imgindex.server.service import current

bp = APIBlueprint("api_holding", __name__, url_prefix="/api/v1", tag="Safety")


@bp.before_request
def _json_only() -> None:
    if request.method == "PUT":  # pictures come as a form
        requests.json_only()


@bp.get("/policies")
@bp.output(schemas.Policies)
@bp.doc(operation_id="get_policies", responses=[304])
def policies() -> Response:
    """Protected and preferred folders, and what settles ties."""
    return unless_known(lambda: answer(policies_json(current().index.duplicates.policies.get())))


@bp.put("/policies")
@bp.input(requests.Policies)
@bp.output(schemas.Policies)
@bp.doc(operation_id="put_policies", responses=[415])
def put(json_data: dict[str, Any]) -> Response:
    """Replace all policies; nothing is moved or deleted."""
    store = current().index.duplicates.policies
    before = store.get()
    known = {utf8(folder): folder for folder in (*before.protect, *before.prefer)}  # as they were sent to the client
    protect, prefer = (tuple(known.get(one, one) for one in json_data[name]) for name in ("protect", "prefer"))
    store.put(Policies(protect, prefer, tuple(dict.fromkeys(json_data["keep"])), json_data["separate_raw"]))
    return answer(policies_json(store.get()))


@bp.post("/contains")
@reads_only
@bp.input(requests.Pictures, location="files")
@bp.output(schemas.Containment)
@bp.doc(operation_id="contains", responses={503: "Too busy."})
def contains(files_data: dict[str, Any]) -> Response:
    """Whether the collection holds pictures, which are not kept: wholly, partly or not, and by which file."""
    sent = [(part.filename or "", part.read()) for part in files_data["file"]]
    if not any(name or data for name, data in sent):
        return problem(422, requests.SEND_FILES)
    return answer(containment_json(current().contains(sent)))
