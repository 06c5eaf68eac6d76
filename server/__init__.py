"""The web service, on imgindex's public API."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imgindex.server.app import create_app

__all__ = ["create_app"]


def __getattr__(name: str) -> Any:
    """`create_app`, imported when it is asked for: the command line reads `settings` without loading Flask."""
    if name != "create_app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from imgindex.server.app import create_app

    return create_app
