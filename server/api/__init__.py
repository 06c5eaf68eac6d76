"""The API: /api/v1, /health, /ready, and its description at /openapi.json and /docs."""

from apiflask import APIFlask

from imgindex.server.api import clusters, docs, duplicates, health, holding, images, jobs, pictures, report, similar


def register(app: APIFlask) -> None:
    """Add all routes of the API to an app."""
    for module in (images, pictures, similar, clusters, duplicates, holding, report, jobs, health):
        app.register_blueprint(module.bp)
    docs.register(app)
