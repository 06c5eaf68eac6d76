"""Themes: contact sheets, names, runs, and how a new run comes along."""

from typing import Any

from flask import Blueprint, Response, current_app, redirect, render_template, request, url_for
from flask.blueprints import BlueprintSetupState
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as Answer

from imgindex import BusyError, Theme, UsageError
from imgindex.rendering.html import pictured
from imgindex.rendering.plots import plots_svg
from imgindex.rendering.text import clusters_sentences
from imgindex.server.cache import Snapshots
from imgindex.server.jobs import Job
from imgindex.server.pages.layout import changed, numbers, partly, whole
from imgindex.server.service import current

pages = Blueprint("themes", __name__)

SHEET = 9  # pictures of a contact sheet
PAGE = 60  # pictures of a part of a theme
RUNS = 30  # runs that the table shows
PLOTS = "imgindex.rendering.plots"


@pages.record
def _prepare(state: BlueprintSetupState) -> None:
    state.app.extensions[PLOTS] = Snapshots(state.app.extensions["imgindex"].index.version)


@pages.get("/themes")
def themes() -> str:
    """A contact sheet of each theme, the last run, its plots and the runs before."""
    return render_template("themes.html", **_sheets(), job=current().jobs.last())


def _sheets() -> dict[str, Any]:
    index, clusters = current().index, current().clusters()
    sheets = [(theme, _picks(theme)) for theme in clusters.themes]
    return {
        "clusters": clusters,
        "sentences": clusters_sentences(clusters),
        "sheets": sheets,
        "files": index.files_of({member.id for _, picks in sheets for member in picks}),
        "runs": index.runs()[:RUNS],
        "images": index.counts().images,
    }


def _picks(theme: Theme) -> list[Any]:
    """The most typical image, then some spread from the most to the least typical."""
    medoid, *others = pictured(theme)
    shown = min(len(others), SHEET - 1)
    return [medoid, *(others[place * (len(others) - 1) // max(shown - 1, 1)] for place in range(shown))]


@pages.get("/themes/<int:number>")
def theme(number: int) -> str:
    """All pictures of a theme, the most typical first, part by part."""
    theme, start = current().theme(number), whole("from", 0) or 0
    members = theme.images[start : start + PAGE]
    return render_template(
        "_members.html" if partly() else "theme.html",
        theme=theme,
        members=members,
        start=start,
        files=current().index.files_of({member.id for member in members}),
        further=start + PAGE if len(theme.images) > start + PAGE else None,
    )


@pages.post("/themes/<int:number>/name")
def rename(number: int) -> Answer | str:
    """Give a theme a name; an empty one takes it back."""
    current().index.rename_theme(number, request.form.get("name"))
    theme = current().theme(number)
    if partly():
        return render_template("_name.html", theme=theme)
    return redirect(url_for("themes.theme", number=number, said="named" if theme.name else "unnamed"), 303)


@pages.post("/themes/recluster")
def recluster() -> Answer | str:
    """Start a run in the background."""
    jobs, wanted = current().jobs, request.form.get("clusters", "").strip()
    clusters = numbers([wanted])
    if wanted and not clusters:
        raise UsageError("The number of themes is not a whole number; leave it empty to have it found.")
    job: Job | None
    try:
        job = jobs.start_recluster(clusters[0] if clusters else None)
    except BusyError:
        job = jobs.last()
    if partly():
        return render_template("_job.html", job=job)
    return redirect(url_for("themes.themes"), 303)


@pages.get("/themes/jobs/<id>")
def job(id: str) -> Answer | str:
    """How far a run is."""
    job = current().jobs.get(id)
    part = render_template("_job.html", job=job)
    return changed(part) if job.state == "done" else part


@pages.get("/themes/plots/<name>.svg")
def plot(name: str) -> Answer:
    """A plot of the last run."""
    etag = current().etag()
    plots: Snapshots = current_app.extensions[PLOTS]
    svg = plots.get("plots", _plots).get(f"{name}.svg")
    if svg is None:
        raise NotFound("There is no such plot; a first run of the themes makes them.")
    response = Response(svg, mimetype="image/svg+xml")
    response.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'"  # of the plot alone
    response.set_etag(etag)
    return response.make_conditional(request)


def _plots() -> dict[str, bytes]:
    clusters = current().clusters()
    return plots_svg(clusters) if clusters.run else {}
