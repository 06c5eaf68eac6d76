"""HTTP as it comes in: what never reaches the app is answered in the shape of its problems, and logged like them."""

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

TOO_LONG = 431
WIRE_SENTENCES = {
    400: "This is no request as HTTP has it; mend the program that sent it.",
    401: "Send a token, as Authorization: Bearer TOKEN; without one, a body of this size is not taken.",
    413: SENTENCES[413],
    TOO_LONG: "The headers of the request are too long; send fewer or shorter ones.",
    500: SENTENCES[500],
    501: "This Transfer-Encoding is not taken here; send the body chunked, or with a Content-Length.",
    507: "The server has no room for the body of this request; send it again when there is some.",
}


class _WireError(ErrorTask):  # type: ignore[misc]  # here and below: waitress has no types
    """What is no HTTP, or far too large, or found no room."""

    def execute(self) -> None:
        error, request, name = self.request.error, self.request, new_id()
        detail = WIRE_SENTENCES.get(error.code, f"{error.reason}.")
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
        known = error.code != TOO_LONG  # else waitress has made up a line in place of what was sent
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
    """The buffer of a body that nobody will read."""

    def append(self, data: bytes) -> None:
        pass

    def close(self) -> None:
        pass


class _Parser(HTTPRequestParser):  # type: ignore[misc]
    """A large body waits in a temporary file; where that finds no room, the client is told when it has sent all."""

    _refused: _NoRoomError | None = None

    def received(self, data: bytes) -> int:
        try:
            consumed = super().received(data)
        except OSError as error:
            log.error("%s cannot be written (%s); free some room there.", tempfile.gettempdir(), error.strerror)
            self._refused = _NoRoomError("no room")
            self.body_rcv.buf.close()
            self.body_rcv.buf = _Nowhere()
            consumed = super().received(data)
        if self.completed and self._refused:
            self.error = self._refused
        if self.error:
            self.expect_continue = False  # or waitress would ask for the body, and go on
        return int(consumed)


class _GuardedParser(_Parser):
    """Where a token is needed, who sends none fills no disk with bodies that the app would refuse."""

    def received(self, data: bytes) -> int:
        consumed = super().received(data)
        size = max(self.content_length, self.body_bytes_received)
        if not self.error and size > FORM and not {"AUTHORIZATION", "COOKIE"} & self.headers.keys():
            self.error, self.completed, self.expect_continue = _NoTokenError("no token"), True, False
        return consumed


class Channel(HTTPChannel):  # type: ignore[misc]
    """One connection."""

    error_task_class = _WireError
    parser_class: Any = _Parser


class GuardedChannel(Channel):
    """One connection to a server with tokens."""

    parser_class: Any = _GuardedParser
