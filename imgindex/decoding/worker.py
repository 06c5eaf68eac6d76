"""The process that decodes: bytes in over one socket (its stdin), upright RGB pixels, facts and local features out.

`decoder` starts it as a plain script. Whatever a picture does to it, crash, spin or swell, ends this process alone;
and where it makes it run code of its own, that is shut in: `sandbox`.

What it reads and writes is told in `protocol`.
"""

import json
import math
import mmap
import os
import resource
import select
import signal
import socket
import sys
import types

if __name__ == "__main__":
    # Started with -I -S, which leave out every folder of packages; these are the parent's own. And imgindex without
    # its __init__, which would import all of it.
    sys.path[:] = json.loads(sys.argv[1])["path"]
    sys.modules["imgindex"] = types.ModuleType("imgindex")
    sys.modules["imgindex"].__path__ = [os.path.dirname(os.path.dirname(__file__))]

import cv2  # the parent reads what a failing import says from stderr
import numpy as np

from imgindex.decoding import libraries, sandbox
from imgindex.decoding.inspection import facts_of
from imgindex.decoding.local_features import describe
from imgindex.decoding.looks import Looks, View
from imgindex.decoding.protocol import FACTS, LACKING, REPLY, REQUEST, SHUT_OUT, STARTED, TRANSFORM
from imgindex.decoding.reading import File, Unreadable, decode

_DESCRIBED = 200_000  # pixels; local features are looked for in less than a quarter of them
_SMALLEST = math.ceil(_DESCRIBED**0.5 / 2)  # of a JPEG's sides twice this is kept at least, which is _DESCRIBED pixels
_WORN = 200_000_000  # bytes still held between pictures that make a fresh process the better choice
_REFUSALS = (Unreadable, MemoryError, cv2.error)

_ROOM = 200_000_000  # bytes that a picture which is refused must not have lacked; most take less

Answer = tuple[bool, int, int, bytes]  # readable, width, height, body


class _Inbox:
    """Files from the socket, one at a time, in memory that counts."""

    def __init__(self, link: socket.socket, memory: int) -> None:
        self._link, self._memory = link, memory
        self._file, self._errors = os.memfd_create("picture"), os.memfd_create("errors")
        self._name = f"/proc/self/fd/{self._file}"
        os.dup2(self._errors, 2)  # libraries print, and some say what is damaged

    def opens(self) -> bool:
        """Whether a library can read what is in it."""
        os.write(self._file, cv2.imencode(".png", np.zeros((1, 1, 3), np.uint8))[1].tobytes())
        return cv2.imread(self._name) is not None

    def read(self, into: memoryview) -> None:
        """Fill it; raises EOFError where the parent is gone."""
        got = 0
        while got < len(into):
            step = self._link.recv_into(into[got:], flags=socket.MSG_WAITALL)
            if not step:
                raise EOFError
            got += step

    def take(self, length: int) -> File:
        """The next file; the one before must not be used any more."""
        self.clear()
        # The inbox is memory too, though the kernel does not count it as data.
        resource.setrlimit(resource.RLIMIT_DATA, (self._memory - length, self._memory))
        os.ftruncate(self._file, length)
        data = np.frombuffer(mmap.mmap(self._file, length), np.uint8)
        self.read(data.data)
        return File(data, self._name, self._errors)

    def clear(self) -> None:
        """Give the memory back."""
        os.ftruncate(self._file, 0)


def _decoded(file: File, size: int) -> Answer:
    try:
        picture = decode(file, max(size, _SMALLEST))
        facts = facts_of(file.data.data, picture).to_json().encode()
        body = [picture.rgb(size, size).tobytes(), picture.digest(), FACTS.pack(len(facts)), facts]
        return True, *picture.size, b"".join([*body, describe(picture.shrunk(pixels=_DESCRIBED))])
    except _REFUSALS as error:
        return False, 0, 0, _reason(error).encode()


