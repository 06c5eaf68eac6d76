"""What is answered about the server itself."""

from apiflask import Schema

from imgindex.server.api.schemas.shapes import choice


class Health(Schema):
    """The server answers."""

    status = choice("ok")


class Ready(Schema):
    """The server can take pictures."""

    status = choice("ready")
