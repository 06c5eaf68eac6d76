"""Linear algebra on one thread, where more would only spin."""

from contextlib import AbstractContextManager
from functools import cache
from threading import Lock
from typing import Any

from threadpoolctl import ThreadpoolController


class _OneThread:
    """The limit is the process's, so the first of several threads sets it and the last one lifts it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._inside = 0
        self._limits: list[tuple[ThreadpoolController, Any]] = []

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            threads = _threads()
            if not self._limits or self._limits[-1][0] is not threads:  # the first one, or libraries came since
                self._limits.append((threads, threads.limit(limits=1, user_api="blas")))

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            while self._limits and not self._inside:
                self._limits.pop()[1].restore_original_limits()


_one_thread = _OneThread()


def one_thread() -> AbstractContextManager[None]:
    """Linear algebra on one thread: of more, one would spin for .1 s after each product, beside a model or a proof."""
    return _one_thread


def look_again() -> None:
    """A library has brought linear algebra of its own since the last look, as SciPy does."""
    _threads.cache_clear()


@cache
def _threads() -> ThreadpoolController:
    return ThreadpoolController()
