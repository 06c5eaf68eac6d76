"""The door before the app: what a request may send is asked of its head, before its body is taken."""

from collections.abc import Callable, Iterable
from typing import Any

from apiflask import APIFlask
from flask import Response, request

from imgindex.server.problems import SENTENCES, problem

CUT = "imgindex.cut"  # of the environ of a request whose body was not taken
ASKED = "imgindex.asked"  # of an environ; no header of a client gets such a name


def register(app: APIFlask) -> None:
    """Let nothing run whose body was not taken, though what refused it by its head may be over by now."""
    app.before_request(_refuse_cut)


def _refuse_cut() -> Response | None:
    if CUT not in request.environ:
        return None
    if (request.content_length or 0) > (request.max_content_length or 0):
        return problem(413, SENTENCES[413])
    return problem(
        503, "The request was refused by its head a moment ago; send it again.", headers={"Retry-After": "2"}
    )


class Door:
    """The app as WSGI. A request that is only asked about leaves the answer in its environ, and goes no further."""

    def __init__(self, app: APIFlask) -> None:
        self._app = app

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        asked: list[int] | None = environ.get(ASKED)
        if asked is None:
            return self._app(environ, start_response)
        asked.append(self._allowed(environ))
        return []

    def _allowed(self, environ: dict[str, Any]) -> int:
        """Bytes of a body; none for a request that the app would refuse for what is in its head."""
        with self._app.request_context(environ):
            if all(may_send() for may_send in self._app.extensions["imgindex.door"]):
                return request.max_content_length or 0
            return 0


def ask(application: Callable[..., Iterable[bytes]], environ: dict[str, Any]) -> int:
    """How many bytes of its body a request may send; `application` is a door, maybe with others before it."""
    asked: list[int] = []
    for _ in application({**environ, ASKED: asked}, lambda *_: None):
        pass  # one that stands before the door refuses it
    return asked[0] if asked else 0
