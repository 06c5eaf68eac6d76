"""Answers about the server itself."""

from apiflask import Schema, fields

from imgindex.server.api.schemas.shapes import array, choice


class Health(Schema):
    """The server is running."""

    status = choice("ok")
    sandbox = choice("whole", "partial", "none", "unknown")
    lacking = array(fields.String(), metadata={"description": "What a hostile picture could reach, one sentence each."})


class Ready(Schema):
    """The server is ready for pictures."""

    status = choice("ready")
