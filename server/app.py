"""The factory of the web service."""

from collections.abc import Mapping
from typing import Any

from flask import Flask, Response, jsonify


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """The service as a WSGI application."""
    app = Flask(__name__)
    app.config.from_mapping(config)

    @app.get("/health")
    def health() -> Response:
        return jsonify(status="ok")

    return app
