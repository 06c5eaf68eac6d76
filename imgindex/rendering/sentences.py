"""Records -> sentences for people, and how numbers, sizes and times are written."""

from collections.abc import Sequence

from imgindex.clustering.records import Clusters, Lineage, Run
from imgindex.duplicates.records import Duplicates, Group
from imgindex.reports.records import Report

LISTED = 10  # lines of a list: more push the summary off a terminal
LOOSE = "Held together by a single pair: please check"


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
        sentences.append(f"{pairs} only alike: the same scene, as in a burst, but not the same picture; not counted.")
    return [*sentences, duplicates.calibration]


def report_sentences(report: Report) -> list[str]:
    """How much is redundant, what changed since the report before, and how far to trust that."""
    since = report.since_last
    changed = "This is the first report."
    if since:
        changes = ", ".join(_ids(ids, what) for what in ("new", "gone", "grown") if (ids := getattr(since, what)))
        changed = f"Since the report of {when(since.created)}: {changes or 'no group is new, gone or grown'}."
    return [
        f"{when(report.created)}: {files(report.files)} of {report.images} different images.",
        _share(report, report.groups),
        changed,
        report.calibration,
    ]


def clusters_sentences(clusters: Clusters) -> list[str]:
    """The run, what was added since, and what it changed."""
    if clusters.run is None or clusters.drift is None:
        return ["There are no themes yet; recluster to make them."]
    drift = clusters.drift
    since = "No image was added or removed since."
    if drift.placed or drift.removed:
        far = f" ({drift.far} far from every theme)" if drift.far else ""
        since = f"Since then: {counted(drift.placed, 'image')} added{far}, {drift.removed} removed."
    return [run_sentence(clusters.run), since, *lineage_sentences(clusters.run.lineage)]


def run_sentence(run: Run) -> str:
    """When, what and why."""
    elbow = f"the elbow is at {run.elbow}" if run.elbow else "there is no elbow"
    return (
        f"Run {run.id}, {when(run.created)}: {counted(run.images, 'image')} in {counted(run.k, 'theme')}; "
        f"silhouette {run.silhouette:.2f}, {elbow}. {run.why}"
    )


def lineage_sentences(lineage: Lineage) -> list[str]:
    """What became of the themes of the previous run."""
    if not lineage.kept and not lineage.gone:
        return []
    sentences = [f"Since the previous run, {lineage.stayed} images kept their theme and {lineage.moved} moved."]
    for what, themes in (("New", lineage.new), ("Gone", lineage.gone)):
        if themes:
            sentences.append(f"{what}: {counted(len(themes), 'theme')} ({_numbers(themes)}).")
    sentences += [f"Theme {theme} split into {_numbers(into)}." for theme, into in lineage.splits[:LISTED]]
    return sentences + [f"Themes {_numbers(themes)} merged into {into}." for themes, into in lineage.merges[:LISTED]]


def _share(of: Duplicates | Report, groups: int) -> str:
    if not of.files:
        return "The index is empty; add some pictures first."
    if not groups:
        return f"No copies: none of the {files(of.files)} shows the same picture as another."
    are = "is a copy" if of.redundant == 1 else "are copies"
    share = f"{of.redundant} of {files(of.files)} ({percent(of.percent)})"
    return f"{share} {are} of another, in {counted(groups, 'group')}."


def _ids(ids: Sequence[int], what: str) -> str:
    return f"{counted(len(ids), 'group')} {what} ({_numbers(ids)})"


def _numbers(ids: Sequence[int]) -> str:
    return ", ".join(map(str, ids[:LISTED])) + (", ..." if len(ids) > LISTED else "")


def percent(value: float) -> str:
    """A percentage with one decimal; a small one is not rounded to none."""
    return "under 0.1%" if 0 < value < 0.1 else f"{value:.1f}%"


def human(size: float) -> str:
    """Bytes in a unit that a person would use."""
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


def files(count: int) -> str:
    return counted(count, "file")
