"""Requests as they come in: judged by their heads, and their bodies taken as far as they may go on."""

import logging
import math
import re
import tempfile
import time
from typing import Any, Protocol

from waitress.parser import HTTPRequestParser, ParsingError
from waitress.utilities import BadRequest, Error, RequestEntityTooLarge

from imgindex.server.middleware.auth import FORM
from imgindex.server.refusals import NoRoomError, NoTokenError, TooMuchError

log = logging.getLogger("imgindex.server")

CONTROL = 1_000  # bytes of the line before a chunk: its size in hex and, in theory, extensions
TRAILER = 8_000  # bytes of headers after the last chunk, which nobody sends
STEP = 1_000_000  # bytes of a body from one look at the others of its client to the next
_TRANSFER = re.compile(rb"\ntransfer-encoding[ \t]*:", re.IGNORECASE)


class Owner(Protocol):
    """The connection of a request."""

    def ask(self, request: Any) -> int:
        """How many bytes of a body may come."""

    def crowded(self, request: Any) -> bool:
        """Whether its client has too many requests under way."""

    def overfull(self) -> bool:
        """Whether its client has sent too much that is still held."""

    def done(self, request: Any, rest: bytes) -> None:
        """The request is complete; what came behind it waits."""


class _Nowhere:
    """The buffer of a body that nobody reads."""

    def append(self, data: bytes) -> None:
        pass

    def close(self) -> None:
        pass


class Parser(HTTPRequestParser):  # type: ignore[misc]  # waitress has no types
    """One request. A large body waits in a temporary file; if the disk is full, the client is told at its end."""

    error: Error | None = None
    body_rcv: Any = None

    def __init__(self, adj: Any, owner: Owner) -> None:
        super().__init__(adj)
        self.began = time.monotonic()
        self.headed = math.inf  # when its head was complete
        self.cut = False  # whether there is more of it that nobody takes
        self.asks = False  # whether it goes to the app without its body, to be refused
        self._owner = owner
        self._allowed = 0
        self._looked = 0
        self._full: NoRoomError | None = None

    @property
    def held(self) -> int:
        """Bytes of its body in memory or on the disk."""
        return int(self.body_bytes_received) if self.body_rcv is not None else 0

    def parse_header(self, header_plus: bytes) -> None:
        try:
            super().parse_header(header_plus)
        except ValueError as error:
            if not self.headers.get("CONTENT_LENGTH", "").isdigit():
                raise ParsingError("A part of the head is invalid") from error
            self.content_length = self.adj.max_request_body_size  # it has more digits than Python reads
        if _TRANSFER.search(header_plus) and (self.version != "1.1" or "CONTENT_LENGTH" in self.headers):
            raise ParsingError("Where the body ends is said twice, or in a way that its version of HTTP lacks")

    def received(self, data: bytes) -> int:
        consumed = self._take(data)
        if self.headers_finished and not self.error and not self.empty:
            self._judge()
        if self.completed and self._full:
            self.error = self._full
        if self.error:
            self.expect_continue, self.cut = False, True  # or waitress would ask for the body and go on
        if self.completed:
            self._owner.done(self, data[consumed:])
            return len(data)
        return consumed

    def _take(self, data: bytes) -> int:
        try:
            return int(super().received(data))
        except OSError as error:
            log.error("%s cannot be written (%s); free some space there.", tempfile.gettempdir(), error.strerror)
            self._full = NoRoomError("no room")
            self.body_rcv.buf.close()
            self.body_rcv.buf = _Nowhere()
            return int(super().received(data))

    def _judge(self) -> None:
        if self.headed == math.inf:
            self.headed = time.monotonic()
            if self._owner.crowded(self):
                return self.refuse(TooMuchError("too many requests"))
            self._allowed = self._owner.ask(self) if self.body_rcv is not None else 0
        if self.body_rcv is None:
            return None
        size = max(self.content_length, self.body_bytes_received)
        if not self._allowed or size > self._allowed:
            return self._cut_off(size)
        if broken := self._framing():
            return self.refuse(broken)
        if self.body_bytes_received - self._looked >= STEP:
            self._looked = self.body_bytes_received
            if self._owner.overfull():
                return self.refuse(TooMuchError("too many bytes"))
        return None

    def _cut_off(self, size: int) -> None:
        """The app is asked at once, and refuses it in its own words."""
        if 0 < self._allowed <= FORM:
            return self.refuse(NoTokenError("no token"))
        self.drop()
        self.cut, self.asks, self.completed, self.expect_continue = True, True, True, False
        self.headers.update(CONTENT_LENGTH=str(size), CONNECTION="close")
        return None

    def refuse(self, error: Error) -> None:
        """Go no further than here."""
        self.drop()
        self.error, self.cut, self.completed, self.expect_continue = error, True, True, False

    def drop(self) -> None:
        """Forget what has come of its body."""
        if self.body_rcv is not None:
            self.body_rcv.getbuf().close()
            self.body_rcv = None

    def _framing(self) -> Error | None:
        """What is wrong with the chunks of a body, beside what waitress finds."""
        body = self.body_rcv
        if getattr(body, "chunk_remainder", 0) >= self.adj.max_request_body_size:
            return RequestEntityTooLarge("a chunk is larger than a request may be")
        if len(getattr(body, "control_line", b"")) > CONTROL or len(getattr(body, "trailer", b"")) > TRAILER:
            return BadRequest("what stands between chunks is too long")
        return None
