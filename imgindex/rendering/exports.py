"""Records -> JSON and CSV, by the names that outside programs rely on."""

import csv
import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from imgindex.clustering.records import Clusters, Member, Run, Theme
from imgindex.duplicates.records import Duplicates, Group, Pair
from imgindex.ingest.records import Added
from imgindex.reports.records import Report
from imgindex.search.records import Similar


def added_json(added: Added) -> dict[str, Any]:
    failed = [{"path": failure.path, "reason": failure.reason} for failure in added.failed]
    return {**dataclasses.asdict(added), "failed": failed, "seconds": round(added.seconds, 3)}


def similar_json(similar: Similar) -> dict[str, Any]:
    results = [{"id": hit.id, "path": hit.path, "similarity": round(hit.similarity, 4)} for hit in similar.results]
    return {"query": {"id": similar.id, "path": similar.path}, "results": results}


def duplicates_json(duplicates: Duplicates) -> dict[str, Any]:
    """The contract's names; `keep` is a path, and the weakest pair of a group of the same bytes is its image twice."""
    return {
        "groups": [group_json(group) for group in duplicates.groups],
        "alike": [pair_json(pair) for pair in duplicates.alike],
        "images": duplicates.images,
        "files": duplicates.files,
        "redundant": duplicates.redundant,
        "percent": round(duplicates.percent, 2),
        "calibration": duplicates.calibration,
    }


def group_json(group: Group) -> dict[str, Any]:
    keep = group.files[0]
    return {
        "id": group.id,
        "kind": group.kind,
        "keep": keep.path,
        "why": group.why,
        "files": [
            {"path": c.path, "image": c.image, "width": c.width, "height": c.height, "bytes": c.bytes}
            for c in group.files
        ],
        "weakest": pair_json(group.weakest) if group.weakest else {"a": keep.image, "b": keep.image, "score": 1.0},
        "loose": group.loose,
    }


def pair_json(pair: Pair) -> dict[str, Any]:
    return {
        "a": pair.a,
        "b": pair.b,
        "score": round(pair.score, 4),
        "inliers": pair.inliers,
        "transform": [round(number, 6) for number in pair.transform],
        "mirrored": pair.mirrored,
        "overlap": round(pair.overlap, 4),
    }


def report_json(report: Report) -> dict[str, Any]:
    """The contract's names; in the first report `since_last` has no time and empty lists."""
    since = report.since_last
    return {
        "created": report.created,
        "images": report.images,
        "files": report.files,
        "redundant": report.redundant,
        "percent": round(report.percent, 2),
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


def duplicates_csv(duplicates: Duplicates) -> Iterator[str]:
    """Lines (RFC 4180, valid UTF-8): a header, then one a file, the groups as in `duplicates`, the keeper first."""
    yield from _csv(
        ("group", "kind", "keep", "path", "image", "width", "height", "bytes", "weakest", "loose"),
        (
            (
                group.id, group.kind, "no" if place else "yes", utf8(copy.path), copy.image, copy.width, copy.height,
                copy.bytes, round(group.weakest.score, 4) if group.weakest else 1.0, "yes" if group.loose else "no",
            )
            for group in duplicates.groups
            for place, copy in enumerate(group.files)
        ),
    )  # fmt: skip


def report_csv(report: Report) -> Iterator[str]:
    """Lines (RFC 4180, valid UTF-8): a header, then one a folder."""
    yield from _csv(
        ("folder", "files", "redundant", "percent"),
        ((utf8(f.path), f.files, f.redundant, round(f.percent, 2)) for f in report.folders),
    )


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


class _Echo:
    def write(self, text: str) -> str:
        return text


def _csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    # No cell can start a spreadsheet's formula (= + - @): the only free text is paths, and they are absolute.
    line = csv.writer(_Echo()).writerow
    yield line(header)
    yield from map(line, rows)  # writerow returns what write does


def utf8(path: str) -> str:
    """A path as it is, but bytes that are not UTF-8 as \\xff; JSON has those exactly."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
