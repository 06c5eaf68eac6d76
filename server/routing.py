"""What stands beside a route: the ids in its address, and who may call it."""

from collections.abc import Callable
from typing import Any, TypeVar

from flask import current_app, request
from werkzeug.routing import BaseConverter

View = TypeVar("View", bound=Callable[..., Any])


class Id(BaseConverter):
    """`<id:name>`: plain digits, at most 18, so that SQLite can hold any of them; other addresses answer 404."""

    regex = "[0-9]{1,18}"

    def to_python(self, value: str) -> int:
        return int(value)


def reads_only(view: View) -> View:
    """Mark a view that changes nothing though it is sent something: a token for reading will do."""
    view.__dict__["reads_only"] = True
    return view


def open_to_all(view: View) -> View:
    """Mark a view that needs no token."""
    view.__dict__["open_to_all"] = True
    return view


def marked(mark: str, endpoint: str | None = None) -> bool:
    """Whether a view has a mark; by default, the one that this request reaches."""
    view = current_app.view_functions.get(endpoint or request.endpoint or "")
    return bool(getattr(view, mark, False))
