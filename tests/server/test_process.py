"""The server as a process: started, asked, stopped, killed."""

import contextlib
import hashlib
import http.client
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from imgindex import ImageIndex
from imgindex.server import run
from tests.conftest import write_picture
from tests.support.embedders import FakeEmbedder
from tests.support.serving import get, post, served

PROGRAM = Path(sys.executable).parent / "imgindex"
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_it_starts_says_where_and_ends_when_asked(tmp_path, ending):
    with ImageIndex(tmp_path / "index", embedder=FakeEmbedder()):
        pass
    command = [PROGRAM, "serve", "--port", "0", "--index", tmp_path / "index"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        line = server.stderr.readline()
        assert line.startswith(f"Serving {tmp_path}/index at http://127.0.0.1:")
        port = int(line.split(",")[0].rsplit(":", 1)[1])
        assert get(port, "/health")[0] == 200
        server.send_signal(ending)
        out, err = server.communicate(timeout=30)
    assert server.returncode == 0
    assert err == ""
    request = json.loads(out.splitlines()[0])
    assert (request["path"], request["status"]) == ("/health", 200)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--host", "0.0.0.0"], "token"),
        (["--host", "no.such.host.invalid"], "no.such.host.invalid"),
        (["--recluster", "often"], '"often" is not a valid schedule'),
        (["--sync", "0 0 0 0"], '"0 0 0 0" is not a valid schedule'),
        (["--token", "short"], "token"),
        (["--tokens", "nowhere.txt"], "nowhere.txt"),
    ],
)
def test_what_cannot_be_served_is_refused_in_a_sentence(tmp_path, options, sentence):
    command = [PROGRAM, "serve", "--port", "0", "--index", tmp_path / "index", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr


def test_a_port_that_is_taken_is_named(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [PROGRAM, "serve", "--port", str(port), "--index", tmp_path / "index"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr
    assert done.stderr.count("\n") == 1


def test_what_was_acknowledged_is_there_after_kill_9(tmp_path):
    random.seed(5)
    acknowledged: dict[int, str] = {}
    for round_ in range(8):
        with served(tmp_path / "index", seconds=0.02) as (server, port):
            for image, sha256 in acknowledged.items():
                status, body = get(port, f"/api/v1/images/{image}/file")
                assert (status, hashlib.sha256(body).hexdigest()) == (200, sha256)
            uploaders = [
                threading.Thread(target=upload, args=(tmp_path, port, acknowledged, 10 * round_ + n)) for n in range(6)
            ]
            before = len(acknowledged)
            for uploader in uploaders:
                uploader.start()
            while len(acknowledged) < before + 12:
                time.sleep(0.005)
            time.sleep(random.uniform(0, 0.2))
            os.killpg(server.pid, signal.SIGKILL)
            for uploader in uploaders:
                uploader.join()
        with ImageIndex(tmp_path / "index", embedder=FakeEmbedder()) as index:
            assert index.check() == []
            assert {image: index.images.get(image).sha256.hex() for image in acknowledged} == acknowledged
    assert len(acknowledged) >= 96


def upload(folder: Path, port: int, acknowledged: dict[int, str], seed: int) -> None:
    """Upload new pictures until the server is killed."""
    for number in range(1_000):
        data = write_picture(folder / f"{seed}-{number}.png", 1_000 * seed + number).read_bytes()
        try:
            status, answer = post(port, "/api/v1/images", data)
        except (OSError, http.client.HTTPException):
            return
        assert status == 201, answer
        acknowledged[answer["images"][0]["id"]] = hashlib.sha256(data).hexdigest()


def test_who_reads_does_not_wait_for_uploads(tmp_path):
    pictures = [write_picture(tmp_path / f"{seed}.png", seed).read_bytes() for seed in range(48)]
    with served(tmp_path / "index", seconds=1) as (_, port), ThreadPoolExecutor(48) as clients:
        uploads = [clients.submit(post, port, "/api/v1/images", data) for data in pictures]
        time.sleep(0.3)
        taken = []
        while not all(upload.done() for upload in uploads):
            began = time.monotonic()
            assert get(port, "/health")[0] == 200
            taken.append(time.monotonic() - began)
        answers = [upload.result() for upload in uploads]
    assert max(taken) < 0.8  # a batch takes a second
    assert {status for status, _ in answers} == {201, 503}
    busy = [problem["detail"] for status, problem in answers if status == 503]
    assert set(busy) == {"Too many uploads at once; try again in 2 s."}


def test_what_is_no_http_is_answered_as_a_problem(tmp_path):
    command = [PROGRAM, "serve", "--port", "0", "--index", tmp_path / "index"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stderr is not None
        port = int(server.stderr.readline().split(",")[0].rsplit(":", 1)[1])
        for request, status, method, path, words in (
            (b"nonsense\r\n\r\n", 400, None, None, "Malformed HTTP request"),
            (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 300_000 + b"\r\n\r\n", 431, None, None, "headers"),
            (
                b"POST /api/v1/images HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999999999\r\n\r\n",
                413,
                "POST",
                "/api/v1/images",
                "larger",
            ),
            (
                b"POST /api/v1/images HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -5\r\n\r\n",
                400,
                "POST",
                "/api/v1/images",
                "Malformed HTTP request",
            ),
            (
                b"POST /api/v1/images HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                400,
                "POST",
                "/api/v1/images",
                "Malformed HTTP request",
            ),
            (
                b"POST /a%C3%A4 HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: gzip\r\n\r\n",
                501,
                "POST",
                "/aä",
                "Transfer-Encoding",
            ),
        ):
            with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
                client.sendall(request)
                answer = http.client.HTTPResponse(client)
                answer.begin()
                problem = json.loads(answer.read())
            assert (answer.status, problem["status"]) == (status, status), request[:50]
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert words in problem["detail"]
            assert re.fullmatch(r"[A-Z].*[a-z]\.", problem["detail"])
            line = json.loads(server.stdout.readline())
            assert set(line) == {"time", "id", "client", "method", "path", "status", "milliseconds", "bytes"}
            assert (line["client"], line["status"], line["id"]) == ("127.0.0.1", status, answer.headers["X-Request-ID"])
            assert (line["method"], line["path"]) == (method, path)
        assert get(port, "/health")[0] == 200
        server.kill()


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="needs SIGHUP")
@pytest.mark.parametrize("ignored", [True, False])
def test_a_terminal_that_closes_ends_a_server_unless_nohup_started_it(monkeypatch, ignored):
    there, reloads = [True], []
    before = {one: signal.getsignal(one) for one in (signal.SIGHUP, *run.ENDINGS)}
    monkeypatch.setattr(run, "_has_terminal", lambda: there[0])
    try:
        signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)
        handle = run._hang_up(SimpleNamespace(reload=lambda: reloads.append(1)))
        there[0] = False
        with contextlib.nullcontext() if ignored else pytest.raises(KeyboardInterrupt):
            handle(signal.SIGHUP, None)
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
    assert reloads == [1] * ignored
