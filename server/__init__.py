"""The web service, on imgindex's public API."""

from imgindex.server.app import create_app

__all__ = ["create_app"]
