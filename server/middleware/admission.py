"""How many uploads are worked on at once: fewer than there are threads, so that who only reads never waits for them."""

from threading import Lock

from apiflask import APIFlask
from flask import g, request

from imgindex.server.batcher import QueueFullError

REQUESTS = 16  # with pictures, at a time; server.run has more threads
BYTES = 512_000_000  # of them, in memory
WAIT = 2  # seconds until another try may do


class Room:
    """Counts requests and their bytes. Usable from several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._requests = 0
        self._bytes = 0

    def enter(self, size: int) -> None:
        """Raises QueueFullError; one alone may be as large as it likes."""
        with self._lock:
            if self._requests and (self._requests >= REQUESTS or self._bytes + size > BYTES):
                raise QueueFullError(WAIT, "Too many pictures come at once")
            self._requests += 1
            self._bytes += size

    def leave(self, size: int) -> None:
        with self._lock:
            self._requests -= 1
            self._bytes -= size


def register(app: APIFlask) -> None:
    """Let requests with files into an app while there is room, before they are read into memory."""
    room = Room()

    def enter() -> None:
        if request.mimetype == "multipart/form-data":
            size = request.content_length or 0
            room.enter(size)
            g.room = size

    def leave(_error: BaseException | None) -> None:
        if (size := g.pop("room", None)) is not None:
            room.leave(size)

    app.before_request(enter)
    app.teardown_request(leave)
