"""Groups of copies, decisions about them, and what is only related."""

from typing import Any

from apiflask import APIBlueprint
from flask import Response

from imgindex import LARGEST_ID, Related, UsageError
from imgindex.rendering.exports import group_json, related_json
from imgindex.rendering.paths import utf8
from imgindex.server.api import pagination
from imgindex.server.api.requests import Decision, Page, RelatedPage, json_only
from imgindex.server.api.responses import answer, unless_known
from imgindex.server.api.schemas import copies as schemas
from imgindex.server.service import current

bp = APIBlueprint("api_duplicates", __name__, url_prefix="/api/v1", tag="Duplicates")
bp.before_request(json_only)


@bp.get("/duplicates")
@bp.input(Page, location="query")
@bp.output(schemas.Groups)
@bp.doc(operation_id="list_duplicates", responses=[304])
def listed(query_data: dict[str, Any]) -> Response:
    """Groups of files that show the same picture, the largest first, the totals, and the first related pairs."""

    def make() -> Response:
        duplicates = current().duplicates()
        groups, following = pagination.page(
            duplicates.groups, "duplicates", query_data.get("cursor"), query_data["limit"], lambda group: group.id
        )
        return answer(
            {
                "groups": [group_json(group) for group in groups],
                "next": following,
                "total": len(duplicates.groups),
                "images": duplicates.images,
                "files": duplicates.files,
                "redundant": duplicates.redundant,
                "percent": round(duplicates.percent, 2),
                "bytes": duplicates.bytes,
                "calibration": duplicates.calibration,
                "related": [related_json(pair) for pair in duplicates.related[: query_data["limit"]]],
                "related_total": len(duplicates.related),
            }
        )

    current().duplicates()  # first, because it may store new proofs, which changes the ETag
    return unless_known(make)


@bp.get("/duplicates/<id:group>")
@bp.output(schemas.GroupAlone)
@bp.doc(operation_id="get_duplicates", responses=[304])
def one(group: int) -> Response:
    """A group, those that stay first."""
    return unless_known(lambda: answer(group_json(current().group(group))))


@bp.get("/related")
@bp.input(RelatedPage, location="query")
@bp.output(schemas.RelatedPage)
@bp.doc(operation_id="list_related", responses=[304])
def related(query_data: dict[str, Any]) -> Response:
    """Pairs of images that share a part, differ in a place, or show the same scene; none is held by the other."""

    def make() -> Response:
        pairs, kind = current().duplicates().related, query_data.get("kind")
        some = [pair for pair in pairs if kind in (None, pair.kind)]
        shown, following = pagination.page(
            some, f"related {kind or ''}", query_data.get("cursor"), query_data["limit"], _key
        )
        return answer({"related": [related_json(pair) for pair in shown], "next": following, "total": len(some)})

    current().duplicates()  # first, because it may store new proofs, which changes the ETag
    return unless_known(make)


def _key(pair: Related) -> int:
    """One number for two ids, another for other ids below 2**31."""
    return (pair.a.image << 31 | pair.b.image) % LARGEST_ID


@bp.post("/duplicates/<id:group>/decision")
@bp.input(Decision)
@bp.output(schemas.Decided)
@bp.doc(operation_id="decide", responses=[415])
def decide(group: int, json_data: dict[str, Any]) -> Response:
    """Decide which file of a group to keep, or which of its images are different; nothing is moved or deleted.

    A decision can be undone even if the group no longer exists.
    """
    index, forget = current().index, json_data["forget"]
    if json_data["decision"] == "keep":
        images, paths = _kept(group, json_data)
        if forget:
            index.duplicates.prefer(paths, forget=True)
        else:
            index.duplicates.prefer(paths, instead_of=[copy.path for copy in current().group(group).files])
    else:
        images = set(json_data["images"])
        if not forget and (strange := images - {copy.image for copy in current().group(group).files}):
            raise UsageError(f"Image {min(strange)} is not in group {group}; send images of this group.")
        one, *others = json_data["images"]
        index.duplicates.mark_different(one, others, pairwise=True, forget=forget)
    groups = [one for one in current().duplicates().groups if any(copy.image in images for copy in one.files)]
    return answer({"decision": json_data["decision"], "forget": forget, "groups": [group_json(one) for one in groups]})


def _kept(group: int, decision: dict[str, Any]) -> tuple[set[int], list[str]]:
    """The image of the file to keep, and its paths: the best one of the group, or, to forget it, all it may be."""
    if decision["forget"] and "image" in decision:
        entry = current().index.images.get(decision["image"])
        return {entry.id}, list(entry.paths)
    if decision["forget"]:
        path = decision["path"]
        found = [copy for one in current().duplicates().groups for copy in one.files if utf8(copy.path) == path]
        return {copy.image for copy in found}, [copy.path for copy in found] or [_encodable(path)]
    for copy in current().group(group).files:
        if copy.image == decision.get("image") or utf8(copy.path) == decision.get("path"):
            return {copy.image}, [copy.path]
    named = f"Image {decision['image']}" if "image" in decision else decision["path"]
    raise UsageError(f"{named} is not in group {group}; send a file of this group.")


def _encodable(path: str) -> str:
    try:
        path.encode()
    except UnicodeEncodeError:
        raise UsageError("The path is not valid UTF-8; send it as returned by /api/v1/duplicates.") from None
    return path