def _compared(inbox: _Inbox, looks: Looks, lengths: tuple[int, int]) -> Answer:
    packed = bytearray(TRANSFORM.size)
    inbox.read(memoryview(packed))
    views: list[View] = []
    refused = ""
    for name, length in zip(("first", "second"), lengths, strict=True):
        file = inbox.take(length)
        try:
            if not refused:  # else the second is only taken from the socket
                views.append(looks.view(file, on_black=views[0].on_black if views else None))
        except _REFUSALS as error:
            refused = f"the {name} of the two: {_reason(error)}"
        del file
    if refused:
        return False, 0, 0, refused.encode()
    try:
        return True, 0, 0, looks.compare(views[0], views[1], TRANSFORM.unpack(packed))
    except _REFUSALS as error:
        return False, 0, 0, _reason(error).encode()


def _reason(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "it needs more memory than a picture may use"
    if not isinstance(error, cv2.error):
        return str(error)
    if error.code == cv2.Error.StsNoMem:
        return "it needs more memory than a picture may use"
    if "CV_IO_MAX_IMAGE" in error.err:
        return "it claims more pixels than a picture may have"
    return f"OpenCV refuses it: {' '.join(str(error.err).split())}"


def _has_room() -> bool:
    """Whether there is memory now: libraries say that data is damaged where they get none."""
    try:
        mmap.mmap(-1, _ROOM, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
    except OSError:
        return False
    return True


class _Resident:
    """How much memory this process holds, as the kernel keeps telling in a file that was opened in time."""

    def __init__(self) -> None:
        self._statm = os.open("/proc/self/statm", os.O_RDONLY)

    def __call__(self) -> int:
        return int(os.pread(self._statm, 256, 0).split()[1]) * resource.getpagesize()


def _shut_in(inbox: _Inbox, locks: int) -> sandbox.Sandbox:
    walls = sandbox.enter(calls=locks > 1)
    if not inbox.opens():  # no picture is at fault for that
        sys.exit(SHUT_OUT)
    return walls


def serve(link: socket.socket, *, size: int, cpu: tuple[float, float], memory: int, parent: int, locks: int) -> None:
    """Answer until the parent is gone. `cpu`: seconds for a picture, and for a look at two. `locks`: see `child`."""
    waiting = select.poll()
    waiting.register(link, select.POLLIN)
    inbox, looks, resident = _Inbox(link, memory), Looks(), _Resident()
    header = bytearray(REQUEST.size)
    walls = _shut_in(inbox, locks) if locks else sandbox.Sandbox(files=False, calls=False)
    link.sendall(STARTED.pack(walls.files, walls.calls))
    while True:
        # The end of the stream says so too, unless a fork of the parent still holds the socket.
        while not waiting.poll(5000):
            if os.getppid() != parent:
                return
        inbox.read(memoryview(header))
        length, second = REQUEST.unpack(header)
        signal.setitimer(signal.ITIMER_PROF, cpu[bool(second)])  # its signal ends the process, whatever a library is at
        if second:
            readable, width, height, body = _compared(inbox, looks, (length, second))
        else:
            readable, width, height, body = _decoded(inbox.take(length), size)
        inbox.clear()
        signal.setitimer(signal.ITIMER_PROF, 0)
        if not (readable or _has_room()):
            sys.exit(LACKING)
        link.sendall(REPLY.pack(readable, resident() > _WORN, width, height, len(body)))
        link.sendall(body)


def main() -> None:
    """Take on the limits and serve."""
    config = json.loads(sys.argv[1])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    libraries.load()
    link = socket.socket(fileno=os.dup(0))
    silence = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):  # libraries print
        os.dup2(silence, stream)
    cv2.setNumThreads(1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (config["memory"],) * 2)  # of memory files, which do not count as memory
    del config["path"]
    try:
        serve(link, **config)
    except EOFError:  # the parent is gone, and nobody is left to tell
        return
    except (OSError, MemoryError) as error:
        if isinstance(error, OSError) and error.errno is None:  # a library's word for what it read
            raise
        sys.exit(LACKING)


if __name__ == "__main__":
    main()
