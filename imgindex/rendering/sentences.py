"""Records -> sentences for people, and how numbers, sizes and times are written."""

from collections import Counter
from collections.abc import Sequence

from imgindex.clustering.records import Clusters, Lineage, Run
from imgindex.duplicates.records import Duplicates, Group, GroupFile, Related
from imgindex.rendering.paths import printable
from imgindex.reports.records import Report
from imgindex.retention.reasons import NOT_SEEN

LISTED = 10  # lines of a list: more push the summary off a terminal
RELATED = {
    "part": "share a part, such as a photo and a collage of it",
    "edited": "differ in a place, such as a photo and the same one with a caption",
    "alike": "show the same scene in another shot",
}
LOOSE = "Held together by a single pair: please check"


def held_by(group: Group) -> str:
    """What makes the files of a group one picture."""
    if not group.weakest:
        return "the same bytes"
    return f"the same picture, weakest pair {group.weakest.score:.0%} (images {group.weakest.a} and {group.weakest.b})"


def duplicates_sentences(duplicates: Duplicates) -> list[str]:
    """How much is redundant, what is alike, and how far to trust that."""
    sentences = [_share(duplicates, len(duplicates.groups))]
    kinds: Counter[str] = Counter(one.kind for one in duplicates.related)
    for kind, words in RELATED.items():
        if kinds[kind]:
            sentences.append(
                f"The images of {counted(kinds[kind], 'pair')} {words}; they are not counted, and none of them goes."
            )
    return [*sentences, duplicates.calibration]


def shares(related: Related) -> str:
    """How much of each of two related images lies in the other, and whether they differ there."""
    a, b, differ = related.a.image, related.b.image, RELATED[related.kind].partition(",")[0]
    if min(related.share_a, related.share_b) > 0.995:
        return f"Each shows all that the other shows, but they {differ}."
    held = f"{related.share_a:.0%} of image {a} is in image {b}, {related.share_b:.0%} of image {b} in image {a}"
    return f"{held}; they {differ}." if related.where else f"{held}."


def known(file: GroupFile) -> list[str]:
    """What is known of a file beside its size, as far as it matters for what stays; a few words each."""
    facts = file.facts
    if facts is None:
        return [NOT_SEEN]
    told = [f"{facts.detail:.2g} megapixels of detail"] if facts.detail else []
    told += [counted(facts.frames, "frame")] if facts.frames > 1 else []
    told += ["a film or further pictures in it"] if facts.extra else []
    told += ["raw data"] if facts.raw else []
    told += [f"{facts.bits} bits a channel"] if facts.bits > 8 else []
    told += ["transparent"] if facts.alpha else []
    told += ["metadata that cannot be read"] if facts.unread else []
    told += [f"JPEG quality {facts.quality}"] if facts.quality else []
    told += [f"taken {facts.captured[:16].replace('T', ' ')}"] if facts.captured else []
    return told + ([printable(facts.camera)] if facts.camera else [])


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
    are = "is" if of.redundant == 1 else "are"
    share = f"{of.redundant} of {files(of.files)} ({percent(of.percent)}, {human(of.bytes)})"
    return f"{share} {are} held by others that stay, in {counted(groups, 'group')}."


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
