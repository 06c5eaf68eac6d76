"""Records -> words and tables for a terminal."""

import dataclasses
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from imgindex.cleanup.cleaner import Cleaned, Undone
from imgindex.cleanup.plan import Plan
from imgindex.clustering.records import Clusters, Lineage, Run
from imgindex.duplicates.records import Duplicates, Group
from imgindex.evaluation import Calibration
from imgindex.ingest.records import Added, Removed
from imgindex.models.registry import Availability
from imgindex.rendering.exports import utf8
from imgindex.reports.records import Report
from imgindex.search.records import Neighbour

LISTED = 10  # lines of a list that a terminal shows
THEMES = 40  # of which a terminal shows a line each
_ALL = "--json, --csv or --html FILE shows all"


def shown(path: str) -> str:
    """A path on one line of a terminal; relative where that is shorter."""
    with suppress(OSError):  # the current folder may be gone
        path = min((path, os.path.relpath(path)), key=len)
    return printable(path)


def printable(text: str) -> str:
    """Text on one line of a terminal, whatever bytes and controls it has."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in utf8(text))


def added_text(added: Added, missing: Sequence[str] = ()) -> str:
    failed = [f"{shown(failure.path)}: {failure.reason}" for failure in added.failed]
    rate = f", {added.added / added.seconds:.1f} a second" if added.added and added.seconds else ""
    return "\n".join(
        [
            *_listed("Not readable:", failed),
            *_listed("Missing, still remembered (imgindex remove PATH forgets):", [shown(path) for path in missing]),
            f"{_files(added.added)} added, {added.unchanged} unchanged, {added.moved} moved, "
            f"{len(failed)} not readable, in {added.seconds:.1f} s{rate}.",
            f"The index holds {_files(added.files)} of {added.images} different pictures.",
        ]
    )


def _listed(title: str, lines: Sequence[str]) -> list[str]:
    if not lines:
        return []
    more = [f"and {len(lines) - LISTED} more; --json lists them all"] if len(lines) > LISTED else []
    return [title, *(f"  {line}" for line in [*lines[:LISTED], *more])]


def sum_of(before: Added, after: Added) -> Added:
    """Two adds of the same folders as one: what was done in both, and how things stand after the second."""
    return dataclasses.replace(
        after,
        added=before.added + after.added,
        moved=before.moved + after.moved,
        seconds=before.seconds + after.seconds,
    )


def removed_text(removed: Removed) -> str:
    return (
        f"{_files(removed.removed)} forgotten; nothing was deleted. "
        f"The index holds {_files(removed.files)} of {removed.images} different pictures."
    )


def similar_table(results: Sequence[Neighbour]) -> Any:
    """A rich table: similarity as a bar and in percent, id, path."""
    from rich.table import Column, Table
    from rich.text import Text

    table = Table("like", "", "id", Column("path", overflow="fold"), box=None, header_style="dim")
    for hit in results:
        bar = "█" * round(hit.similarity * 20)
        table.add_row(Text(f"{hit.similarity:.0%}"), Text(bar, "green"), Text(str(hit.id)), Text(shown(hit.path)))
    return table


def models_table(models: Sequence[Availability]) -> Any:
    """A rich table: each model, its dimension, and where its weights are."""
    from rich.table import Table
    from rich.text import Text

    table = Table("model", "numbers", "ready", "weights", box=None, header_style="dim")
    for model in models:
        ready = Text("yes", "green") if model.ready else Text("no", "red")
        table.add_row(Text(model.name), str(model.dimension), ready, Text(model.weights))
    return table


def duplicates_text(duplicates: Duplicates) -> Any:
    """A rich text: the groups, the file to keep first and why, then what they amount to."""
    from rich.text import Text

    text = Text()
    for group in duplicates.groups[:LISTED]:
        text.append(f"Group {group.id}", "bold").append(f": {_files(len(group.files))}, {held_by(group)}\n")
        if group.loose:
            text.append(f"  ! {LOOSE}\n", "yellow")
        sizes = [(f"{copy.width} x {copy.height}", human(copy.bytes)) for copy in group.files[:LISTED]]
        wide, heavy = (max(map(len, column)) for column in zip(*sizes, strict=True))
        for place, (copy, (pixels, size)) in enumerate(zip(group.files, sizes, strict=False)):
            text.append("        " if place else "  keep  ", "green")
            text.append(f"{pixels:{wide}}  {size:>{heavy}}  {shown(copy.path)}")
            text.append("\n" if place else f"  ({group.why})\n", "dim")
        if len(group.files) > LISTED:
            text.append(f"        and {len(group.files) - LISTED} more files\n")
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
        text.append(f"and {counted(len(clusters.themes) - THEMES, 'more theme')}; --json or --html FILE shows all\n")
    if clusters.themes:
        text.append("\n")
    return text.append("\n".join(clusters_sentences(clusters)))


def plan_text(plan: Plan, file: str) -> str:
    """What a clean would do, and how to have it done."""
    verb = {"trash": "would go to the trash", "quarantine": "would go to the quarantine"}.get(
        plan.how, "would become hard links"
    )
    size = human(sum(step.bytes for step in plan.steps))
    steps = [f"{shown(step.path)}  (keeping {shown(step.keep)})" for step in plan.steps]
    next_ = f"Nothing was moved. The plan is in {shown(file)}; imgindex clean --apply does it, --undo takes it back."
    return "\n".join(
        [
            *_listed(f"Files that {verb}:", steps),
            *_listed("Left alone:", [f"{shown(path)}: {why}" for path, why in plan.skipped]),
            f"{_files(len(steps))} {verb}, {size}.",
            next_ if steps else "There is nothing to do.",
        ]
    )


def cleaned_text(cleaned: Cleaned) -> str:
    """What a clean did."""
    return "\n".join(
        [
            *_listed("Left alone:", [f"{shown(path)}: {why}" for path, why in cleaned.skipped]),
            f"{_files(len(cleaned.done))} put away, {human(cleaned.freed)}; imgindex clean --undo brings all back.",
        ]
    )


def undone_text(undone: Undone) -> str:
    """What was brought back."""
    back = f"{_files(len(undone.restored))} brought back; imgindex sync makes the index know them again."
    failed = _listed("Not brought back:", [f"{shown(path)}: {why}" for path, why in undone.failed])
    return "\n".join([*failed, back if undone.restored or failed else "There is nothing to bring back."])


def calibration_table(calibration: Calibration) -> Any:
    """A rich table: which share of the photos was found by each edit of it."""
    from rich.table import Table

    table = Table("edit", "found", box=None, header_style="dim", caption=calibration.sentence(), caption_justify="left")
    for edit in calibration.by_edit:
        table.add_row(edit, percent(100 * calibration.recall_of(edit)))
    return table


LOOSE = "Held together by one pair: look at it"


def held_by(group: Group) -> str:
    """What makes the files of a group one picture."""
    if not group.weakest:
        return "the same bytes"
    return f"the same picture, weakest pair {group.weakest.score:.0%} (images {group.weakest.a} and {group.weakest.b})"


def duplicates_sentences(duplicates: Duplicates) -> list[str]:
    """How much is redundant, what is alike, and how far to trust that."""
    sentences = [_share(duplicates, len(duplicates.groups))]
    if duplicates.alike:
        pairs = "1 pair is" if len(duplicates.alike) == 1 else f"{len(duplicates.alike)} pairs are"
        sentences.append(f"{pairs} only alike: the same scene, as in a burst, not the same picture; not counted.")
    return [*sentences, duplicates.calibration]


def report_sentences(report: Report) -> list[str]:
    """How much is redundant, what changed since the report before, and how far to trust that."""
    since = report.since_last
    changed = "This is the first report."
    if since:
        changes = ", ".join(_ids(ids, what) for what in ("new", "gone", "grown") if (ids := getattr(since, what)))
        changed = f"Since the report of {when(since.created)}: {changes or 'no group is new, gone or grown'}."
    return [
        f"{when(report.created)}: {_files(report.files)} of {report.images} different images.",
        _share(report, report.groups),
        changed,
        report.calibration,
    ]


def clusters_sentences(clusters: Clusters) -> list[str]:
    """The run, what was added since, and what changed in it."""
    if clusters.run is None or clusters.drift is None:
        return ["There are no themes yet; imgindex recluster makes them."]
    drift = clusters.drift
    since = "Nothing came or went since."
    if drift.placed or drift.removed:
        far = f", {drift.far} of them far from every theme" if drift.far else ""
        since = f"Since then {counted(drift.placed, 'image')} came{far}, and {drift.removed} went."
    return [run_sentence(clusters.run), since, *lineage_sentences(clusters.run.lineage)]


def run_sentence(run: Run) -> str:
    """When, why and what."""
    elbow = f"the elbow is at {run.elbow}" if run.elbow else "there is no elbow"
    return (
        f"Run {run.id}, {when(run.created)}: {counted(run.images, 'image')} in {counted(run.k, 'theme')}; "
        f"silhouette {run.silhouette:.2f}, {elbow}. {run.why}"
    )


def lineage_sentences(lineage: Lineage) -> list[str]:
    """What became of the themes of the run before."""
    if not lineage.kept and not lineage.gone:
        return []
    sentences = [f"Of the run before, {lineage.stayed} images kept their theme and {lineage.moved} moved."]
    for what, themes in (("New", lineage.new), ("Gone", lineage.gone)):
        if themes:
            sentences.append(f"{what}: {counted(len(themes), 'theme')} ({_numbers(themes)}).")
    sentences += [f"Theme {theme} split into {_numbers(into)}." for theme, into in lineage.splits[:LISTED]]
    return sentences + [f"Themes {_numbers(themes)} merged into {into}." for themes, into in lineage.merges[:LISTED]]


def _share(of: Duplicates | Report, groups: int) -> str:
    if not of.files:
        return "The index is empty; imgindex add FOLDER takes pictures in."
    if not groups:
        return f"No copies: none of the {_files(of.files)} shows the same picture as another one."
    are = "is a copy" if of.redundant == 1 else "are copies"
    share = f"{of.redundant} of {_files(of.files)} ({percent(of.percent)})"
    return f"{share} {are} of another one, in {counted(groups, 'group')}."


def _ids(ids: Sequence[int], what: str) -> str:
    return f"{counted(len(ids), 'group')} {what} ({_numbers(ids)})"


def _numbers(ids: Sequence[int]) -> str:
    return ", ".join(map(str, ids[:LISTED])) + (", ..." if len(ids) > LISTED else "")


def percent(value: float) -> str:
    """A percentage with one decimal; what is little is not called none."""
    return "under 0.1%" if 0 < value < 0.1 else f"{value:.1f}%"


def human(size: float) -> str:
    """Bytes as a person says them."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


def when(created: str) -> str:
    """ISO 8601 in UTC, to the minute."""
    return f"{created[:16].replace('T', ' ')} UTC"


def counted(count: int, noun: str) -> str:
    """A number of things."""
    return f"1 {noun}" if count == 1 else f"{count} {noun}s"


def _files(count: int) -> str:
    return counted(count, "file")
