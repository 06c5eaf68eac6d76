"""A server of its own, with the fake model: python -m tests.support.serving INDEX SECONDS_A_BATCH_TAKES."""

import faulthandler
import http.client
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.conftest import FakeEmbedder

BOUNDARY = "a-boundary-that-no-picture-holds"


class SlowEmbedder(FakeEmbedder):
    seconds = 0.0

    def embed(self, pixels):
        time.sleep(self.seconds)
        return super().embed(pixels)


@contextmanager
def served(index: Path, seconds: float = 0) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """The process, which leads a group of its own, and its port."""
    command = [sys.executable, "-m", "tests.support.serving", str(index), str(seconds)]
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root, start_new_session=True) as server:
        try:
            assert server.stdout is not None
            yield server, int(server.stdout.readline().rsplit(":", 1)[1])
        finally:
            server.kill()


def post(port: int, path: str, *files: bytes, field: str = "file", name: str = "a") -> tuple[int, Any]:
    """Upload files; the status and the JSON that came."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n\r\n'.encode()
    body = b"".join(head + data + b"\r\n" for data in files) + f"--{BOUNDARY}--\r\n".encode()
    status, answer = _ask(port, "POST", path, body, {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"})
    return status, json.loads(answer)


def get(port: int, path: str) -> tuple[int, bytes]:
    return _ask(port, "GET", path)


def _ask(port: int, method: str, path: str, body: bytes | None = None, headers: Any = ()) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body, dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


if __name__ == "__main__":
    from imgindex.server.run import serve

    faulthandler.register(signal.SIGUSR1)  # tells where each thread is
    SlowEmbedder.seconds = float(sys.argv[2])
    serve(
        {"INDEX": Path(sys.argv[1]), "EMBEDDER": SlowEmbedder(), "PORT": 0},
        started=lambda address: print(address, flush=True),
    )
