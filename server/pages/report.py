"""How much is redundant, where, and how that went."""

from dataclasses import dataclass
from datetime import datetime

from flask import Blueprint, redirect, render_template, url_for
from werkzeug.wrappers import Response

from imgindex import PastReport, Report
from imgindex.rendering.text import report_sentences
from imgindex.server.service import current

pages = Blueprint("report", __name__)

FOLDERS = 100  # that the table shows
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
    """The report as it is now; it is not kept by being looked at."""
    service = current()
    report, past = service.report(), service.index.reports()
    top = next((scale for scale in SCALES if scale >= max([report.percent, *(one.percent for one in past)])), 100)
    return render_template(
        "report.html",
        report=report,
        sentences=report_sentences(report),
        folders=report.folders[:FOLDERS],
        points=_points(past, report, top),
        kept=len(past),
        top=top,
    )


@pages.post("/report/keep")
def keep() -> Response:
    """Keep the report, so that the next one says what changed since."""
    current().index.report()
    return redirect(url_for("report.report", said="kept"), 303)


def _points(past: list[PastReport], now: Report, top: int) -> list[Point]:
    """Those that were kept, and the one now."""
    reports: list[PastReport | Report] = [*past, now]
    told = [(one.created, one.percent, one.redundant, one.files) for one in reports]
    times = [datetime.fromisoformat(created).timestamp() for created, *_ in told]
    span = (max(times) - min(times)) or 1.0
    return [
        Point(round(100 * (at - min(times)) / span, 3), round(100 - 100 * one[1] / top, 3), *one)
        for at, one in zip(times, told, strict=True)
    ]
