"""How much is redundant, where, and how that has changed."""

from dataclasses import dataclass
from datetime import datetime

from flask import redirect, render_template, url_for
from werkzeug.wrappers import Response

from imgindex import PastReport, Report
from imgindex.rendering.formats import FORMATS
from imgindex.rendering.sentences import report_sentences
from imgindex.server.pages.layout import page_blueprint
from imgindex.server.service import current

pages = page_blueprint("report")

FOLDERS = 100  # that the table shows: a few screens; the downloads have all
SCALES = (1, 2, 4, 6, 8, 10, 20, 30, 40, 60, 80, 100)  # percent at the top of the plot


@dataclass(frozen=True)
class Point:
    """One report in the plot, in percent of its width and height, from the left and from the top."""

    x: float
    y: float
    created: str
    percent: float
    redundant: int
    files: int


@pages.get("/report")
def report() -> str:
    """The report as it is now; looking at it does not save it."""
    service = current()
    report, past = service.report(), service.index.reports.history()
    top = next((scale for scale in SCALES if scale >= max([report.percent, *(one.percent for one in past)])), 100)
    return render_template(
        "report.html",
        report=report,
        sentences=report_sentences(report),
        folders=report.folders[:FOLDERS],
        points=_points(past, report, top),
        kept=len(past),
        top=top,
        formats=FORMATS.values(),
    )


@pages.post("/report/keep")
def keep() -> Response:
    """Save the report, so that the next one says what changed since."""
    current().index.reports.make()
    return redirect(url_for("report.report", said="kept"), 303)


def _points(past: list[PastReport], now: Report, top: int) -> list[Point]:
    """The saved reports, and the current one."""
    reports: list[PastReport | Report] = [*past, now]
    told = [(one.created, one.percent, one.redundant, one.files) for one in reports]
    times = [datetime.fromisoformat(created).timestamp() for created, *_ in told]
    span = (max(times) - min(times)) or 1.0
    return [
        Point(round(100 * (at - min(times)) / span, 3), round(100 - 100 * one[1] / top, 3), *one)
        for at, one in zip(times, told, strict=True)
    ]
