"""How much is redundant: now, and in all saved reports."""

import dataclasses
from typing import Any

from apiflask import APIBlueprint
from flask import Response

from imgindex.rendering.exports import report_json
from imgindex.rendering.formats import FORMATS, JSON, Format
from imgindex.server.api.requests import Form
from imgindex.server.api.responses import answer, described, unless_known
from imgindex.server.api.schemas import copies as schemas
from imgindex.server.service import current

# JSON is the report itself, described by its schema; the other formats are downloads.
DOWNLOADS = {row.media_type: {"schema": {"type": "string"}} for row in FORMATS.values() if row is not JSON}

bp = APIBlueprint("api_report", __name__, url_prefix="/api/v1/report", tag="Report")


@bp.get("")
@bp.input(Form, location="query")
@bp.output(schemas.Report)
@bp.doc(operation_id="get_report", responses={200: described(content=DOWNLOADS), 304: "It has not changed."})
def now(query_data: dict[str, Any]) -> Response:
    """What the index holds and how much of it is redundant; `format` chooses another format than JSON."""

    def make() -> Response:
        report, wanted = current().report(), FORMATS[query_data["format"]]
        return answer(report_json(report)) if wanted is JSON else _download("".join(wanted.report(report)), wanted)

    current().report()  # first, because it may store new proofs, which changes the ETag
    return unless_known(make)


@bp.get("/history")
@bp.output(schemas.History)
@bp.doc(operation_id="get_report_history", responses=[304])
def history() -> Response:
    """The totals of all saved reports, the oldest first."""

    def make() -> Response:
        reports = current().index.reports.history()
        return answer({"reports": [{**dataclasses.asdict(one), "percent": round(one.percent, 2)} for one in reports]})

    return unless_known(make)


def _download(text: str, wanted: Format) -> Response:
    response = Response(text, mimetype=wanted.media_type)
    response.headers["Content-Disposition"] = f"attachment; filename=imgindex-report.{wanted.extension}"
    return response
