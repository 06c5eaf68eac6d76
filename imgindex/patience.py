"""Waiting for drives: one that hangs holds whoever asks inside the kernel, where nothing reaches them."""

import errno
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from queue import Empty, Queue
from typing import TypeVar

T = TypeVar("T")

SILENCE = 30.0  # seconds; a disk that sleeps answers after ten, a file server that starts anew after twenty
_AHEAD = 64  # answers that may wait: asking hardly ever stands still for who listens; parts of a file take 16 MB
_END = object()


def answers(ask: Callable[[], Iterator[T]]) -> Iterator[T]:
    """What `ask` yields, asked in a thread of its own, which is given up where nothing comes for SILENCE seconds.

    Raises TimeoutError then, an OSError, and whatever `ask` raises.
    """
    came: Queue[object] = Queue(_AHEAD)
    left = threading.Event()

    def run() -> None:
        try:
            for answer in ask():
                came.put((answer,))
                if left.is_set():
                    return
            came.put(_END)
        except BaseException as error:  # noqa: BLE001  # raised by whoever listens
            came.put(error)

    threading.Thread(target=run, name="imgindex-ask", daemon=True).start()
    try:
        while True:
            match came.get(timeout=SILENCE):
                case (answer,):
                    yield answer  # type: ignore[misc]  # only `run` puts tuples here
                case BaseException() as error:
                    raise error
                case _:
                    return
    except Empty:
        raise TimeoutError(errno.ETIMEDOUT, f"not answering for {SILENCE:g} seconds") from None
    finally:
        left.set()
        with suppress(Empty):  # make room, so that a thread which waits to be heard sees that nobody listens
            while True:
                came.get_nowait()


def answer(ask: Callable[[], T]) -> T:
    """The answer to one question; raises as `answers` does."""
    return next(answers(lambda: iter([ask()])))
