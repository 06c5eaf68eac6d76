"""The commands about copies: look, decide, clean, report, calibrate."""

import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from imgindex import Plan, UsageError, calibrate_index
from imgindex.cleanup.journal import How
from imgindex.cli.console import Index, Json, Weights, existing, progress, show, write
from imgindex.rendering import exports
from imgindex.rendering import html as pages
from imgindex.rendering import text as report

app = typer.Typer()

Keep = Annotated[
    str,
    typer.Option(
        metavar="ORDER",
        help="What makes a file the one to keep, first things first: pixels,compression,oldest,path.",
    ),
]
Csv = Annotated[bool, typer.Option("--csv", help="Print a table for spreadsheets.")]
Html = Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a page with the pictures.")]
Forget = Annotated[bool, typer.Option("--forget", help="Take the decision back.")]

PLAN = "clean.json"  # in the index's folder


@app.command()
def duplicates(keep: Keep = "", csv: Csv = False, html: Html = None, index: Index = None, json: Json = False) -> None:
    """List the files that show the same picture, and which of them to keep."""
    with existing(index) as opened:
        found = opened.duplicates(keep=_order(keep))
        if html:
            write(html, pages.duplicates_html(found, opened.thumbnail, opened.files_of_pairs(found.alike)))
    if csv and not json:
        sys.stdout.writelines(exports.duplicates_csv(found))
    else:
        show(json, exports.duplicates_json(found), lambda: report.duplicates_text(found))


@app.command("report")
def report_(csv: Csv = False, html: Html = None, index: Index = None, json: Json = False) -> None:
    """Say how much is redundant, by folder, and what changed since the last report."""
    with existing(index) as opened:
        made = opened.report()
    if html:
        write(html, pages.report_html(made))
    if csv and not json:
        sys.stdout.writelines(exports.report_csv(made))
    else:
        show(json, exports.report_json(made), lambda: report.report_text(made))


@app.command()
def different(
    targets: Annotated[list[str], typer.Argument(metavar="PATH_OR_ID...", help="Pictures that are no duplicates.")],
    forget: Forget = False,
    index: Index = None,
) -> None:
    """Remember that these are different pictures: they never share a group again."""
    with existing(index) as opened:
        opened.call_different(
            [int(target) if target.isdecimal() and not os.path.lexists(target) else target for target in targets],
            forget=forget,
        )
    print("Forgotten." if forget else "Remembered: these are no duplicates of each other.", file=sys.stderr)


@app.command()
def keep(
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Files to keep.")],
    forget: Forget = False,
    index: Index = None,
) -> None:
    """Remember that these are the files to keep in their groups."""
    with existing(index) as opened:
        opened.keep(paths, forget=forget)
    print("Forgotten." if forget else "Remembered: these stay.", file=sys.stderr)


@app.command()
def clean(
    how: Annotated[How, typer.Option("--to", help="Where redundant files go; hardlink: same bytes only.")] = "trash",
    quarantine: Annotated[
        Path | None, typer.Option("--quarantine", metavar="DIR", help="The folder of --to quarantine.")
    ] = None,
    keep: Keep = "",
    plan: Annotated[
        Path | None, typer.Option("--plan", metavar="FILE", help="Where the plan is; by default, in the index.")
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Do what the plan says.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Bring back all that the last clean put away.")] = False,
    index: Index = None,
    json: Json = False,
) -> None:
    """Plan what to do with redundant files; do it with --apply, take it back with --undo."""
    if apply and undo:
        raise UsageError("--apply and --undo exclude each other.")
    with existing(index) as opened:
        where = plan or opened.folder / PLAN
        if undo:
            undone = opened.undo_clean()
            value = {"restored": list(undone.restored), "failed": [skipped._asdict() for skipped in undone.failed]}
            show(json, value, lambda: report.undone_text(undone))
            raise typer.Exit(int(bool(undone.failed)))
        if apply:
            with progress(opened, "cleaning") as step:
                cleaned = opened.clean(_read(where), quarantine=quarantine, progress=step)
            where.unlink(missing_ok=True)
            value = {"done": list(cleaned.done), "freed": cleaned.freed}
            show(
                json,
                value | {"skipped": [skipped._asdict() for skipped in cleaned.skipped]},
                lambda: report.cleaned_text(cleaned),
            )
            return
        made = opened.plan_clean(how, keep=_order(keep))
        write(where, [made.to_json()])
        steps = [
            {"path": step.path, "keep": step.keep, "group": step.group, "bytes": step.bytes} for step in made.steps
        ]
        value = {"how": made.how, "plan": str(where), "steps": steps}
        show(
            json,
            value | {"skipped": [skipped._asdict() for skipped in made.skipped]},
            lambda: report.plan_text(made, str(where)),
        )


@app.command()
def calibrate(weights: Weights = None, index: Index = None, json: Json = False) -> None:
    """Measure how well copies are found, on edits of a sample of your own photos."""
    with existing(index, weights) as opened, progress(opened, "calibrating") as step:
        result = calibrate_index(opened, progress=step)
    by_edit = {edit: result.recall_of(edit) for edit in result.by_edit}
    value = asdict(result) | {"precision": result.precision, "recall": result.recall, "recall_by_edit": by_edit}
    show(json, value, lambda: report.calibration_table(result))


def _order(keep: str) -> list[str]:
    return [name.strip() for name in keep.split(",")] if keep else []


def _read(file: Path) -> Plan:
    try:
        return Plan.from_json(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"there is no plan at {file}; imgindex clean makes one, to be looked at first.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the plan {file} cannot be read ({error}); make a new one with imgindex clean.") from error
