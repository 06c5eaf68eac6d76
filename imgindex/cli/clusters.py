"""The commands about themes: recluster, list, rename."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from imgindex import EVERY_WEEK, UsageError
from imgindex.cli.console import progress, show, write
from imgindex.cli.options import Index, Json, existing
from imgindex.rendering import exports, plots, text
from imgindex.rendering.html import clusters_html, pictured
from imgindex.rendering.paths import shown
from imgindex.rendering.sentences import when

app = typer.Typer()

Plots = Annotated[Path | None, typer.Option("--plots", metavar="DIR", help="Write plots of the last run as SVG.")]
Html = Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a contact sheet of each theme.")]


@app.command()
def recluster(
    clusters: Annotated[
        int | None, typer.Option("--clusters", metavar="N", help="How many themes; by default, as many as fit best.")
    ] = None,
    if_due: Annotated[bool, typer.Option("--if-due", help="Only if the schedule or drift calls for it.")] = False,
    every: Annotated[
        str | None,
        typer.Option("--every", metavar="SCHEDULE", help='For --if-due: 12h, 7d, or cron ("0 3 * * sun").'),
    ] = None,
    index: Index = None,
    json: Json = False,
) -> None:
    """Sort all pictures into themes."""
    if every is not None and not if_due:
        raise UsageError("The option --every needs --if-due; add it.")
    with existing(index) as opened, progress(opened, "clustering") as step:
        why = opened.themes.due(EVERY_WEEK if every is None else every) if if_due else None
        ran = not if_due or why is not None
        run = opened.themes.recluster(clusters, why=why, progress=step) if ran else opened.themes.runs()[0]
    not_due = f"Not due: run {run.id} of {when(run.created)} still fits."
    show(json, exports.run_json(run) | {"ran": ran}, lambda: text.run_text(run) if ran else not_due)


@app.command()
def clusters(
    plots_: Plots = None,
    html: Html = None,
    rename: Annotated[
        tuple[int, str] | None, typer.Option("--rename", metavar="ID NAME", help='Name a theme; "" removes its name.')
    ] = None,
    index: Index = None,
    json: Json = False,
) -> None:
    """List the themes and their pictures."""
    with existing(index) as opened:
        if rename:
            opened.themes.rename(*rename)
        found = opened.themes.current()
        if html:
            files = opened.images.files([member.id for theme in found.themes for member in pictured(theme)])
            write(html, clusters_html(found, opened.images.thumbnail, files))
    if plots_:
        for path in plots.write_plots(found, plots_):
            print(f"Wrote {shown(str(path))}.", file=sys.stderr)
    show(json, exports.clusters_json(found), lambda: text.clusters_text(found))
