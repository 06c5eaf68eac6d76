"""Bytes -> an upright RGB picture of one size, in a guarded child process.

A picture is hostile until it is decoded: decoders crash, spin and ask for gigabytes. So `worker` does it in processes
of its own, with at most 1 GB of memory, and 2 seconds of processor time for a picture, 6 for a look at two.
A damaged or cut-short file is refused even where a part of it could be shown: half a picture is another picture.
"""

import queue
import threading
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import metadata
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from imgindex.decoding import answers
from imgindex.decoding.child import ABSURD, CPU_SECONDS, LOOK, WALL_SECONDS, Child, KilledError, Reply
from imgindex.decoding.formats import FORMATS
from imgindex.decoding.protocol import REQUEST, TRANSFORM
from imgindex.errors import DecodingStoppedError, UnreadablePictureError, UsageError
from imgindex.records import Decoded

if TYPE_CHECKING:
    from imgindex.comparison.second_look import Relation

LARGEST_FILE = 400_000_000  # bytes; 100 megapixels of 4 bytes, uncompressed
_ANY_SIZE = 224  # pixels; a look takes none, and this one is the most likely to be asked for next
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
        _check(data)
        reply = self._ask(REQUEST.pack(len(data), 0), data, act="decoding", cpu=CPU_SECONDS)
        try:
            return answers.decoded(reply, self._size)
        except ValueError as error:
            raise UnreadablePictureError(ABSURD.decode()) from error

    def look(self, one: bytes, other: bytes, transform: Sequence[float]) -> "Relation":
        """How the pictures in two files relate; `transform`: 3 x 3 by rows, the one's coordinates to the other's."""
        for data in (one, other):
            _check(data)
        request = REQUEST.pack(len(one), len(other)), TRANSFORM.pack(*transform), one, other
        told = self._ask(*request, act="comparing", cpu=LOOK * CPU_SECONDS).body
        try:
            return answers.relation(told)
        except ValueError as error:
            raise UnreadablePictureError(ABSURD.decode()) from error

    def _ask(self, *request: bytes, act: str, cpu: float) -> Reply:
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
                    reply = child.ask(*request, act=act, cpu=cpu)
                except KilledError:
                    # By someone else, or for want of memory or room: that tells nothing about the picture.
                    continue
                if not reply.readable:
                    raise UnreadablePictureError(reply.body.decode(errors="replace"))
                return reply
            raise DecodingStoppedError("the decoder was killed on it twice; the machine may lack memory")
        finally:
            self._idle.put(child)

    def renew(self) -> None:
        """Have fresh processes from now on; one that is at work is let be."""
        idle: list[Child | None] = []
        with suppress(queue.Empty):
            while True:
                idle.append(self._idle.get_nowait())
        for child in idle:
            if child is not None:
                child.kill()
            self._idle.put(None)

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

    def look(self, one: bytes, other: bytes, transform: Sequence[float]) -> "Relation": ...

    def renew(self) -> None: ...

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
        return self._decoder(size).decode(data)

    def look(self, one: bytes, other: bytes, transform: Sequence[float]) -> "Relation":
        """As `Decoder.look`, by whichever decoder there is."""
        with self._lock:
            size = next(iter(self._of_size), _ANY_SIZE)
        return self._decoder(size).look(one, other, transform)

    def renew(self) -> None:
        """Have fresh processes from now on: what the ones before refused is worth a second look by others."""
        with self._lock:
            decoders = list(self._of_size.values())
        for decoder in decoders:
            decoder.renew()

    def _decoder(self, size: int) -> DecodesOneSize:
        with self._lock:
            if size not in self._of_size:
                self._of_size[size] = self._start(size)
            return self._of_size[size]

    def close(self) -> None:
        """End all processes."""
        for decoder in self._of_size.values():
            decoder.close()


def decoder_versions() -> str:
    """What decodes here; with another version a file that could not be read is worth another try."""
    names = dict.fromkeys(name for row in FORMATS for name in row.distributions)
    return " ".join(f"{dist.name} {dist.version}" for name in names for dist in metadata.distributions(name=name))


def _check(data: bytes) -> None:
    if not data:
        raise UnreadablePictureError("the file is empty")
    if len(data) > LARGEST_FILE:
        raise UnreadablePictureError(f"the file is larger than {LARGEST_FILE // 1_000_000} MB")


def _end(idle: "queue.LifoQueue[Child | None]", workers: int) -> None:
    for _ in range(workers):
        try:
            child = idle.get(timeout=WALL_SECONDS)
        except queue.Empty:
            continue
        if child is not None:
            child.kill()
    for _ in range(workers):  # calls that waited their turn find the decoder closed
        idle.put(None)
