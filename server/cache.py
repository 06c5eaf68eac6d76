"""Values that depend only on the index: computed once for each version of it, then shared by all requests."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class _Held:
    begun: float  # when its version was looked at
    version: int
    value: Any


class Cache:
    """Values by name, each valid for one version of the index. Usable from several threads."""

    def __init__(self, version: Callable[[], int]) -> None:
        self._version = version
        self._run = secrets.token_hex(4)  # versions of another run of the server are not comparable
        self._held: dict[str, _Held] = {}
        self._locks: dict[str, Lock] = {}
        self._lock = Lock()

    def get(self, name: str, compute: Callable[[], T]) -> T:
        """The value under a name, no older than this call; concurrent calls wait for one computation."""
        asked = time.monotonic()
        with self._lock:
            alone = self._locks.setdefault(name, Lock())
        with alone:
            held = self._held.get(name)
            if held is None or held.begun < asked:
                held = self._renewed(held, compute)
                # The computation may have stored what it found, which makes another version.
                held = self._held[name] = self._renewed(held, compute)
            value: T = held.value
        return value

    def _renewed(self, held: _Held | None, compute: Callable[[], Any]) -> _Held:
        begun, version = time.monotonic(), self._version()
        return held if held and held.version == version else _Held(begun, version, compute())

    def etag(self) -> str:
        """Changes whenever the index does."""
        return f"{self._run}-{self._version()}"
