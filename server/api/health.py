"""Whether the server is alive, and whether it is ready for pictures."""

import logging

from apiflask import APIBlueprint
from flask import Response, current_app

from imgindex.server.api.responses import answer
from imgindex.server.api.schemas import health as schemas
from imgindex.server.problems import problem
from imgindex.server.routing import open_to_all
from imgindex.server.service import current

log = logging.getLogger("imgindex.server")

UNKNOWN = "How far the picture decoder is shut in is being asked; if this lasts, the server's log says why."
UNREADY = "The model is not loaded yet; if this lasts, the server's log says why."
LOGGED = "imgindex.unready"

bp = APIBlueprint("api_health", __name__, tag="Health")


@bp.get("/health")
@open_to_all
@bp.output(schemas.Health)
@bp.doc(operation_id="get_health")
def health() -> Response:
    """The server is running; and how far the process that decodes pictures is shut in."""
    sandbox = current().walls.now()
    if sandbox is None:
        return answer({"status": "ok", "sandbox": "unknown", "lacking": [UNKNOWN]})
    return answer({"status": "ok", "sandbox": sandbox.state, "lacking": list(sandbox.lacking)})


@bp.get("/ready")
@open_to_all
@bp.output(schemas.Ready)
@bp.doc(operation_id="get_ready", responses={503: "Not yet, or the model cannot be loaded."})
def ready() -> Response:
    """The model is loaded."""
    reason = current().ready()
    if not reason:
        return answer({"status": "ready"})
    if current_app.extensions.get(LOGGED) != reason:  # it may name a folder, and anyone may ask here
        current_app.extensions[LOGGED] = reason
        log.warning("%s", reason)
    return problem(503, UNREADY, headers={"Retry-After": "5"})
