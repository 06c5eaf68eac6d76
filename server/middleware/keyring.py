"""The tokens that count at this moment: one that was given, and those of a file, read again when it changes."""

import logging
import os
import time
from pathlib import Path
from threading import Lock

from imgindex import UsageError
from imgindex.server.middleware.tokens import Token, find_token, read_tokens

log = logging.getLogger("imgindex.server")

SETTLED = 2_000_000_000  # nanoseconds: a file that was changed later may change again without a newer time (FAT: 2 s)


class Keyring:
    """Usable from several threads. A file that cannot be read any more lets nobody in, and `broken` tells."""

    def __init__(self, *, given: Token | None, file: Path | None) -> None:
        """Raises UsageError for a file that cannot be read."""
        self._given = (given,) if given else ()
        self._file = file
        self._lock = Lock()
        self._state: tuple[int, ...] | None = None  # of the file when it was read; None: read it again
        self._tokens = read_tokens(file) if file else ()
        self.broken: str | None = None  # why the file cannot be read

    def __bool__(self) -> bool:
        """Whether a token is needed at all, be there any left or not."""
        return bool(self._given) or self._file is not None

    def find(self, secret: str) -> Token | None:
        """The token that a client sent, if it counts now."""
        return find_token(self._now(), secret)

    def still(self, token: Token) -> Token | None:
        """A token as it is now: its role may be another one, or it was taken away."""
        return next((one for one in self._now() if one.digest == token.digest), None)

    def reload(self) -> None:
        """Read the file now, and log what came of it."""
        with self._lock:
            self._state = None
        count = len(self._now())
        if self._file and not self.broken:
            log.info("The tokens were read again; there are %d.", count)

    def _now(self) -> tuple[Token, ...]:
        if self._file:
            with self._lock:
                self._look(self._file)
        return self._tokens + self._given

    def _look(self, file: Path) -> None:
        state = _state(file)
        if state is not None and state == self._state:
            return
        try:
            self._tokens, broken = read_tokens(file), None
        except UsageError as error:
            self._tokens, broken = (), str(error)
            if broken != self.broken:
                log.error("%s Until then its tokens let nobody in.", broken)
        self.broken, self._state = broken, state


def _state(file: Path) -> tuple[int, ...] | None:
    """What tells one version of a file from the next; None if it may not do so yet."""
    try:
        found = os.stat(file)
    except OSError:
        return None
    if abs(time.time_ns() - found.st_mtime_ns) < SETTLED or abs(time.time_ns() - found.st_ctime_ns) < SETTLED:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_mode, found.st_uid
