"""Answers about duplicates: pairs, groups, what is related, and reports."""

from apiflask import Schema, fields
from apiflask.validators import Length

from imgindex.server.api.schemas.shapes import (
    array,
    choice,
    flag,
    following,
    integer,
    many,
    number,
    one,
    percent,
    share,
    text,
)


class Pair(Schema):
    """Two images that show the same picture, and the evidence."""

    a = integer()
    b = integer()
    score = share(metadata={"description": "The share of the overlap that agrees."})
    inliers = fields.Integer()
    transform = fields.List(
        fields.Float(),
        metadata={"description": "3 x 3 by rows: a's coordinates to b's, each 0 to 1 across and down."},
    )
    mirrored = fields.Boolean()
    overlap = fields.Float()


class Facts(Schema):
    """What a file holds beside its picture; what is not known of it is left out."""

    format = text()
    frames = integer(metadata={"description": "Of an animation, or pages."})
    extra = flag(metadata={"description": "A film or further pictures lie in the file, too."})
    bits = integer(metadata={"description": "Bits a channel."})
    alpha = flag(metadata={"description": "Something is really seen through."})
    colour = flag()
    raw = flag(metadata={"description": "Raw data of the sensor."})
    quality = fields.Integer(metadata={"description": "Of a JPEG, 1 to 100."})
    subsampling = fields.String()
    detail = number(metadata={"description": "Effective megapixels."})
    noise = number(metadata={"description": "In grey values."})
    captured = fields.String()
    camera = fields.String()
    serial = fields.String()
    unique = fields.String()
    latitude = fields.Float()
    longitude = fields.Float()
    rating = fields.Integer()
    software = fields.String()
    unread = flag(metadata={"description": "There is metadata that cannot be read."})


class GroupFile(Schema):
    """One file of a group, and what becomes of it. Facts are null where it has not been looked at closely yet."""

    path = text()
    image = integer()
    width = integer()
    height = integer()
    bytes = integer()
    stays = flag()
    why = text(metadata={"description": "Why it stays, or what holds it."})
    held_by = integer(allow_none=True, metadata={"description": "The image that has all that it has, or null."})
    frames = integer(allow_none=True, metadata={"description": "Of an animation, or pages."})
    detail = number(allow_none=True, metadata={"description": "Effective megapixels."})
    captured = text(allow_none=True, metadata={"description": "When, in ISO 8601 as far as it is known."})
    facts = one(Facts, allow_none=True)


class Group(Schema):
    """Files that show the same picture: those that stay, the likeliest original first, then those that may go."""

    id = integer()
    kind = choice("exact", "near")
    keep = text(metadata={"description": "Path of the first file that stays."})
    why = text(metadata={"description": "Why that one stays."})
    files = many(GroupFile)
    weakest = one(Pair)
    loose = flag(metadata={"description": "Two parts of it are joined by a single pair: please check."})


class GroupAlone(Group):
    """One group."""


class Side(Schema):
    """One of two related images."""

    image = integer()
    path = text()


class Related(Schema):
    """Two images that share something, and neither is a version of the other; counted nowhere."""

    kind = choice("part", "edited", "alike")
    a = one(Side)
    b = one(Side)
    score = share(metadata={"description": "The share of the overlap that agrees."})
    share_a = share(metadata={"description": "How much of what there is to see in a lies in b."})
    share_b = share(metadata={"description": "How much of what there is to see in b lies in a."})
    transform = array(fields.Float(), metadata={"description": "As of a pair."})
    where = array(
        fields.List(fields.Float(), validate=Length(equal=4)),
        metadata={"description": "Places in a that differ: x, y, width, height, each 0 to 1, the largest first."},
    )


class RelatedPage(Schema):
    """A page of related images."""

    related = many(Related)
    next = following()
    total = integer(metadata={"description": "Number of all pairs of this kind."})


class Groups(Schema):
    """A page of groups, the largest first, and the totals."""

    groups = many(Group)
    next = following()
    total = integer(metadata={"description": "Number of all groups."})
    images = integer()
    files = integer()
    redundant = integer(metadata={"description": "Files that are held by others which stay."})
    percent = percent(metadata={"description": "Share of redundant files."})
    bytes = integer(metadata={"description": "That would be free without the redundant files."})
    calibration = text()
    related = many(Related)
    related_total = integer(metadata={"description": "Number of all related pairs; /api/v1/related has the others."})


class Decided(Schema):
    """The decision, and the groups that now contain these images."""

    decision = choice("keep", "different")
    forget = flag()
    groups = many(Group)


class Folder(Schema):
    """The share of copies in one folder, without its subfolders."""

    path = text()
    files = integer()
    redundant = integer()
    percent = percent()


class ClusterShare(Schema):
    """The share of copies in one theme."""

    id = integer()
    name = text(allow_none=True)
    images = integer()
    share = share()
    files = integer()
    redundant = integer()
    percent = percent()


class Since(Schema):
    """Groups that changed since the last saved report."""

    created = text(allow_none=True)
    new = array(fields.Integer())
    gone = array(fields.Integer())
    grown = array(fields.Integer())


class Row(Schema):
    """A row of the reference script's table."""

    cluster = text()
    images = integer()
    percent = number()


class Report(Schema):
    """What the index holds and how much of it is redundant."""

    created = text()
    images = integer()
    files = integer()
    redundant = integer()
    percent = percent()
    bytes = integer(metadata={"description": "That would be free without the redundant files."})
    groups = integer()
    folders = many(Folder)
    clusters = many(ClusterShare)
    since_last = one(Since)
    table = many(Row)
    calibration = text()


class PastReport(Schema):
    """The totals of a saved report."""

    created = text()
    images = integer()
    files = integer()
    redundant = integer()
    percent = percent()


class History(Schema):
    """Saved reports, the oldest first."""

    reports = many(PastReport)
