"""The commands about themes: recluster, look, rename."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from imgindex import UsageError
from imgindex.cli.console import Index, Json, existing, progress, show, write
from imgindex.rendering import exports, plots
from imgindex.rendering import html as pages
from imgindex.rendering import text as report

app = typer.Typer()

Plots = Annotated[Path | None, typer.Option("--plots", metavar="DIR", help="Write the curve and the themes as SVG.")]
Html = Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a contact sheet of each theme.")]


@app.command()
def recluster(
    clusters: Annotated[
        int | None, typer.Option("--clusters", metavar="N", help="How many; by default, as many as fit best.")
    ] = None,
    if_due: Annotated[bool, typer.Option("--if-due", help="Only when the schedule or a drift asks for it.")] = False,
    every: Annotated[
        str | None,
        typer.Option("--every", metavar="SCHEDULE", help='For --if-due: 12h, 7d, or cron ("0 3 * * sun").'),
    ] = None,
    index: Index = None,
    json: Json = False,
) -> None:
    """Sort all pictures into themes."""
    if every is not None and not if_due:
        raise UsageError("--every goes with --if-due.")
    with existing(index) as opened, progress(opened, "clustering") as step:
        why = opened.due(every) if every is not None else opened.due() if if_due else "It was asked for."
        runs = [opened.recluster(clusters, why=why, progress=step)] if why else opened.runs()[:1]
    words = report.run_text if why else lambda run: f"Not due: run {run.id} of {report.when(run.created)} still fits."
    show(json, exports.run_json(runs[0]) | {"ran": bool(why)}, lambda: words(runs[0]))


@app.command()
def clusters(
    plots_: Plots = None,
    html: Html = None,
    rename: Annotated[
        tuple[int, str] | None, typer.Option("--rename", metavar="ID NAME", help='Name a theme; "" takes it back.')
    ] = None,
    index: Index = None,
    json: Json = False,
) -> None:
    """List the themes and what is in them."""
    with existing(index) as opened:
        if rename:
            opened.rename_theme(*rename)
        found = opened.clusters()
        if html:
            files = opened.files_of([member.id for theme in found.themes for member in pages.pictured(theme)])
            write(html, pages.clusters_html(found, opened.thumbnail, files))
    if plots_:
        for path in plots.write_plots(found, plots_):
            print(f"{report.shown(str(path))} written.", file=sys.stderr)
    show(json, exports.clusters_json(found), lambda: report.clusters_text(found))
