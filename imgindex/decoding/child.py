"""One guarded process that decodes pictures, and what it may take."""

import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imgindex.decoding.protocol import DIGEST, REPLY, REQUEST
from imgindex.errors import DecodingStoppedError, ImgindexError
from imgindex.types import Pixels

# What one picture may take. Measured for 100 megapixels in each format: tests/benchmarks/README.md, "Decoding".
CPU_SECONDS = 2.0  # JPEG, BMP, WebP and most PNG stay below; a noisy PNG of 174 MB takes 3.2
WALL_SECONDS = 30.0  # 15 times that: a busy machine refuses no picture, and none that hangs holds the others up
MEMORY = 1_000_000_000  # bytes; the hungriest, a TIFF in LZW, peaks at 824 MB

_LIBRARIES = 60_000_000  # part of MEMORY: pages of program files, which the kernel's limit on data leaves out
_WORKER = Path(__file__).with_name("worker.py")
_ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "OPENCV_LOG_LEVEL": "SILENT",
    # What one picture took and gave back is kept for the next, not cleared by the kernel again.
    "MALLOC_MMAP_THRESHOLD_": "4194304",
    "MALLOC_TRIM_THRESHOLD_": "67108864",
    "NUMPY_MADVISE_HUGEPAGE": "0",  # clearing huge pages can cost a second of a large picture's two
}


@dataclass(frozen=True)
class Reply:
    """What a process says of a picture; no pixels: `reason` says why."""

    pixels: Pixels | None
    width: int = 0
    height: int = 0
    digest: bytes = b""
    description: bytes = b""
    reason: str = ""


class KilledError(Exception):
    """Somebody ended the child; it was not the picture."""


class Child:
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
                    [sys.executable, "-I", "-S", "-B", str(_WORKER), json.dumps(config)],
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
        """Whether it can be asked again."""
        # A process that forked has its parent's children, but must not talk to them.
        return self._owner == os.getpid() and self._link.fileno() >= 0 and self._process.poll() is None

    def ask(self, data: bytes) -> Reply:
        """Decode a file's bytes. Raises KilledError and DecodingStoppedError."""
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
                raise KilledError from None
            if code == -signal.SIGPROF:
                reason = f"decoding takes more than {CPU_SECONDS:g} seconds of processor time"
                raise DecodingStoppedError(reason) from None
            return Reply(None, reason=_epitaph(code))
        except BaseException:  # interrupted between request and reply
            self.kill()
            raise

    def _reply(self) -> Reply:
        readable, worn, width, height, length = REPLY.unpack(self._receive(REPLY.size))
        body = self._receive(length)
        if worn:
            self.kill()
        if not readable:
            return Reply(None, reason=body.decode(errors="replace"))
        end = self._size**2 * 3
        pixels = np.frombuffer(body, np.uint8, end).reshape(self._size, self._size, 3)
        return Reply(pixels, width, height, bytes(body[end : end + DIGEST]), bytes(body[end + DIGEST :]))

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
