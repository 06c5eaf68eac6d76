"""Answers about what must not be lost: policies, and whether pictures are in the collection."""

from apiflask import Schema, fields

from imgindex.server.api.schemas.copies import Side
from imgindex.server.api.schemas.shapes import array, choice, flag, many, one, text


class Policies(Schema):
    """What holds for all groups."""

    protect = array(fields.String(), metadata={"description": "Folders of which nothing goes."})
    prefer = array(fields.String(), metadata={"description": "Folders whose files stay rather than others."})
    keep = array(fields.String(), metadata={"description": "What settles ties, before the usual order."})
    separate_raw = flag(metadata={"description": "The raw file and the JPEG of a shot are judged separately."})


class Contained(Schema):
    """A picture that was looked for."""

    path = text(metadata={"description": "The name that it came with."})
    held = choice("whole", "part", "no")
    why = text()
    by = one(Side, allow_none=True)


class Containment(Schema):
    """Which of the pictures the collection holds."""

    files = many(Contained)
    safe = flag(metadata={"description": "It holds all of them wholly."})
