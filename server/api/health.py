"""Whether the server lives, and whether it can take pictures."""

from apiflask import APIBlueprint
from flask import Response

from server.api.answers import answer
from server.api.schemas import health as schemas
from server.problems import problem
from server.service import current

bp = APIBlueprint("api_health", __name__, tag="Health")


@bp.get("/health")
@bp.output(schemas.Health)
@bp.doc(operation_id="get_health")
def health() -> Response:
    """The server answers."""
    return answer({"status": "ok"})


@bp.get("/ready")
@bp.output(schemas.Ready)
@bp.doc(operation_id="get_ready", responses={503: "Not yet, or its model cannot be loaded."})
def ready() -> Response:
    """The model is loaded."""
    reason = current().ready()
    return problem(503, reason, headers={"Retry-After": "5"}) if reason else answer({"status": "ready"})
