"""The process that decodes: bytes in over one socket (its stdin), upright RGB pixels and local features out.

`decoder` starts it as a plain script. Whatever a picture does to it, crash, spin or swell, ends this process alone.

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

from imgindex.decoding.local_features import describe
from imgindex.decoding.picture import File, Picture, Unreadable, decode
from imgindex.decoding.protocol import REPLY, REQUEST
from imgindex.types import Pixels

_DESCRIBED = 200_000  # pixels; local features are looked for in less than a quarter of them
_SMALLEST = math.ceil(_DESCRIBED**0.5 / 2)  # of a JPEG's sides twice this is kept at least, which is _DESCRIBED pixels
_WORN = 200_000_000  # bytes still held between pictures that make a fresh process the better choice


def _answer(file: File, size: int) -> tuple[int, int, bytes | memoryview]:
    """Width, height and pixels; or zeros and the reason."""
    try:
        picture = decode(file, max(size, _SMALLEST))
        return *picture.size, picture.rgb(size, size).tobytes() + picture.digest() + describe(_seen(picture))
    except Unreadable as reason:
        return 0, 0, str(reason).encode()
    except MemoryError:
        return 0, 0, b"it needs more memory than a picture may use"
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            return 0, 0, b"it needs more memory than a picture may use"
        if "CV_IO_MAX_IMAGE" in error.err:
            return 0, 0, b"it claims more pixels than a picture may have"
        return 0, 0, f"OpenCV refuses it: {' '.join(str(error.err).split())}".encode()


def _seen(picture: Picture) -> Pixels:
    """The picture in its own shape, with no more pixels than local features are worth."""
    width, height = picture.size
    factor = min(1.0, (_DESCRIBED / (width * height)) ** 0.5)
    return picture.rgb(max(1, round(width * factor)), max(1, round(height * factor)))


def _receive(link: socket.socket, into: memoryview) -> bool:
    got = 0
    while got < len(into):
        step = link.recv_into(into[got:], flags=socket.MSG_WAITALL)
        if not step:
            return False
        got += step
    return True


def _resident() -> int:
    with open("/proc/self/statm", "rb") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


def serve(link: socket.socket, *, size: int, cpu: float, memory: int, parent: int) -> None:
    """Answer requests until the parent is gone."""
    waiting = select.poll()
    waiting.register(link, select.POLLIN)
    inbox = os.memfd_create("picture")
    header = bytearray(REQUEST.size)
    link.sendall(REPLY.pack(1, 0, 0, 0, 0))
    while True:
        # The end of the stream says so too, unless a fork of the parent still holds the socket.
        while not waiting.poll(5000):
            if os.getppid() != parent:
                return
        signal.setitimer(signal.ITIMER_PROF, cpu)  # its signal ends the process, whatever a library is at
        if not _receive(link, memoryview(header)):
            return
        (length,) = REQUEST.unpack(header)
        # The inbox is memory too, though the kernel does not count it as data.
        resource.setrlimit(resource.RLIMIT_DATA, (memory - length, memory))
        os.ftruncate(inbox, length)
        file = File(np.frombuffer(mmap.mmap(inbox, length), np.uint8), f"/proc/self/fd/{inbox}")
        if not _receive(link, file.data.data):
            return
        width, height, body = _answer(file, size)
        del file
        os.ftruncate(inbox, 0)
        signal.setitimer(signal.ITIMER_PROF, 0)
        link.sendall(REPLY.pack(width > 0, _resident() > _WORN, width, height, len(body)))
        link.sendall(body)


def main() -> None:
    """Take on the limits and serve."""
    config = json.loads(sys.argv[1])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    link = socket.socket(fileno=os.dup(0))
    silence = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):  # libraries print
        os.dup2(silence, stream)
    cv2.setNumThreads(1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    del config["path"]
    serve(link, **config)


if __name__ == "__main__":
    main()
