"""The service over HTTP, in a process of its own: likeness at 100,000 images, uploads, a crowd, memory.

The vectors of the large index are synthetic, and what is uploaded to it passes an embedder that is always ready; the
uploads that are timed against the bare model pass VGG16.
"""

import http.client
import itertools
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import cv2
import numpy as np

from imgindex import ImageIndex
from imgindex.models.registry import load_embedder
from imgindex.server.run import serve
from tests.benchmarks.growing import DESCRIBED, DIMENSION, describe_all, filled
from tests.benchmarks.photos import photos, pixels
from tests.benchmarks.synthetic import ReadyEmbedder

COUNT = 100_000
ALONE, CROWD, CONNECTIONS, MANY = 500, 6_000, 16, 64
HELD, UPLOADS = 256, 30
MINUTES = 5
BOUNDARY = "a-boundary-that-no-picture-holds"

Ask = Callable[[http.client.HTTPConnection], int]  # sends one request and gives the status


def rows() -> Iterator[tuple[str, ...]]:
    yield _uploads()
    with tempfile.TemporaryDirectory() as folder:
        with filled(Path(folder), COUNT, describe_all(photos()[:DESCRIBED])) as index:
            index.similar(1)
        with _serving(folder, "ready") as (server, port):
            yield from _likeness(port)
            yield _crowd(port)
            yield _memory(server, port)


def _likeness(port: int) -> Iterator[tuple[str, ...]]:
    what = f"GET similar at {COUNT:,} images of {DIMENSION:,} numbers"
    _load(port, 1, 50, _similar)
    taken, _, _ = _load(port, 1, ALONE, _similar)
    yield f"{what}, one connection: p50", f"{median(taken):.1f} ms", "<= 10 ms"
    taken, seconds, statuses = _load(port, CONNECTIONS, CROWD, _similar)
    late = np.quantile(taken, 0.95)
    yield (
        f"{what}, {CONNECTIONS} connections",
        f"{len(taken) / seconds:.0f} a second, p95 {late:.0f} ms ({_answers(statuses)})",
        ">= 300, <= 100 ms",
    )


def _crowd(port: int) -> tuple[str, ...]:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    status, headers, _ = _ask(connection, "POST", "/api/v1/clusters/runs", b"{}", "application/json")
    assert status == 202, status
    began, state = time.monotonic(), "running"
    taken: list[float] = []
    statuses: Counter[int] = Counter()
    while state == "running":
        some, _, seen = _load(port, MANY, 20 * MANY, _mixed(20))
        taken += some
        statuses += seen
        state = json.loads(_ask(connection, "GET", headers["Location"])[2])["state"]
    return (
        f"{MANY} connections (1 request in 20 uploads) during a recluster of {COUNT:,} images",
        f"{_answers(statuses)}; p95 {np.quantile(taken, 0.95):.0f} ms; {state} in {time.monotonic() - began:.0f} s",
        "no 5xx but 503",
    )


def _memory(server: "subprocess.Popen[str]", port: int) -> tuple[str, ...]:
    mixed, sizes = _mixed(50), []
    for _ in range(MINUTES + 1):
        began = time.monotonic()
        while time.monotonic() - began < 60:
            _load(port, CONNECTIONS, 500, mixed)
        sizes.append(_megabytes(server.pid))
    return (
        f"memory after {MINUTES} minutes of {CONNECTIONS} connections (1 request in 50 uploads), one to warm up",
        f"{100 * (sizes[-1] / sizes[0] - 1):+.1f}% ({', '.join(f'{size:.0f}' for size in sizes)} MB)",
        "< 5%",
    )


def _uploads() -> tuple[str, ...]:
    paths = photos()
    embedder = load_embedder("vgg16-gem")
    one = pixels(paths[:1])
    with tempfile.TemporaryDirectory() as folder:
        with ImageIndex(folder, embedder=embedder) as index:
            index.add(paths[:HELD])
            index.duplicates.prove()
        bare, uploaded = [], []
        with _serving(folder, "vgg16-gem") as (_, port):
            connection = http.client.HTTPConnection("127.0.0.1", port)
            for path in paths[HELD : HELD + UPLOADS + 2]:  # alternating, as machines are noisy
                data = path.read_bytes()
                bare.append(_milliseconds(lambda: embedder.embed(one)))
                uploaded.append(_milliseconds(lambda data=data: _post(connection, data)))
    return (
        f"POST of one image, answered with its copies, median of {UPLOADS}",
        f"{median(uploaded[2:]):.0f} ms (bare {median(bare[2:]):.0f} ms)",
        f"<= bare + 60 = {median(bare[2:]) + 60:.0f} ms",
    )


# The server's process


@contextmanager
def _serving(folder: str, model: str) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    command = [sys.executable, "-m", "tests.benchmarks.serving", folder, model]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline().rsplit(":", 1)[1])
            while _ask(http.client.HTTPConnection("127.0.0.1", port), "GET", "/ready")[0] != 200:
                time.sleep(0.2)
            yield server, port
        finally:
            server.terminate()


def _serve(folder: str, model: str) -> None:
    config = {"EMBEDDER": ReadyEmbedder(DIMENSION)} if model == "ready" else {"MODEL": model}
    serve({"INDEX": Path(folder), "PORT": 0, **config}, started=lambda address: print(address, flush=True))


def _megabytes(process: int) -> float:
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * 4096 / 1e6


# Its clients


def _load(port: int, connections: int, requests: int, ask: Ask) -> tuple[list[float], float, Counter[int]]:
    """Milliseconds of each request, seconds of all, and how often each status came."""
    left, lock = iter(range(requests)), threading.Lock()
    taken: list[float] = []
    statuses: Counter[int] = Counter()

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        while True:
            with lock:
                if next(left, None) is None:
                    return connection.close()
            began = time.perf_counter()
            status = ask(connection)
            with lock:
                taken.append((time.perf_counter() - began) * 1000)
                statuses[status] += 1

    began = time.perf_counter()
    with ThreadPoolExecutor(connections) as threads:
        for done in [threads.submit(client) for _ in range(connections)]:
            done.result()
    return taken, time.perf_counter() - began, statuses


_random = np.random.default_rng(1)


def _similar(connection: http.client.HTTPConnection) -> int:
    return _ask(connection, "GET", f"/api/v1/images/{_random.integers(1, COUNT)}/similar?k=10")[0]


def _mixed(uploads: int) -> Ask:
    """One request in so many is the upload of a new picture."""
    number = itertools.count()

    def ask(connection: http.client.HTTPConnection) -> int:
        if next(number) % uploads:
            return _similar(connection)
        noise = cv2.resize(_random.integers(0, 256, (24, 32, 3), np.uint8), (640, 480), interpolation=cv2.INTER_CUBIC)
        return _post(connection, cv2.imencode(".jpg", noise)[1].tobytes())

    return ask


def _post(connection: http.client.HTTPConnection, picture: bytes) -> int:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
    body = head.encode() + picture + f"\r\n--{BOUNDARY}--\r\n".encode()
    return _ask(connection, "POST", "/api/v1/images", body, f"multipart/form-data; boundary={BOUNDARY}")[0]


def _ask(
    connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None = None, kind: str = ""
) -> tuple[int, http.client.HTTPMessage, bytes]:
    connection.request(method, path, body, {"Content-Type": kind} if kind else {})
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read()


def _answers(statuses: Counter[int]) -> str:
    return ", ".join(f"{count:,} x {status}" for status, count in sorted(statuses.items()))


def _milliseconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    _serve(*sys.argv[1:])
