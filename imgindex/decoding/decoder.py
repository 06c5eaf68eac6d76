"""Bytes -> an upright RGB picture of one size, in a guarded child process.

A picture is hostile until it is decoded: decoders crash, spin and ask for gigabytes. So `worker` does
it in processes of its own, with at most 2 seconds of processor time and 1 GB of memory for a picture.
A damaged or cut-short file is refused even where a part of it could be shown: half a picture is another picture.
"""

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np

from imgindex.decoding.formats import FORMATS
from imgindex.decoding.protocol import DIGEST, REPLY, REQUEST
from imgindex.errors import DecodingStoppedError, ImgindexError, UnreadablePictureError, UsageError
from imgindex.records import Decoded
from imgindex.types import Pixels

# What one picture may take. Measured for 100 megapixels in each format: tests/benchmarks/README.md, "Decoding".
CPU_SECONDS = 2.0  # JPEG, BMP, WebP and most PNG stay below; a noisy PNG of 174 MB takes 3.2
WALL_SECONDS = 30.0  # 15 times that: a busy machine refuses no picture, and none that hangs holds the others up
MEMORY = 1_000_000_000  # bytes; the hungriest, a TIFF in LZW, peaks at 824 MB
LARGEST_FILE = 400_000_000  # bytes; 100 megapixels of 4 bytes, uncompressed
READERS = 2  # pictures decoded at once; one alone takes 2 ms, of the 92 or more that the model takes for it

_LIBRARIES = 60_000_000  # part of MEMORY: pages of program files, which the kernel's limit on data leaves out
_CHILD = Path(__file__).with_name("worker.py")
_ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "OPENCV_LOG_LEVEL": "SILENT",
    # What one picture took and gave back is kept for the next, not cleared by the kernel again.
    "MALLOC_MMAP_THRESHOLD_": "4194304",
    "MALLOC_TRIM_THRESHOLD_": "67108864",
    "NUMPY_MADVISE_HUGEPAGE": "0",  # clearing huge pages can cost a second of a large picture's two
}


class Decoder:
    """Guarded child processes that decode pictures.

    `size`: side of the square result in pixels. `workers`: how many processes at most; each starts when it
    is first needed. Threads may share a decoder: each call borrows one process.
    """

    def __init__(self, size: int, *, workers: int = 2) -> None:
        if size < 1 or workers < 1:
            raise UsageError("a decoder needs a size and a number of workers of at least 1")
        self._size = size
        self._idle: queue.LifoQueue[_Child | None] = queue.LifoQueue()  # None: not started yet
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
                child = child or _Child(self._size)
                try:
                    reply = child.ask(data)
                except _KilledError:
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


@dataclass(frozen=True)
class _Reply:
    pixels: Pixels | None
    width: int = 0
    height: int = 0
    digest: bytes = b""
    description: bytes = b""
    reason: str = ""


class _KilledError(Exception):
    """Somebody ended the child; it was not the picture."""


class _Child:
    """One process; of no use any more once it died, was interrupted or holds too much memory."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._owner = os.getpid()
        self._link, theirs = socket.socketpair()
        self._link.settimeout(WALL_SECONDS)
        config = {
            "path": [folder for folder in sys.path if os.path.isabs(folder)],
            "size": size,
            "cpu": CPU_SECONDS,
            "memory": MEMORY - _LIBRARIES,
            "parent": self._owner,
        }
        self._process: subprocess.Popen[bytes]
        try:
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", "-B", str(_CHILD), json.dumps(config)],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    env=os.environ | _ENVIRONMENT,
                    start_new_session=True,
                )
        except OSError as error:
            self._link.close()
            raise ImgindexError(f"the picture decoder cannot start: {error}") from error
        self._await_start()

    def _await_start(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as stderr:
            try:
                self._receive(REPLY.size)
            except BaseException as error:
                self.kill()
                if not isinstance(error, OSError):
                    raise
                words = stderr.read().decode(errors="replace").strip().splitlines()
                cause = words[-1] if words else f"no sign of life ({error})"
                raise ImgindexError(f"the picture decoder cannot start: {cause}") from error

    def usable(self) -> bool:
        # A process that forked has its parent's children, but must not talk to them.
        return self._owner == os.getpid() and self._link.fileno() >= 0 and self._process.poll() is None

    def ask(self, data: bytes) -> _Reply:
        try:
            self._link.sendall(REQUEST.pack(len(data)))
            self._link.sendall(data)
            return self._reply()
        except TimeoutError:
            self.kill()
            raise DecodingStoppedError(f"decoding takes longer than {WALL_SECONDS:g} seconds") from None
        except OSError:
            code = self.kill(dead=True)
            if code in (-signal.SIGKILL, -signal.SIGTERM, -signal.SIGHUP):
                raise _KilledError from None
            if code == -signal.SIGPROF:
                reason = f"decoding takes more than {CPU_SECONDS:g} seconds of processor time"
                raise DecodingStoppedError(reason) from None
            return _Reply(None, reason=_epitaph(code))
        except BaseException:  # interrupted between request and reply
            self.kill()
            raise

    def _reply(self) -> _Reply:
        readable, worn, width, height, length = REPLY.unpack(self._receive(REPLY.size))
        body = self._receive(length)
        if worn:
            self.kill()
        if not readable:
            return _Reply(None, reason=body.decode(errors="replace"))
        end = self._size**2 * 3
        pixels = np.frombuffer(body, np.uint8, end).reshape(self._size, self._size, 3)
        return _Reply(pixels, width, height, bytes(body[end : end + DIGEST]), bytes(body[end + DIGEST :]))

    def _receive(self, count: int) -> bytearray:
        buffer = bytearray(count)
        view, got = memoryview(buffer), 0
        while got < count:
            step = self._link.recv_into(view[got:])
            if not step:
                raise ConnectionResetError("it ended")
            got += step
        return buffer

    def kill(self, *, dead: bool = False) -> int:
        """End the process and return its exit code; `dead`: it ended by itself, and the code says why."""
        self._link.close()
        if self._owner != os.getpid():
            return 0
        try:
            return self._process.wait(1 if dead else 0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


def _epitaph(code: int) -> str:
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return f"the decoder crashed on it ({how})"


def _end(idle: "queue.LifoQueue[_Child | None]", workers: int) -> None:
    for _ in range(workers):
        try:
            child = idle.get(timeout=WALL_SECONDS)
        except queue.Empty:
            continue
        if child is not None:
            child.kill()
    for _ in range(workers):  # calls that waited their turn find the decoder closed
        idle.put(None)
