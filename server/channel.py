"""HTTP on the wire: requests that never reach the app are answered and logged like its problems.

It subclasses inner classes of waitress, which have no types and may change: requirements.lock pins the version, and
tests/server/test_process.py runs every answer below on it.
"""

import json
import logging
import tempfile
import time
from typing import Any

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.task import ErrorTask
from waitress.utilities import Error

from imgindex.server.middleware.access_log import new_id, write_line
from imgindex.server.middleware.auth import FORM
from imgindex.server.problems import SENTENCES

log = logging.getLogger("imgindex.server")

TOO_LONG = 431  # the status of headers that are too long
CHANNEL_SENTENCES = {
    400: "Malformed HTTP request; fix the program that sent it.",
    401: "Send a token as Authorization: Bearer TOKEN; without one, a body of this size is refused.",
    413: SENTENCES[413],
    TOO_LONG: "The headers of the request are too long; send fewer or shorter ones.",
    500: SENTENCES[500],
    501: "Unsupported Transfer-Encoding; send the body chunked, or with a Content-Length.",
    507: "The server's disk is full; free some space there and send the request again.",
}


class _ProblemTask(ErrorTask):  # type: ignore[misc]  # here and below: waitress has no types
    """Malformed, far too large, or more than the disk holds."""

    def execute(self) -> None:
        error, request, name = self.request.error, self.request, new_id()
        detail = CHANNEL_SENTENCES.get(error.code, f"{error.reason}.")
        body = json.dumps(
            {"type": "about:blank", "title": error.reason, "status": error.code, "detail": detail}
        ).encode()
        self.status = f"{error.code} {error.reason}"
        self.response_headers += [
            ("Content-Type", "application/problem+json"),
            ("X-Content-Type-Options", "nosniff"),
            ("X-Request-ID", name),
        ]
        if error.code == 401:
            self.response_headers.append(("WWW-Authenticate", "Bearer"))
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)
        known = error.code != TOO_LONG  # then waitress has put a made-up request line in place of the real one
        path = getattr(request, "path", None) if known else None
        write_line(
            name=name,
            client=self.channel.addr[0],
            method=getattr(request, "command", None) if known else None,
            path=path.encode("latin-1").decode("utf-8", "replace") if path is not None else None,
            status=error.code,
            seconds=time.time() - self.start_time,
            size=len(body),
        )


class _NoRoomError(Error):  # type: ignore[misc]
    code = 507
    reason = "Insufficient Storage"


class _NoTokenError(Error):  # type: ignore[misc]
    code = 401
    reason = "Unauthorized"


class _Nowhere:
    """The buffer of a body that nobody reads."""

    def append(self, data: bytes) -> None:
        pass

    def close(self) -> None:
        pass


class _Parser(HTTPRequestParser):  # type: ignore[misc]
    """A large body waits in a temporary file; if the disk is full, the client is told once it has sent everything."""

    _refused: _NoRoomError | None = None

    def received(self, data: bytes) -> int:
        try:
            consumed = super().received(data)
        except OSError as error:
            log.error("%s cannot be written (%s); free some space there.", tempfile.gettempdir(), error.strerror)
            self._refused = _NoRoomError("no room")
            self.body_rcv.buf.close()
            self.body_rcv.buf = _Nowhere()
            consumed = super().received(data)
        if self.completed and self._refused:
            self.error = self._refused
        if self.error:
            self.expect_continue = False  # or waitress would ask for the body and go on
        return int(consumed)


class _GuardedParser(_Parser):
    """Where a token is needed, nobody without one can fill the disk with bodies that the app would refuse."""

    def received(self, data: bytes) -> int:
        consumed = super().received(data)
        size = max(self.content_length, self.body_bytes_received)
        if not self.error and size > FORM and not {"AUTHORIZATION", "COOKIE"} & self.headers.keys():
            self.error, self.completed, self.expect_continue = _NoTokenError("no token"), True, False
        return consumed


class Channel(HTTPChannel):  # type: ignore[misc]
    """One connection."""

    error_task_class = _ProblemTask
    parser_class: Any = _Parser


class GuardedChannel(Channel):
    """One connection to a server with tokens."""

    parser_class: Any = _GuardedParser
