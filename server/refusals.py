"""Answers to requests that never reach the app: problems like its own, and logged like its own."""

import json
import logging
import socket
import time
from contextlib import suppress

from waitress.task import ErrorTask
from waitress.utilities import Error

from imgindex.server.middleware.access_log import new_id, write_line
from imgindex.server.problems import SENTENCES

log = logging.getLogger("imgindex.server")

TOO_LONG = 431  # the status of headers that are too long
WAIT = 2  # seconds until somebody with too much under way may try again: about what an upload takes
CHANNEL_SENTENCES = {
    400: "Malformed HTTP request; fix the program that sent it.",
    401: "Send a token as Authorization: Bearer TOKEN; without one, a body of this size is refused.",
    408: "The request came too slowly; send it again over a faster connection.",
    413: SENTENCES[413],
    429: f"Too much at once from this address; try again in {WAIT} s.",
    TOO_LONG: "The headers of the request are too long; send fewer or shorter ones.",
    500: SENTENCES[500],
    501: "Unsupported Transfer-Encoding; send the body chunked, or with a Content-Length.",
    507: "The server's disk is full; free some space there and send the request again.",
}


class NoTokenError(Error):  # type: ignore[misc]  # here and below: waitress has no types
    code = 401
    reason = "Unauthorized"


class TooSlowError(Error):  # type: ignore[misc]
    code = 408
    reason = "Request Timeout"


class TooMuchError(Error):  # type: ignore[misc]
    code = 429
    reason = "Too Many Requests"


class NoRoomError(Error):  # type: ignore[misc]
    code = 507
    reason = "Insufficient Storage"


class ProblemTask(ErrorTask):  # type: ignore[misc]
    """Malformed, too large, too slow, too many, or more than the disk holds."""

    def execute(self) -> None:
        error, request, name = self.request.error, self.request, new_id()
        body = _body(error)
        self.status = f"{error.code} {error.reason}"
        self.response_headers += _headers(error, name)
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


def turn_away(sock: socket.socket, address: str) -> None:
    """Refuse a connection of somebody who has too many, without waiting for anything."""
    error, name = TooMuchError("too many connections"), new_id()
    body = _body(error)
    headers = [*_headers(error, name), ("Content-Length", str(len(body))), ("Connection", "close")]
    lines = [f"HTTP/1.1 {error.code} {error.reason}", *(f"{key}: {value}" for key, value in headers), "", ""]
    with suppress(OSError), sock:  # it may have gone already
        sock.setblocking(False)
        sock.send("\r\n".join(lines).encode() + body)
        sock.shutdown(socket.SHUT_WR)
        sock.recv(65_536)  # what is unread when it is closed would take the answer with it
    write_line(name=name, client=address, method=None, path=None, status=error.code, seconds=0, size=len(body))


def _body(error: Error) -> bytes:
    detail = CHANNEL_SENTENCES.get(error.code, f"{error.reason}.")
    return json.dumps({"type": "about:blank", "title": error.reason, "status": error.code, "detail": detail}).encode()


def _headers(error: Error, name: str) -> list[tuple[str, str]]:
    more = {401: [("WWW-Authenticate", "Bearer")], 429: [("Retry-After", str(WAIT))]}
    return [
        ("Content-Type", "application/problem+json"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Request-ID", name),
        *more.get(error.code, []),
    ]
