"""The commands about duplicates: list, decide, clean, report, calibrate."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from imgindex import Plan, UsageError, evaluate
from imgindex.cleanup.plan import How
from imgindex.cli.console import progress, show, show_formats, write
from imgindex.cli.options import Index, Json, Weights, existing, ids_or_paths, in_formats, in_order
from imgindex.duplicates.records import Held
from imgindex.rendering import exports, text

app = typer.Typer()

Keep = Annotated[
    str,
    typer.Option(
        metavar="ORDER",
        help="What decides which file to keep, in order of priority: pixels,compression,oldest,path.",
    ),
]
Forget = Annotated[bool, typer.Option("--forget", help="Undo the decision.")]

PLAN = "clean.json"  # in the index's folder


@app.command()
@in_formats
def duplicates(formats: dict[str, Any], keep: Keep = "", index: Index = None) -> None:
    """List the files that show the same picture, and which of them to keep."""
    with existing(index) as opened:
        found = opened.duplicates.find(keep=in_order(keep))
        show_formats(formats, lambda row: row.duplicates(found, opened.images), lambda: text.duplicates_text(found))


@app.command("report")
@in_formats
def report_(formats: dict[str, Any], index: Index = None) -> None:
    """Report how much is redundant, by folder, and what changed since the last report."""
    with existing(index) as opened:
        made = opened.reports.make()
    show_formats(formats, lambda row: row.report(made), lambda: text.report_text(made))


@app.command()
def different(
    targets: Annotated[list[str], typer.Argument(metavar="PATH_OR_ID...", help="Pictures that are not duplicates.")],
    forget: Forget = False,
    index: Index = None,
) -> None:
    """Remember that these are different pictures, which never share a group again."""
    with existing(index) as opened:
        first, *others = ids_or_paths(targets)
        opened.duplicates.mark_different(first, others, pairwise=True, forget=forget)
    print("The decision is undone." if forget else "Saved: these are not duplicates of each other.", file=sys.stderr)


@app.command()
def keep(
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Files to keep.")],
    forget: Forget = False,
    index: Index = None,
) -> None:
    """Remember that these are the files to keep in their groups."""
    with existing(index) as opened:
        opened.duplicates.prefer(paths, forget=forget)
    print("The decision is undone." if forget else "Saved: these are the files to keep.", file=sys.stderr)


@app.command()
def clean(
    how: Annotated[How, typer.Option("--to", help="Where redundant files go; hardlink: same bytes only.")] = "trash",
    quarantine: Annotated[
        Path | None, typer.Option("--quarantine", metavar="DIR", help="The folder for --to quarantine.")
    ] = None,
    keep: Keep = "",
    plan: Annotated[
        Path | None, typer.Option("--plan", metavar="FILE", help="The file of the plan; by default, in the index.")
    ] = None,
    only: Annotated[
        Held | None,
        typer.Option("--only", help="Only files held by the same bytes (exact), also pixels (same), or all (version)."),
    ] = None,
    group: Annotated[int | None, typer.Option("--group", metavar="ID", help="Only this group.")] = None,
    under: Annotated[Path | None, typer.Option("--under", metavar="FOLDER", help="Only files below it.")] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Carry out the plan.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Bring back every file that the last clean moved.")] = False,
    index: Index = None,
    json: Json = False,
) -> None:
    """Plan what to do with redundant files; --apply carries it out, --undo reverts it."""
    if apply and undo:
        raise UsageError("The options --apply and --undo exclude each other; choose one.")
    with existing(index) as opened:
        where = plan or opened.folder / PLAN
        if undo:
            undone = opened.cleanup.undo()
            show(json, exports.undone_json(undone), lambda: text.undone_text(undone))
            raise typer.Exit(int(bool(undone.failed)))
        if apply:
            with progress(opened, "cleaning") as step:
                cleaned = opened.cleanup.apply(_read(where), quarantine=quarantine, progress=step)
            where.unlink(missing_ok=True)
            show(json, exports.cleaned_json(cleaned), lambda: text.cleaned_text(cleaned))
            return
        made = opened.cleanup.plan(how, keep=in_order(keep), only=only, group=group, under=under)
        write(where, [made.to_json()])
        show(json, exports.plan_json(made, str(where)), lambda: text.plan_text(made, str(where)))


@app.command()
def calibrate(weights: Weights = None, index: Index = None, json: Json = False) -> None:
    """Measure how well copies are found, on edits of a sample of your own photos."""
    with existing(index, weights) as opened, progress(opened, "calibrating") as step:
        result = evaluate(opened, progress=step)
    show(json, exports.calibration_json(result), lambda: text.calibration_table(result))


def _read(file: Path) -> Plan:
    try:
        return Plan.from_json(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"There is no plan at {file}; run `imgindex clean` to make one, and read it first.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The plan {file} cannot be read ({error}); make another with `imgindex clean`.") from error
