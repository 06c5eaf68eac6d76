"""A server in this process, and bytes to it over sockets."""

import contextlib
import re
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

from apiflask import APIFlask

from imgindex.server.run import Server

OTHER = "127.0.0.2"  # another client on this machine


class Wire:
    """A running server."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.port = int(server.address.rpartition(":")[2])
        self._open = contextlib.ExitStack()

    def connect(self, data: bytes = b"", *, source: str = "127.0.0.1", buffer: int = 0) -> socket.socket:
        """A connection that stays open until the end of the test; some bytes are sent."""
        wire = self._open.enter_context(socket.socket())
        if buffer:
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        wire.bind((source, 0))
        wire.settimeout(10)
        wire.connect(("127.0.0.1", self.port))
        with contextlib.suppress(ConnectionError):
            wire.sendall(data)
        return wire

    def ask(self, data: bytes, *, source: str = "127.0.0.1") -> bytes:
        """What comes back until the server closes."""
        return read(self.connect(data, source=source))

    def seconds(self, path: str, *, source: str = "127.0.0.1") -> float:
        """How long a page takes, which must come."""
        began = time.monotonic()
        answer = self.ask(get(path), source=source)
        assert status(answer) == [200], answer[:500]
        return time.monotonic() - began

    def close(self) -> None:
        self._open.close()


@contextlib.contextmanager
def wired(app: APIFlask) -> Iterator[Wire]:
    """A server of an app, and an end of both."""
    server = Server(app, app.extensions["imgindex"].settings)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wire = Wire(server)
    try:
        yield wire
    finally:
        wire.close()
        server.stop()
        thread.join()
        server.close()


def get(path: str, *headers: str, keep: bool = False) -> bytes:
    """A request; the server closes after it, unless it keeps the connection."""
    lines = [f"GET {path} HTTP/1.1", "Host: localhost", *headers, *([] if keep else ["Connection: close"]), "", ""]
    return "\r\n".join(lines).encode()


def read(wire: socket.socket, seconds: float = 10) -> bytes:
    """All that comes until the server closes, or is silent."""
    parts: list[bytes] = []
    wire.settimeout(seconds)
    with contextlib.suppress(TimeoutError, ConnectionError):
        while part := wire.recv(1 << 20):
            parts.append(part)
    return b"".join(parts)


def status(answer: bytes) -> list[int]:
    """Of each answer that came."""
    return [int(code) for code in re.findall(rb"HTTP/1\.[01] (\d{3}) ", answer)]


def until(said: Any, seconds: float = 10) -> None:
    """Wait until something is so."""
    ending = time.monotonic() + seconds
    while not said():
        assert time.monotonic() < ending
        time.sleep(0.01)
