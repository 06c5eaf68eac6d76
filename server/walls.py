"""How far the process that decodes pictures is shut in: asked in the background, as one has to start for that."""

import logging
import math
import time
from threading import Lock, Thread

from imgindex import ImgindexError, Sandbox, decoder_sandbox

log = logging.getLogger("imgindex.server")

RETRY = 60  # seconds until a decoder that could not start is tried again


class Walls:
    """Usable from several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._known: Sandbox | None = None
        self._asked = -math.inf

    def now(self) -> Sandbox | None:
        """None while it is not known: it is being asked, or the decoder cannot start, which the log explains."""
        with self._lock:
            if self._known is None and time.monotonic() - self._asked > RETRY:
                self._asked = time.monotonic()
                Thread(target=self._ask, name="imgindex-walls", daemon=True).start()
        return self._known

    def _ask(self) -> None:
        try:
            self._known = decoder_sandbox()
        except ImgindexError as error:
            log.warning("%s", error)
