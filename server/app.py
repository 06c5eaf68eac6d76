"""The factory of the web service."""

from collections.abc import Mapping
from io import BytesIO
from typing import Any

from apiflask import APIFlask
from flask import Request

from imgindex.server import api, door, pages, problems
from imgindex.server.middleware import access_log, admission, auth, metrics, security
from imgindex.server.middleware.metrics import Metrics
from imgindex.server.routing import Id
from imgindex.server.service import Service
from imgindex.server.settings import Settings


class _Request(Request):
    def _get_file_stream(self, *_: Any, **__: Any) -> BytesIO:
        """Files are read whole, so a temporary copy on the disk would be one more place that can be full."""
        return BytesIO()


def create_app(config: Mapping[str, Any]) -> APIFlask:
    """The service as a WSGI application; `config` has the names of Settings in capitals, INDEX at least.

    Its index stays open until `app.extensions["imgindex"].close()`. Raises UsageError for an invalid setting.
    """
    app = APIFlask(__name__, title="imgindex", docs_path=None, spec_path="/openapi.json")
    app.request_class = _Request
    app.url_map.converters["id"] = Id
    figures = Metrics()
    service = app.extensions["imgindex"] = Service(Settings.from_mapping(config), observe=figures.embedded)
    try:
        problems.register(app)
        access_log.register(app)  # this and the next before anything that may refuse a request
        metrics.register(app, figures)
        security.register(app)
        auth.register(app)
        door.register(app)
        admission.register(app)
        api.register(app)
        pages.register(app)
    except BaseException:
        service.close()
        raise
    return app
