"""Answers about the server itself."""

from apiflask import Schema

from imgindex.server.api.schemas.shapes import choice


class Health(Schema):
    """The server is running."""

    status = choice("ok")


class Ready(Schema):
    """The server is ready for pictures."""

    status = choice("ready")
