"""What many requests ask for and only a change of the index changes: computed once, then shared."""

import secrets
from collections.abc import Callable
from threading import Lock
from typing import Any, TypeVar

T = TypeVar("T")


class Snapshots:
    """Values by name, each good for one version of the index. Usable from several threads."""

    def __init__(self, version: Callable[[], int]) -> None:
        self._version = version
        self._run = secrets.token_hex(4)  # versions of another run of the server say nothing
        self._held: dict[str, tuple[int, Any]] = {}
        self._locks: dict[str, Lock] = {}
        self._lock = Lock()

    def get(self, name: str, compute: Callable[[], T]) -> T:
        """The value under a name, computed anew after a change; who asks meanwhile waits for the one computation."""
        with self._lock:
            alone = self._locks.setdefault(name, Lock())
        with alone:
            for _ in range(2):  # the first computation may write down what it found, which makes another version
                version = self._version()
                held = self._held.get(name)
                if held is None or held[0] != version:
                    held = self._held[name] = (version, compute())
            value: T = held[1]
        return value

    def etag(self) -> str:
        """The same as long as the index is."""
        return f"{self._run}-{self._version()}"
