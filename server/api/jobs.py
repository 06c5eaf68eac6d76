"""Background work, watched by its id."""

import dataclasses
from typing import Any

from apiflask import APIBlueprint
from flask import Response

from imgindex.server.api.responses import answer
from imgindex.server.api.schemas import themes as schemas
from imgindex.server.jobs import Job
from imgindex.server.service import current

bp = APIBlueprint("api_jobs", __name__, url_prefix="/api/v1/jobs", tag="Clusters")


@bp.get("/<job>")
@bp.output(schemas.Job)
@bp.doc(operation_id="get_job")
def one(job: str) -> Response:
    """The progress of a run."""
    return answer(job_json(current().jobs.get(job)))


def job_json(job: Job) -> dict[str, Any]:
    """A job as JSON."""
    return dataclasses.asdict(job)
