"""Themes: their images, their names, and the runs that made them."""

from typing import Any

from apiflask import APIBlueprint
from flask import Response, url_for

from imgindex.rendering.exports import cluster_json, clusters_json, run_json
from imgindex.server.api import pagination
from imgindex.server.api.jobs import job_json
from imgindex.server.api.requests import Page, Recluster, Rename, json_only
from imgindex.server.api.responses import answer, described, unless_known
from imgindex.server.api.schemas import themes as schemas
from imgindex.server.service import current

TYPICAL = 24  # images of a theme in a list of themes: a screenful of thumbnails

bp = APIBlueprint("api_clusters", __name__, url_prefix="/api/v1/clusters", tag="Clusters")
bp.before_request(json_only)


@bp.get("")
@bp.output(schemas.Clusters)
@bp.doc(operation_id="list_clusters", responses=[304])
def listed() -> Response:
    """The themes of the last run, each with its most typical images."""

    def make() -> Response:
        return answer(clusters_json(current().clusters(), images=TYPICAL))

    return unless_known(make)


@bp.get("/<id:cluster>")
@bp.input(Page, location="query")
@bp.output(schemas.ClusterPage)
@bp.doc(operation_id="get_cluster", responses=[304])
def one(cluster: int, query_data: dict[str, Any]) -> Response:
    """A theme with its images, the most typical first."""

    def make() -> Response:
        theme = current().theme(cluster)
        images, following = pagination.page(
            theme.images, f"cluster {cluster}", query_data.get("cursor"), query_data["limit"], lambda image: image.id
        )
        return answer({**cluster_json(theme, images), "next": following})

    return unless_known(make)


@bp.patch("/<id:cluster>")
@bp.input(Rename)
@bp.output(schemas.Renamed)
@bp.doc(operation_id="rename_cluster", responses=[415])
def rename(cluster: int, json_data: dict[str, Any]) -> Response:
    """Give a theme a name, which it keeps from run to run."""
    current().index.themes.rename(cluster, json_data["name"])
    theme = current().theme(cluster)
    return answer(cluster_json(theme, theme.images[:TYPICAL]))


@bp.get("/runs")
@bp.input(Page, location="query")
@bp.output(schemas.Runs)
@bp.doc(operation_id="list_runs")
def runs(query_data: dict[str, Any]) -> Response:
    """All runs, the newest first."""
    shown, following = pagination.page(
        current().index.themes.runs(), "runs", query_data.get("cursor"), query_data["limit"], lambda run: run.id
    )
    return answer({"runs": [run_json(run) for run in shown], "next": following})


@bp.post("/runs")
@bp.input(Recluster)
@bp.output(schemas.Job, 202, description="The run has started; Location says where to watch it.")
@bp.doc(
    operation_id="start_run",
    responses={202: described(location="Of the job."), 409: "Another run is in progress.", 415: "Not JSON."},
)
def start(json_data: dict[str, Any]) -> Response:
    """Sort all images into themes again, in the background."""
    job = current().jobs.start_recluster(json_data.get("clusters"))
    return answer(job_json(job), 202, Location=url_for("api_jobs.one", job=job.id))
