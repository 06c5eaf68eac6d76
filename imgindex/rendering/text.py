"""Records -> words and tables for a terminal."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from imgindex.cleanup.plan import Cleaned, Plan, Undone
from imgindex.clustering.records import Clusters, Run
from imgindex.containment import Containment
from imgindex.decoding.sandbox import Sandbox
from imgindex.duplicates.records import Duplicates
from imgindex.ingest.records import Added, Removed
from imgindex.models.base import Availability
from imgindex.rendering.paths import printable, shown
from imgindex.rendering.sentences import (
    LISTED,
    LOOSE,
    clusters_sentences,
    counted,
    duplicates_sentences,
    files,
    held_by,
    human,
    lineage_sentences,
    percent,
    report_sentences,
    run_sentence,
)
from imgindex.reports.records import Calibration, Report
from imgindex.retention.policies import Policies
from imgindex.search.records import Neighbour

THEMES = 40  # lines of themes: one screen
_ALL = "use --json, --csv or --html FILE to see all"


def check_text(problems: Sequence[str], sandbox: Sandbox) -> str:
    index = problems or ["The index is healthy."]
    return "\n".join([*index, *(sandbox.lacking or ["The process that decodes pictures is shut in completely."])])


def added_text(added: Added, missing: Sequence[str] = (), left_out: Sequence[str] = ()) -> str:
    failed = [f"{shown(failure.path)}: {failure.reason}" for failure in added.failed]
    others = f", {added.skipped} no pictures" if added.skipped else ""
    rate = f", {added.added / added.seconds:.1f} a second" if added.added and added.seconds else ""
    return "\n".join(
        [
            *_listed("Could not be read:", failed),
            *_listed(
                "Missing, but still in the index (`imgindex remove PATH` forgets them):",
                [shown(path) for path in missing],
            ),
            *_listed(
                "Left out now, but still in the index (`imgindex remove PATH` forgets them):",
                [shown(path) for path in left_out],
            ),
            f"{files(added.added)} added, {added.unchanged} unchanged, {added.moved} moved, "
            f"{len(failed)} not readable{others}, in {added.seconds:.1f} s{rate}.",
            f"The index holds {files(added.files)} of {added.images} different pictures.",
        ]
    )


def _listed(title: str, lines: Sequence[str]) -> list[str]:
    if not lines:
        return []
    more = [f"and {len(lines) - LISTED} more; use --json to see all"] if len(lines) > LISTED else []
    return [title, *(f"  {line}" for line in [*lines[:LISTED], *more])]


def sum_of(before: Added, after: Added) -> Added:
    """Two adds of the same folders as one: the work of both, and the state after the second."""
    return dataclasses.replace(
        after,
        added=before.added + after.added,
        moved=before.moved + after.moved,
        seconds=before.seconds + after.seconds,
    )


def removed_text(removed: Removed) -> str:
    deleted = f"{files(removed.deleted)} of uploads deleted for good" if removed.deleted else "nothing was deleted"
    kept = f" Uploads stay ({removed.uploads_kept}); `imgindex remove ID` removes one." if removed.uploads_kept else ""
    return (
        f"{files(removed.removed)} forgotten; {deleted}.{kept} "
        f"The index holds {files(removed.files)} of {removed.images} different pictures."
    )


def similar_table(results: Sequence[Neighbour]) -> Any:
    """A rich table: similarity as a bar and in percent, id, path."""
    from rich.table import Column, Table
    from rich.text import Text

    table = Table("similar", "", "id", Column("path", overflow="fold"), box=None, header_style="dim")
    for hit in results:
        bar = "█" * round(hit.similarity * 10)  # longer ones leave no room for paths
        table.add_row(Text(f"{hit.similarity:.0%}"), Text(bar, "green"), Text(str(hit.id)), Text(shown(hit.path)))
    return table


def models_table(models: Sequence[Availability]) -> Any:
    """A rich table: each model, its dimension, and where its weights are."""
    from rich.table import Table
    from rich.text import Text

    table = Table("model", "dimensions", "ready", "weights", box=None, header_style="dim")
    for model in models:
        ready = Text("yes", "green") if model.ready else Text("no", "red")
        table.add_row(Text(model.name), str(model.dimension), ready, Text(model.weights))
    return table


def duplicates_text(duplicates: Duplicates) -> Any:
    """A rich text: the groups with what stays and why, then what they amount to."""
    from rich.text import Text

    text = Text()
    for group in duplicates.groups[:LISTED]:
        text.append(f"Group {group.id}", "bold").append(f": {files(len(group.files))}, {held_by(group)}\n")
        if group.loose:
            text.append(f"  ! {LOOSE}\n", "yellow")
        sizes = [(f"{copy.width} x {copy.height}", human(copy.bytes)) for copy in group.files[:LISTED]]
        wide, heavy = (max(map(len, column)) for column in zip(*sizes, strict=True))
        for copy, (pixels, size) in zip(group.files, sizes, strict=False):
            text.append("  stays  " if copy.stays else "         ", "green")
            text.append(f"{pixels:{wide}}  {size:>{heavy}}  {shown(copy.path)}")
            text.append(f"  ({printable(copy.why)})\n", "dim")
        if len(group.files) > LISTED:
            text.append(f"         and {len(group.files) - LISTED} more files\n")
        text.append("\n")
    if len(duplicates.groups) > LISTED:
        text.append(f"and {counted(len(duplicates.groups) - LISTED, 'more group')}; {_ALL}\n\n")
    return text.append("\n".join(duplicates_sentences(duplicates)))


def report_text(report: Report) -> Any:
    """A rich text: how much is redundant, where, and what is new."""
    from rich.text import Text

    text = Text("\n".join(report_sentences(report)))
    folders = [folder for folder in report.folders if folder.redundant]
    if folders:
        text.append("\n\n copies    files        share  folder", "dim")
    for folder in folders[:LISTED]:
        share = percent(folder.percent)
        text.append(f"\n{folder.redundant:7}  {folder.files:7}  {share:>11}  {shown(folder.path)}")
    if len(folders) > LISTED:
        text.append(f"\nand {counted(len(folders) - LISTED, 'more folder')} with copies; {_ALL}")
    if report.clusters:
        text.append("\n\n copies   images   of all        share  reference  theme", "dim")
    for theme, (title, _, reference) in list(zip(report.clusters, report.table, strict=False))[:LISTED]:
        share = percent(theme.percent)
        text.append(f"\n{theme.redundant:7}  {theme.images:7}  {theme.share:7.1%}  {share:>11}")
        text.append(f"  {reference:8.2f}%  {printable(title)}")
    if len(report.clusters) > LISTED:
        text.append(f"\nand {counted(len(report.clusters) - LISTED, 'more theme')}; {_ALL}")
    return text


def run_text(run: Run) -> str:
    """What a run found."""
    return "\n".join([run_sentence(run), *lineage_sentences(run.lineage)])


def clusters_text(clusters: Clusters) -> Any:
    """A rich text: the themes with their most typical picture, then the run and what changed."""
    from rich.text import Text

    text = Text()
    if clusters.themes:
        text.append("theme    images   share  most typical\n", "dim")
    for theme in clusters.themes[:THEMES]:
        name = f"  {printable(theme.name)}" if theme.name else ""
        text.append(f"{theme.id:5}  {len(theme.images):8}  {theme.share:6.1%}  {shown(theme.images[0].path)}")
        text.append(f"{name}\n", "bold")
    if len(clusters.themes) > THEMES:
        text.append(
            f"and {counted(len(clusters.themes) - THEMES, 'more theme')}; use --json or --html FILE to see all\n"
        )
    if clusters.themes:
        text.append("\n")
    return text.append("\n".join(clusters_sentences(clusters)))


def plan_text(plan: Plan, file: str) -> str:
    """What a clean would do, and how to carry it out."""
    verb = {"trash": "would go to the trash", "quarantine": "would go to the quarantine"}.get(
        plan.how, "would become hard links"
    )
    size = human(sum(step.bytes for step in plan.steps))
    steps = [f"{shown(step.path)}  (keeping {shown(step.keep)})" for step in plan.steps]
    next_ = f"Nothing has moved. The plan is in {shown(file)}; `imgindex clean --apply` carries it out."
    return "\n".join(
        [
            *_listed(f"Files that {verb}:", steps),
            *_listed("Left alone:", [f"{shown(path)}: {why}" for path, why in plan.skipped]),
            f"{files(len(steps))} {verb}, {size}.",
            next_ if steps else "There is nothing to clean.",
        ]
    )


def policies_text(policies: Policies) -> str:
    """What holds for all groups."""
    lines = [
        *_listed("Protected: nothing in these folders is put away.", [shown(path) for path in policies.protect]),
        *_listed(
            "Preferred: files in these folders stay rather than others.", [shown(path) for path in policies.prefer]
        ),
    ]
    if policies.keep:
        lines.append(f"Ties are settled by {', '.join(policies.keep)}, then the rest.")
    if policies.separate_raw:
        lines.append("The raw file and the JPEG of a shot are judged separately.")
    return "\n".join(lines or ["There are no policies: no folder is protected or preferred."])


def containment_text(containment: Containment) -> str:
    """What is not held, and the verdict."""
    lacking = [one for one in containment.files if one.held != "whole"]
    lines = [f"{shown(one.path)}: {one.why}" + (f" ({shown(one.by.path)})" if one.by else "") for one in lacking]
    if not containment.files:
        return "There is nothing in it."
    verdict = f"All of its {files(len(containment.files))} are in your collection; it is safe to delete."
    if len(lacking) == len(containment.files):
        verdict = f"None of its {files(len(containment.files))} is held by your collection; keep it, or add it first."
    elif lacking:
        one = len(lacking) == 1
        these, way_out = ("this one", "keep it, or add it") if one else (f"these {len(lacking)}", "keep or add these")
        verdict = f"All but {these} of its {files(len(containment.files))} are in your collection; {way_out} first."
    return "\n".join([*_listed("Not in your collection:", lines), verdict])


def cleaned_text(cleaned: Cleaned) -> str:
    """What a clean did."""
    return "\n".join(
        [
            *_listed("Left alone:", [f"{shown(path)}: {why}" for path, why in cleaned.skipped]),
            f"{files(len(cleaned.done))} moved or linked, {human(cleaned.freed)}; `imgindex clean --undo` reverts it.",
        ]
    )


def undone_text(undone: Undone) -> str:
    """What was brought back."""
    back = f"{files(len(undone.restored))} brought back; run `imgindex sync` to index them again."
    failed = _listed("Not brought back:", [f"{shown(path)}: {why}" for path, why in undone.failed])
    return "\n".join([*failed, back if undone.restored or failed else "There is nothing to bring back."])


def calibration_table(calibration: Calibration) -> Any:
    """A rich table: which share of the photos was found by each edit of it."""
    from rich.table import Table

    table = Table("edit", "found", box=None, header_style="dim", caption=calibration.sentence(), caption_justify="left")
    for edit in calibration.by_edit:
        table.add_row(edit, percent(100 * calibration.recall_of(edit)))
    return table
