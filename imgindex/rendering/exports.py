"""Records -> JSON, by the names that outside programs rely on.

The API describes the same in `server/api/schemas`; the schemathesis test holds both together.
"""

import dataclasses
from collections.abc import Iterable
from typing import Any

from imgindex.cleanup.plan import Cleaned, Plan, Skipped, Undone
from imgindex.clustering.records import Clusters, Member, Run, Theme
from imgindex.containment import Containment
from imgindex.decoding.sandbox import Sandbox
from imgindex.duplicates.records import Duplicates, Group, GroupFile, Pair, Related
from imgindex.ingest.records import Added
from imgindex.reports.records import Calibration, Report
from imgindex.retention.policies import Policies
from imgindex.search.records import Similar


def added_json(added: Added) -> dict[str, Any]:
    """The contract's names; seconds to the millisecond."""
    failed = [{"path": failure.path, "reason": failure.reason} for failure in added.failed]
    return {**dataclasses.asdict(added), "failed": failed, "seconds": round(added.seconds, 3)}


def sandbox_json(sandbox: Sandbox) -> dict[str, Any]:
    """The contract's names, as `/health` has them."""
    return {"state": sandbox.state, "lacking": list(sandbox.lacking)}


def similar_json(similar: Similar) -> dict[str, Any]:
    """The contract's names."""
    results = [{"id": hit.id, "path": hit.path, "similarity": round(hit.similarity, 4)} for hit in similar.results]
    return {"query": {"id": similar.id, "path": similar.path}, "results": results}


def duplicates_json(duplicates: Duplicates) -> dict[str, Any]:
    """The contract's names; `keep` is a path, and the weakest pair of a group of the same bytes is its image twice."""
    return {
        "groups": [group_json(group) for group in duplicates.groups],
        "related": [related_json(one) for one in duplicates.related],
        "images": duplicates.images,
        "files": duplicates.files,
        "redundant": duplicates.redundant,
        "percent": round(duplicates.percent, 2),
        "bytes": duplicates.bytes,
        "calibration": duplicates.calibration,
    }


def group_json(group: Group) -> dict[str, Any]:
    """A group; the file to keep is its first."""
    keep = group.files[0]
    return {
        "id": group.id,
        "kind": group.kind,
        "keep": keep.path,
        "why": group.why,
        "files": [file_json(file) for file in group.files],
        "weakest": pair_json(group.weakest) if group.weakest else {"a": keep.image, "b": keep.image, "score": 1.0},
        "loose": group.loose,
    }


def file_json(file: GroupFile) -> dict[str, Any]:
    """A file of a group, and what becomes of it; facts are null where it was not looked at closely."""
    facts = file.facts
    return {
        "path": file.path, "image": file.image, "width": file.width, "height": file.height, "bytes": file.bytes,
        "stays": file.stays, "why": file.why, "held_by": file.held_by, "frames": facts.frames if facts else None,
        "detail": round(facts.detail, 3) if facts else None, "captured": facts.captured if facts else None,
        "facts": facts and {name: value for name, value in dataclasses.asdict(facts).items() if value is not None},
    }  # fmt: skip


def related_json(related: Related) -> dict[str, Any]:
    """Two images that share something, with where they differ as boxes (x, y, width, height) in a, 0 to 1."""
    return {
        "kind": related.kind,
        "a": {"image": related.a.image, "path": related.a.path},
        "b": {"image": related.b.image, "path": related.b.path},
        "score": round(related.score, 4),
        "share_a": round(related.share_a, 4),
        "share_b": round(related.share_b, 4),
        "transform": [round(number, 6) for number in related.transform],
        "where": [[round(number, 4) for number in dataclasses.astuple(box)] for box in related.where],
    }


def pair_json(pair: Pair) -> dict[str, Any]:
    """A proven pair, with its evidence."""
    return {
        "a": pair.a,
        "b": pair.b,
        "score": round(pair.score, 4),
        "inliers": pair.inliers,
        "transform": [round(number, 6) for number in pair.transform],
        "mirrored": pair.mirrored,
        "overlap": round(pair.overlap, 4),
    }


def policies_json(policies: Policies) -> dict[str, Any]:
    """What holds for all groups."""
    return dataclasses.asdict(policies)


