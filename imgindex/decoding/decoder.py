"""Bytes -> an upright RGB picture of one size, in a guarded child process.

A picture is hostile until it is decoded: decoders crash, spin and ask for gigabytes. So `worker` does
it in processes of its own, with at most 2 seconds of processor time and 1 GB of memory for a picture.
A damaged or cut-short file is refused even where a part of it could be shown: half a picture is another picture.
"""

import queue
import threading
import weakref
from collections.abc import Callable
from importlib import metadata
from types import TracebackType
from typing import Protocol, Self

from imgindex.decoding.child import WALL_SECONDS, Child, KilledError
from imgindex.decoding.formats import FORMATS
from imgindex.errors import DecodingStoppedError, UnreadablePictureError, UsageError
from imgindex.records import Decoded

LARGEST_FILE = 400_000_000  # bytes; 100 megapixels of 4 bytes, uncompressed
READERS = 2  # pictures decoded at once; one alone takes 2 ms, of the 92 or more that the model takes for it


class Decoder:
    """Guarded child processes that decode pictures.

    `size`: side of the square result in pixels. `workers`: how many processes at most; each starts when it
    is first needed. Threads may share a decoder: each call borrows one process.
    """

    def __init__(self, size: int, *, workers: int = 2) -> None:
        if size < 1 or workers < 1:
            raise UsageError("a decoder needs a size and a number of workers of at least 1")
        self._size = size
        self._idle: queue.LifoQueue[Child | None] = queue.LifoQueue()  # None: not started yet
        for _ in range(workers):
            self._idle.put(None)
        self._end = weakref.finalize(self, _end, self._idle, workers)

    def decode(self, data: bytes) -> Decoded:
        """Decode a file's bytes; raises UnreadablePictureError with the reason."""
        if not data:
            raise UnreadablePictureError("the file is empty")
        if len(data) > LARGEST_FILE:
            raise UnreadablePictureError(f"the file is larger than {LARGEST_FILE // 1_000_000} MB")
        child = self._idle.get()
        try:
            if not self._end.alive:
                raise UsageError("the decoder is closed")
            for _ in range(2):
                if child is not None and not child.usable():
                    child.kill()
                    child = None
                child = child or Child(self._size)
                try:
                    reply = child.ask(data)
                except KilledError:
                    # By someone else, say for want of memory: that tells nothing about the picture.
                    continue
                if reply.pixels is None:
                    raise UnreadablePictureError(reply.reason)
                return Decoded(reply.pixels, reply.width, reply.height, reply.digest, reply.description)
            raise DecodingStoppedError("the decoder was killed on it twice; the machine may lack memory")
        finally:
            self._idle.put(child)

    def close(self) -> None:
        """End the processes, after the calls of other threads."""
        self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class DecodesOneSize(Protocol):
    """A `Decoder`, or what a test has instead."""

    def decode(self, data: bytes) -> Decoded: ...

    def close(self) -> None: ...


class Decoders:
    """A `Decoder` for each size that is asked for, started when it is first needed. Threads may share it."""

    def __init__(self, start: Callable[[int], DecodesOneSize] = lambda size: Decoder(size, workers=READERS)) -> None:
        """`start`: makes the decoder of a size."""
        self._start = start
        self._of_size: dict[int, DecodesOneSize] = {}
        self._lock = threading.Lock()

    def decode(self, data: bytes, size: int) -> Decoded:
        """As `Decoder.decode`, to a square of this size."""
        with self._lock:
            if size not in self._of_size:
                self._of_size[size] = self._start(size)
        return self._of_size[size].decode(data)

    def close(self) -> None:
        """End all processes."""
        for decoder in self._of_size.values():
            decoder.close()


def decoder_versions() -> str:
    """What decodes here; with another version a file that could not be read is worth another try."""
    names = dict.fromkeys(name for row in FORMATS for name in row.distributions)
    return " ".join(f"{dist.name} {dist.version}" for name in names for dist in metadata.distributions(name=name))


def _end(idle: queue.LifoQueue[Child | None], workers: int) -> None:
    for _ in range(workers):
        try:
            child = idle.get(timeout=WALL_SECONDS)
        except queue.Empty:
            continue
        if child is not None:
            child.kill()
    for _ in range(workers):  # calls that waited their turn find the decoder closed
        idle.put(None)
