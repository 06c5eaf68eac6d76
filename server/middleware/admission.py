"""How many uploads are processed at once: fewer than there are threads, so that reads never wait for them."""

from threading import Lock

from apiflask import APIFlask
from flask import g, request

from imgindex.server.errors import OverloadedError

REQUESTS = 16  # uploads at a time, of the 24 threads that server.run has: eight are always left for reads
BYTES = 512_000_000  # of their bodies, all of which are held in memory
WAIT = 2  # seconds: about what an upload of one picture takes on a busy server


class AdmissionControl:
    """Counts uploads and their bytes. Usable from several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._requests = 0
        self._bytes = 0

    def enter(self, size: int) -> None:
        """Admit an upload; one alone may have any size. Raises OverloadedError."""
        with self._lock:
            if self._requests and (self._requests >= REQUESTS or self._bytes + size > BYTES):
                raise OverloadedError(WAIT, "Too many uploads at once")
            self._requests += 1
            self._bytes += size

    def leave(self, size: int) -> None:
        with self._lock:
            self._requests -= 1
            self._bytes -= size


def register(app: APIFlask) -> None:
    """Admit uploads to an app, or refuse them before they are read into memory."""
    admission = AdmissionControl()

    def enter() -> None:
        if request.mimetype == "multipart/form-data":
            size = request.content_length or 0
            admission.enter(size)
            g.admitted = size

    def leave(_error: BaseException | None) -> None:
        if (size := g.pop("admitted", None)) is not None:
            admission.leave(size)

    app.before_request(enter)
    app.teardown_request(leave)
