"""HTTP on the wire: one connection, which no client can hold for longer than it makes use of it.

It subclasses inner classes of waitress, which have no types and may change: requirements.lock pins the version, and
tests/server/test_process.py and test_load.py run it.
"""

import socket
import time
from contextlib import suppress
from typing import Any

from waitress.buffers import ReadOnlyFileBasedBuffer
from waitress.channel import HTTPChannel
from waitress.task import WSGITask

from imgindex.server import door
from imgindex.server.crowd import Crowd, State
from imgindex.server.middleware.rate_limit import customer
from imgindex.server.parser import Parser
from imgindex.server.refusals import ProblemTask, TooSlowError

HEAD = 10  # seconds from the first byte of a request to the end of its head, which is one packet as a rule
GRACE = 20  # seconds that a body may take, and one more for each RATE bytes of it
RATE = 1_000  # bytes a second: a phone at the edge of its network sends ten times as much
STALLED = 60  # seconds until an answer is ended that its client has read nothing of
IDLE = 60  # seconds until a silent connection is closed: proxies keep theirs about as long
LINGER = 5  # seconds that a client who still sends has to read why he was refused


class Task(WSGITask):  # type: ignore[misc]  # waitress has no types
    """A request for the app, which is told where its body was not taken."""

    def get_environment(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environment()
        if self.request.asks:
            environ[door.CUT] = True
        return environ


class Channel(HTTPChannel):  # type: ignore[misc]  # waitress has no types
    """One connection; one request at a time, and the next one when its answer has gone."""

    task_class = Task
    error_task_class = ProblemTask
    request: Any = None
    will_close: bool = False

    def __init__(self, *given: Any, crowd: Crowd, proxied: bool, **more: Any) -> None:
        """`proxied`: what a proxy says is believed, and the client is who it says."""
        self._crowd, self._proxied = crowd, proxied
        self._rest = b""  # what came behind a request
        self._cut = False  # whether the client may still be sending what nobody takes
        self._lingers: float | None = None  # since when
        self._moved = time.monotonic()  # when the last byte came or went
        super().__init__(*given, **more)
        self.client = None if proxied else customer(self.addr[0])

    def parser_class(self, adj: Any) -> Parser:
        """What waitress calls for a new request."""
        return Parser(adj, self)

    # What the parser asks

    def ask(self, request: Parser) -> int:
        """How many bytes of a body may come."""
        return door.ask(self.server.application, self.task_class(self, request).get_environment())

    def crowded(self, request: Parser) -> bool:
        """Whether its client has too many requests under way; a proxy's connections are everybody's."""
        if not self._proxied:
            return False
        self.client = customer(_forwarded(request.headers.get("X_FORWARDED_FOR", "")) or self.addr[0])
        return not self._crowd.room_for_request(self, body=request.body_rcv is not None)

    def overfull(self) -> bool:
        """Whether its client has sent too much that is still held."""
        return not self._crowd.room_for_body(self)

    def done(self, request: Parser, rest: bytes) -> None:
        """The request is complete; what came behind it waits."""
        self._rest, self._cut = rest, request.cut

    # What the crowd asks

    @property
    def state(self) -> State:
        """Waiting for a head, taking a body, at work, or giving an answer."""
        if self.total_outbufs_len:
            return "giving"
        if self.requests:
            return "working"
        return "taking" if self.request is not None and self.request.headers_finished else "waiting"

    @property
    def since(self) -> float:
        """Since when it waits or is silent; a head that trickles waits from its first byte on."""
        began = self.request.began if self.state == "waiting" and self.request is not None else self._moved
        return float(began)

    @property
    def held(self) -> int:
        """Bytes of bodies."""
        return sum(one.held for one in (self.request, *self.requests) if one is not None)

    @property
    def spooled(self) -> int:
        """Bytes of answers in memory or temporary files; files are read from where they are."""
        return sum(len(one) for one in tuple(self.outbufs) if not isinstance(one, ReadOnlyFileBasedBuffer))

    # What waitress calls

    def readable(self) -> bool:
        if self._rest and self._lingers is None and self._idle():
            rest, self._rest = self._rest, b""
            try:
                self.received(rest)
            except Exception:  # noqa: BLE001  # here it would end the server, not one connection
                self.handle_error()
                return False
        return not self._rest and bool(super().readable())

    def received(self, data: bytes) -> bool:
        self._moved = time.monotonic()
        return self._lingers is None and bool(super().received(data))

    def handle_write(self) -> None:
        if self._cut and self.close_when_flushed and not self.will_close:
            self._flush_exception(self._flush_some)
            if not self.total_outbufs_len and not self.will_close:
                return self._linger()
        super().handle_write()
        return None

    def _flush_some(self, do_close: bool = True) -> bool:  # as waitress calls it
        sent = bool(super()._flush_some(do_close=do_close))
        if sent:
            self._moved = time.monotonic()
        return sent

    def handle_close(self) -> None:
        super().handle_close()
        if self.request is not None:
            self.request.drop()

    def look(self, now: float) -> None:
        """End what takes too long; `now` is by time.monotonic."""
        state, request = self.state, self.request
        if self._lingers is not None:
            self.will_close = self.will_close or now - self._lingers > LINGER
        elif state == "giving":
            self.will_close = self.will_close or now - self._moved > STALLED
        elif state == "taking":
            if now - request.headed > GRACE + request.body_bytes_received / RATE:
                self._refuse(request)
        elif state == "waiting" and request is not None:
            if now - request.began > HEAD:
                self._refuse(request)
        elif state == "waiting" and now - self._moved > IDLE:
            self.will_close = True

    def _refuse(self, request: Parser) -> None:
        """Answer a request that comes too slowly."""
        with self.requests_lock:
            request.refuse(TooSlowError("too slow"))
            self.request, self._cut = None, True
            self.requests.append(request)
            self.server.add_task(self)

    def _idle(self) -> bool:
        return not (self.will_close or self.close_when_flushed or self.requests or self.total_outbufs_len)

    def _linger(self) -> None:
        """Say that this was all, and let the client finish: closed in the middle, it would not read the answer."""
        self.close_when_flushed, self._rest, self._lingers = False, b"", time.monotonic()
        with suppress(OSError):  # it has gone
            self.socket.shutdown(socket.SHUT_WR)


def _forwarded(header: str) -> str:
    """The client as the last proxy saw it: the last address of X-Forwarded-For, without a port."""
    last = header.rpartition(",")[2].strip().strip('"')
    if last.startswith("["):
        return last[1:].partition("]")[0]
    return last.partition(":")[0] if last.count(":") == 1 else last
