"""Answers about images."""

from apiflask import Schema, fields

from imgindex.server.api.schemas.copies import Pair
from imgindex.server.api.schemas.shapes import array, flag, following, integer, many, one, share, text


class Entry(Schema):
    """An image of the index."""

    id = integer()
    sha256 = text(metadata={"description": "Of the file, in hexadecimal."})
    width = integer(metadata={"description": "Pixels, upright."})
    height = integer()
    bytes = integer()
    theme = integer(allow_none=True)
    paths = array(fields.String())


class Image(Entry):
    """One image of the index."""


class Entries(Schema):
    """A page of images, the newest first."""

    images = many(Entry)
    next = following()


class NearCopy(Pair):
    """Another image that shows the same picture."""

    id = integer(metadata={"description": "Of the other image."})


class Copies(Schema):
    """The copies of a picture."""

    exact = array(fields.String(metadata={"description": "Path of another file with the same bytes."}))
    near = many(NearCopy)


class Uploaded(Schema):
    """A picture that is now in the index."""

    id = integer()
    new = flag(metadata={"description": "False if it was in the index before."})
    copies = one(Copies)
    theme = integer(allow_none=True)
    location = text()


class Failed(Schema):
    """A picture that could not be read."""

    name = fields.String(metadata={"description": "As the client named it."})
    position = integer(metadata={"description": "In the upload, from 0."})
    reason = text()


class Uploads(Schema):
    """The outcome of an upload."""

    images = many(Uploaded)
    failed = many(Failed)


class Query(Schema):
    """The picture of the query."""

    id = integer(allow_none=True)
    path = text(allow_none=True)


class Neighbour(Schema):
    """An image found by similarity."""

    id = integer()
    path = text()
    similarity = share(metadata={"description": "0: like two random pictures; 1: the same picture."})


class Similar(Schema):
    """The images most similar to a picture, best first."""

    query = one(Query)
    results = many(Neighbour)
