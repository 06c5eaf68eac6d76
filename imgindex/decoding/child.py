"""The parent's side of a worker: one process, what it may take, and how it ended."""

import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from imgindex.decoding.protocol import LACKING, REPLY, SHUT_OUT, STARTED
from imgindex.decoding.sandbox import Sandbox
from imgindex.errors import DecodingStoppedError, ImgindexError

# What one picture may take. Measured for 100 megapixels in each format: tests/benchmarks/README.md, "Decoding".
CPU_SECONDS = 2.0  # most stay below; a TIFF in LZW takes 1.9 to 2.2, a noisy PNG of 174 MB 3.2
LOOK = 3  # as often that for a look at two: both are decoded, and compared
WALL_SECONDS = 30.0  # 15 times that: a busy machine refuses no picture, and none that hangs holds the others up
MEMORY = 1_000_000_000  # bytes; the hungriest, a TIFF in LZW, peaks at 824 MB

_LIBRARIES = 60_000_000  # part of MEMORY: pages of program files, which the kernel's limit on data leaves out
_MOST = 1_000_000  # bytes of an answer beside its pixels; facts and local features take 18 KB, a relation less
ABSURD = b"the decoder's answer makes no sense"  # of a child that a picture took over
_WORKER = Path(__file__).with_name("worker.py")
# What a picture can do to its decoder; every other signal is somebody else's doing, or a limit of the machine.
_FAULTS = (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT, signal.SIGTRAP, signal.SIGSYS)
# All that it is told of its surroundings: how libraries are found, what they must know of this processor, and how the
# names of files are spelled. No token, no folder of a person's.
_INHERITED = (
    *("LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_LIBRARY_PATH", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"),
    *("LC_ALL", "LC_CTYPE", "LANG"),
)
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
    """What a worker answers; a body that is no picture's is the reason for that."""

    readable: bool
    width: int
    height: int
    body: bytearray


class _ShutOutError(Exception):
    """In its sandbox the child cannot decode, on this machine."""


class KilledError(Exception):
    """Somebody ended the child, or the machine lacked something; it was not the picture."""


class Child:
    """One process; of no use any more once it died, was interrupted or holds too much memory."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._owner = os.getpid()
        for locks in (2, 1, 0):
            try:
                self.sandbox = self._start(locks)
                break
            except _ShutOutError as error:
                if not locks:
                    raise ImgindexError("the picture decoder cannot start: this system ends it") from error

    def _start(self, locks: int) -> Sandbox:
        """`locks`: how many it tries of Landlock and seccomp, the second of which more can keep from decoding."""
        self._link, theirs = socket.socketpair()
        self._link.settimeout(WALL_SECONDS)
        config = {
            "path": [folder for folder in sys.path if os.path.isabs(folder)],
            "size": self._size,
            "cpu": (CPU_SECONDS, LOOK * CPU_SECONDS),
            "memory": MEMORY - _LIBRARIES,
            "parent": self._owner,
            "locks": locks,
        }
        self._process: subprocess.Popen[bytes]
        try:
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", str(_WORKER), json.dumps(config)],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    env={name: os.environ[name] for name in _INHERITED if name in os.environ} | _ENVIRONMENT,
                    start_new_session=True,
                )
        except OSError as error:
            self._link.close()
            raise ImgindexError(f"the picture decoder cannot start: {error}") from error
        return self._await_start()

    def _await_start(self) -> Sandbox:
        assert self._process.stderr is not None
        with self._process.stderr as stderr:
            try:
                return Sandbox(*STARTED.unpack(self._receive(STARTED.size)))
            except BaseException as error:
                code = self.kill(dead=isinstance(error, ConnectionResetError))
                if not isinstance(error, OSError):
                    raise
                if code in (SHUT_OUT, -signal.SIGSYS):
                    raise _ShutOutError from error
                words = stderr.read().decode(errors="replace").strip().splitlines()
                cause = words[-1] if words else f"no sign of life ({error})"
                raise ImgindexError(f"the picture decoder cannot start: {cause}") from error

    def usable(self) -> bool:
        # A process that forked has its parent's children, but must not talk to them.
        return self._owner == os.getpid() and self._link.fileno() >= 0 and self._process.poll() is None

    def ask(self, *request: bytes, act: str, cpu: float) -> Reply:
        """Send the parts of a request, of an act that has so many seconds of processor time, and await the reply."""
        try:
            for part in request:
                self._link.sendall(part)
            return self._reply()
        except TimeoutError:
            self.kill()
            raise DecodingStoppedError(f"{act} takes longer than {WALL_SECONDS:g} seconds") from None
        except OSError:
            code = self.kill(dead=True)
            if code == LACKING or (code < 0 and -code not in (*_FAULTS, signal.SIGPROF)):
                raise KilledError from None
            if code == -signal.SIGPROF:
                raise DecodingStoppedError(f"{act} takes more than {cpu:g} seconds of processor time") from None
            return Reply(False, 0, 0, bytearray(_epitaph(code).encode()))
        except BaseException:  # interrupted between request and reply
            self.kill()
            raise

    def _reply(self) -> Reply:
        readable, worn, width, height, length = REPLY.unpack(self._receive(REPLY.size))
        if length > 3 * self._size**2 + _MOST:
            self.kill()
            return Reply(False, 0, 0, bytearray(ABSURD))
        body = self._receive(length)
        if worn or self._threads() > 1:  # a thread that code of a picture left would take the time of the next one
            self.kill()
        return Reply(bool(readable), width, height, body)

    def _threads(self) -> int:
        """How many it has, as the kernel counts them, for 5 microseconds; 1 where that is not told."""
        try:
            return os.stat(f"/proc/{self._process.pid}/task").st_nlink - 2
        except OSError:
            return 1

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


def decoder_sandbox() -> Sandbox:
    """How far decoding is shut in on this machine, as a child tells that is started to be asked.

    Raises ImgindexError where none can start.
    """
    child = Child(1)
    child.kill()
    return child.sandbox


def _epitaph(code: int) -> str:
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return f"the decoder crashed on it ({how})"
