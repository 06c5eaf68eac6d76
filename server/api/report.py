"""How much is redundant: now, and when reports were kept."""

import dataclasses
from typing import Any

from apiflask import APIBlueprint
from flask import Response

from imgindex.rendering.exports import report_csv, report_json
from imgindex.rendering.html import report_html
from imgindex.server.api.requests import Form
from imgindex.server.api.responses import answer, unless_known
from imgindex.server.api.schemas import copies as schemas
from imgindex.server.service import current

bp = APIBlueprint("api_report", __name__, url_prefix="/api/v1/report", tag="Report")


@bp.get("")
@bp.input(Form, location="query")
@bp.output(schemas.Report)
@bp.doc(operation_id="get_report", responses=[304])
def now(query_data: dict[str, Any]) -> Response:
    """What the index holds and how much of it is redundant, as JSON, CSV (one line a folder) or an HTML page."""

    def make() -> Response:
        report = current().report()
        match query_data["format"]:
            case "csv":
                return _download("".join(report_csv(report)), "text/csv", "imgindex-report.csv")
            case "html":
                return _download("".join(report_html(report)), "text/html", "imgindex-report.html")
        return answer(report_json(report))

    current().report()  # proving copies changes the index, and so the ETag
    return unless_known(make)


@bp.get("/history")
@bp.output(schemas.History)
@bp.doc(operation_id="get_report_history", responses=[304])
def history() -> Response:
    """The totals of all reports that were kept, the oldest first."""

    def make() -> Response:
        reports = current().index.reports()
        return answer({"reports": [{**dataclasses.asdict(one), "percent": round(one.percent, 2)} for one in reports]})

    return unless_known(make)


def _download(text: str, kind: str, name: str) -> Response:
    response = Response(text, mimetype=kind)
    response.headers["Content-Disposition"] = f"attachment; filename={name}"
    return response
