"""Answers about duplicates: pairs, groups and reports."""

from apiflask import Schema, fields

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


class ImageFile(Schema):
    """One file of a group."""

    path = text()
    image = integer()
    width = integer()
    height = integer()
    bytes = integer()


class Group(Schema):
    """Files that show the same picture, the one to keep first."""

    id = integer()
    kind = choice("exact", "near")
    keep = text(metadata={"description": "Path of the file to keep."})
    why = text()
    files = many(ImageFile)
    weakest = one(Pair)
    loose = flag(metadata={"description": "Two parts of it are joined by a single pair: please check."})


class GroupAlone(Group):
    """One group."""


class Groups(Schema):
    """A page of groups, the largest first, and the totals."""

    groups = many(Group)
    next = following()
    total = integer(metadata={"description": "Number of all groups."})
    images = integer()
    files = integer()
    redundant = integer(metadata={"description": "Files beyond the one to keep in each group."})
    percent = percent(metadata={"description": "Share of redundant files."})
    calibration = text()


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