def containment_json(containment: Containment) -> dict[str, Any]:
    """The contract's names, and why."""
    found = [
        {
            "path": one.path, "held": one.held, "why": one.why,
            "by": {"image": one.by.image, "path": one.by.path} if one.by else None,
        }
        for one in containment.files
    ]  # fmt: skip
    return {"files": found, "safe": containment.safe}


def plan_json(plan: Plan, file: str) -> dict[str, Any]:
    """The contract's names; `file` is where the plan is kept."""
    steps = [
        {"path": step.path, "keep": step.keep, "group": step.group, "bytes": step.bytes, "why": step.why,
         "sidecars": [sidecar.path for sidecar in step.sidecars]}
        for step in plan.steps
    ]  # fmt: skip
    return {"how": plan.how, "plan": file, "steps": steps, "skipped": _skipped(plan.skipped)}


def cleaned_json(cleaned: Cleaned) -> dict[str, Any]:
    """What carrying out a plan did."""
    return {"done": list(cleaned.done), "freed": cleaned.freed, "skipped": _skipped(cleaned.skipped)}


def undone_json(undone: Undone) -> dict[str, Any]:
    """What taking a clean back did."""
    return {"restored": list(undone.restored), "failed": _skipped(undone.failed)}


def _skipped(skipped: Iterable[Skipped]) -> list[dict[str, str]]:
    return [one._asdict() for one in skipped]


def calibration_json(calibration: Calibration) -> dict[str, Any]:
    """Counts, and the shares that they make."""
    shares = {edit: calibration.recall_of(edit) for edit in calibration.by_edit}
    rates = {"precision": calibration.precision, "recall": calibration.recall, "recall_by_edit": shares}
    return dataclasses.asdict(calibration) | rates


def report_json(report: Report) -> dict[str, Any]:
    """The contract's names; in the first report `since_last` has no time and empty lists."""
    since = report.since_last
    return {
        "created": report.created,
        "images": report.images,
        "files": report.files,
        "redundant": report.redundant,
        "percent": round(report.percent, 2),
        "bytes": report.bytes,
        "groups": report.groups,
        "folders": [
            {"path": f.path, "files": f.files, "redundant": f.redundant, "percent": round(f.percent, 2)}
            for f in report.folders
        ],
        "clusters": [
            {
                "id": c.id,
                "name": c.name,
                "images": c.images,
                "share": round(c.share, 4),
                "files": c.files,
                "redundant": c.redundant,
                "percent": round(c.percent, 2),
            }
            for c in report.clusters
        ],
        "since_last": dataclasses.asdict(since) if since else {"created": None, "new": [], "gone": [], "grown": []},
        "table": [
            {"cluster": cluster, "images": images, "percent": round(percent, 2)}
            for cluster, images, percent in report.table
        ],
        "calibration": report.calibration,
    }


def run_json(run: Run) -> dict[str, Any]:
    """The contract's names: `run` is the id."""
    return {
        "run": run.id,
        **{key: value for key, value in dataclasses.asdict(run).items() if key not in ("id", "curve", "far")},
        "silhouette": round(run.silhouette, 4),
        "curve": [
            {
                "k": c.k, "inertia": round(c.inertia, 4), "silhouette": round(c.silhouette, 4),
                "error": round(c.error, 4),
            }
            for c in run.curve
        ],
    }  # fmt: skip


def clusters_json(clusters: Clusters, *, images: int | None = None) -> dict[str, Any]:
    """The contract's names, with at most `images` of each cluster; without a run, `run` and `drift` are null."""
    drift = clusters.drift
    return {
        "run": clusters.run.id if clusters.run else None,
        "k": len(clusters.themes),
        "clusters": [cluster_json(theme, theme.images[:images]) for theme in clusters.themes],
        "drift": drift
        and {
            **dataclasses.asdict(drift), "growth": round(drift.growth, 4), "far_share": round(drift.far_share, 4),
        },
    }  # fmt: skip


def cluster_json(theme: Theme, images: Iterable[Member]) -> dict[str, Any]:
    """A theme, with those of its images that are to be listed."""
    return {
        "id": theme.id,
        "name": theme.name,
        "size": len(theme.images),
        "share": round(theme.share, 4),
        "images": [
            {"id": m.id, "path": m.path, "distance": round(m.distance, 4), "new": m.silhouette is None} for m in images
        ],
    }
