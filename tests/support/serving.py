"""Servers with the fake model: in this process, or by python -m tests.support.serving INDEX SECONDS_PER_BATCH."""

import faulthandler
import http.client
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from apiflask import APIFlask

from imgindex.server import create_app
from imgindex.server.settings import Settings
from tests.support.embedders import FakeEmbedder, SlowEmbedder

BOUNDARY = "a-boundary-that-no-picture-holds"


@contextmanager
def app_of(folder: Path, **settings: Any) -> Iterator[APIFlask]:
    """The service of an index of its own in a folder, without a port."""
    app = create_app({"INDEX": folder / "index", "EMBEDDER": FakeEmbedder(), **settings})
    try:
        yield app
    finally:
        app.extensions["imgindex"].close()


def bare_app(folder: Path, *modules: Any, **settings: Any) -> APIFlask:
    """An app with nothing but some modules of the server; no index is opened."""
    app = APIFlask("server", docs_path=None, spec_path=None)
    app.extensions["imgindex"] = SimpleNamespace(settings=Settings(folder, **settings))
    for module in modules:
        module.register(app)
    return app


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
    status, answer = ask(port, "POST", path, body, {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"})
    return status, json.loads(answer)


def get(port: int, path: str) -> tuple[int, bytes]:
    return ask(port, "GET", path)


def ask(port: int, method: str, path: str, body: bytes | None = None, headers: Any = ()) -> tuple[int, bytes]:
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
    serve(
        {"INDEX": Path(sys.argv[1]), "EMBEDDER": SlowEmbedder(float(sys.argv[2])), "PORT": 0},
        started=lambda address: print(address, flush=True),
    )
