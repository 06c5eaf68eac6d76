"""Themes: contact sheets, names, runs, and the progress of a new run."""

from typing import Any

from flask import Response, current_app, redirect, render_template, request, url_for
from flask.blueprints import BlueprintSetupState
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as Answer

from imgindex import BusyError, UsageError
from imgindex.rendering.html import pictured
from imgindex.rendering.plots import plots_svg
from imgindex.rendering.sentences import clusters_sentences
from imgindex.server.cache import Cache
from imgindex.server.jobs import Job
from imgindex.server.pages.layout import changed, numbers, page_blueprint, part, partly
from imgindex.server.service import current

pages = page_blueprint("themes")

SHEET = 9  # pictures of a contact sheet: three by three
PAGE = 60  # pictures of a part of a theme: two screens, as in the library
RUNS = 30  # runs that the table shows: a month of daily ones; the API has all
PLOTS = "imgindex.rendering.plots"


@pages.record
def _prepare(state: BlueprintSetupState) -> None:
    state.app.extensions[PLOTS] = Cache(state.app.extensions["imgindex"].index.version)


@pages.get("/themes")
def themes() -> str:
    """A contact sheet of each theme, the last run, its plots and the earlier runs."""
    return render_template("themes.html", **_sheets(), job=current().jobs.last())


def _sheets() -> dict[str, Any]:
    index, clusters = current().index, current().clusters()
    sheets = [(theme, pictured(theme, SHEET)) for theme in clusters.themes]
    return {
        "clusters": clusters,
        "sentences": clusters_sentences(clusters),
        "sheets": sheets,
        "files": index.images.files({member.id for _, picks in sheets for member in picks}),
        "runs": index.themes.runs()[:RUNS],
        "images": index.counts().images,
    }


@pages.get("/themes/<id:number>")
def theme(number: int) -> str:
    """All pictures of a theme, the most typical first, part by part."""
    theme = current().theme(number)
    members = part(theme.images, PAGE)
    return render_template(
        "_members.html" if partly() else "theme.html",
        theme=theme,
        members=members.items,
        start=members.start,
        files=current().index.images.files({member.id for member in members.items}),
        further=members.further,
    )


@pages.post("/themes/<id:number>/name")
def rename(number: int) -> Answer | str:
    """Name a theme; an empty name removes it."""
    current().index.themes.rename(number, request.form.get("name"))
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
        raise UsageError("The number of themes must be a whole number; leave it empty to have it chosen.")
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
    """The progress of a run."""
    job = current().jobs.get(id)
    shown = render_template("_job.html", job=job)
    return changed(shown) if job.state == "done" else shown


@pages.get("/themes/plots/<name>.svg")
def plot(name: str) -> Answer:
    """A plot of the last run."""
    etag = current().etag()
    plots: Cache = current_app.extensions[PLOTS]
    svg = plots.get("plots", _plots).get(f"{name}.svg")
    if svg is None:
        raise NotFound("There is no such plot; plots exist once the pictures have been sorted into themes.")
    response = Response(svg, mimetype="image/svg+xml")
    response.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'"  # of the plot alone
    response.set_etag(etag)
    return response.make_conditional(request)


def _plots() -> dict[str, bytes]:
    clusters = current().clusters()
    return plots_svg(clusters) if clusters.run else {}
