"""The factory of the web service."""

from collections.abc import Mapping
from io import BytesIO
from typing import Any

from apiflask import APIFlask
from flask import Request

from imgindex.server import api, pages, problems
from imgindex.server.middleware import access_log as log
from imgindex.server.middleware import admission as room
from imgindex.server.middleware import auth as access
from imgindex.server.middleware import metrics
from imgindex.server.middleware import security as guard
from imgindex.server.middleware.metrics import Metrics
from imgindex.server.service import Service
from imgindex.server.settings import Settings


class _Request(Request):
    def _get_file_stream(self, *_: Any, **__: Any) -> BytesIO:
        """Files are read whole, so a copy of each on the disk would only be one more that may be full."""
        return BytesIO()


def create_app(config: Mapping[str, Any]) -> APIFlask:
    """The service as a WSGI application; `config` has the names of Settings in capitals, INDEX at least.

    Its index stays open until `app.extensions["imgindex"].close()`. Raises UsageError for a setting that cannot be.
    """
    app = APIFlask(__name__, title="imgindex", docs_path=None, spec_path="/openapi.json")
    app.request_class = _Request
    figures = Metrics()
    service = app.extensions["imgindex"] = Service(Settings.from_mapping(config), observe=figures.embedded)
    try:
        problems.register(app)
        log.register(app)  # and the next one before all that may refuse a request
        metrics.register(app, figures)
        guard.register(app)
        access.register(app)
        room.register(app)
        api.register(app)
        pages.register(app)
    except BaseException:
        service.close()
        raise
    return app
