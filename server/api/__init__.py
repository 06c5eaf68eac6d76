"""The API: /api/v1, /health, /ready, and its description at /openapi.json and /docs."""

from apiflask import APIFlask
from werkzeug.routing import BaseConverter

from imgindex.server.api import clusters, docs, duplicates, health, images, jobs, pictures, report, similar


class Id(BaseConverter):
    """A number that SQLite can hold; any other address is unknown (int: would fail on one of 5,000 digits)."""

    regex = "[0-9]{1,18}"

    def to_python(self, value: str) -> int:
        return int(value)


def register(app: APIFlask) -> None:
    """Add all routes of the API to an app."""
    app.url_map.converters["id"] = Id
    for room in (images, pictures, similar, clusters, duplicates, report, jobs, health):
        app.register_blueprint(room.bp)
    docs.register(app)
