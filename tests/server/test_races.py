"""The server and everybody who changes the same index at the same moment; and its end in the middle of that."""

import hashlib
import http.client
import json
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np
import pytest

from imgindex import ImageIndex, StorageError
from imgindex.server import scheduler as schedules
from imgindex.server.batcher import Batcher
from imgindex.server.cache import Cache
from imgindex.server.errors import OverloadedError
from imgindex.server.scheduler import Scheduler
from imgindex.server.service import Service
from imgindex.server.settings import Settings
from tests.conftest import write_picture
from tests.support.embedders import FakeEmbedder, GatedEmbedder
from tests.support.serving import ask, get, post, served


@pytest.fixture
def service(tmp_path, embedder):
    service = Service(Settings(tmp_path / "index", embedder=embedder))
    yield service
    service.close()


def tiles(folder: Path, *seeds: int) -> list[bytes]:
    return [write_picture(folder / f"{seed}.png", seed).read_bytes() for seed in seeds]


def together(jobs: list[Callable[[], object]]) -> list[object]:
    with ThreadPoolExecutor(len(jobs)) as threads:
        return [job.result() for job in [threads.submit(job) for job in jobs]]


def files(index: Path, *, synced: bool = False) -> tuple[set[str], set[str]]:
    """Those recorded among the uploads, and those on the disk."""
    with ImageIndex(index, embedder=FakeEmbedder()) as opened:
        if synced:
            assert opened.sync().failed == []
        assert opened.check(full=True) == []
        recorded = {path for entry in opened.images.list(limit=10_000) for path in entry.paths}
    own = str(index / "uploads")
    return {path for path in recorded if path.startswith(own)}, {f"{own}/{name}" for name in os.listdir(own)}


# The same bytes


def test_the_same_bytes_at_once_are_one_image_and_new_once(tmp_path):
    with served(tmp_path / "index") as (_, port):
        for (data,) in (tiles(tmp_path, seed) for seed in range(5)):
            got = together([lambda data=data: post(port, "/api/v1/images", data)] * 16)
            assert len({answer["images"][0]["id"] for _, answer in got}) == 1
            assert sorted(status for status, _ in got) == [200] * 15 + [201]
            assert [answer["images"][0]["new"] for _, answer in got].count(True) == 1
    recorded, there = files(tmp_path / "index")
    assert recorded == there
    assert len(there) == 5


def test_an_upload_beside_removals_of_the_same_bytes_is_never_refused(tmp_path):
    (data,) = tiles(tmp_path, 1)
    statuses: Counter[tuple[str, int]] = Counter()
    with served(tmp_path / "index") as (_, port):
        stop = time.monotonic() + 1.5

        def upload() -> None:
            while time.monotonic() < stop:
                status, answer = post(port, "/api/v1/images", data)
                statuses["upload", status] += 1
                assert status in (200, 201, 429), answer

        def forget() -> None:
            while time.monotonic() < stop:
                for image in json.loads(get(port, "/api/v1/images?limit=1")[1])["images"]:
                    statuses["forget", ask(port, "DELETE", f"/api/v1/images/{image['id']}")[0]] += 1

        together([upload, upload, upload, forget, forget])
        assert {status for who, status in statuses if who == "forget"} <= {204, 404, 429}
        assert statuses["upload", 201] > 10
        assert statuses["forget", 204] > 10
        while (got := post(port, "/api/v1/images", data))[0] == 429:
            time.sleep(0.2)
        assert get(port, f"/api/v1/images/{got[1]['images'][0]['id']}/file") == (200, data)
    recorded, there = files(tmp_path / "index")
    assert recorded == there
    assert len(there) == 1


def test_known_bytes_that_are_forgotten_before_the_answer_are_new_again(service, tmp_path, monkeypatch):
    (data,) = tiles(tmp_path, 1)
    (first,) = service.upload([data])
    receive = service.index.uploads.decode

    def slow(data):
        monkeypatch.setattr(service.index.uploads, "decode", receive)
        received = receive(data)
        service.forget(first.image)
        return received

    monkeypatch.setattr(service.index.uploads, "decode", slow)
    (again,) = service.upload([data])
    assert again.new
    assert again.image != first.image
    assert Path(service.index.images.original(again.image).path).read_bytes() == data


def test_what_is_forgotten_before_the_answer_was_kept(service, tmp_path, monkeypatch):
    (data,) = tiles(tmp_path, 1)
    entry = service.index.images.get

    def late(image):
        monkeypatch.setattr(service.index.images, "get", entry)
        service.forget(image)
        return entry(image)

    monkeypatch.setattr(service.index.images, "get", late)
    (one, same) = service.upload([data, data])
    assert (one.image, one.new, one.near, same.new) == (1, True, (), False)
    assert not list((tmp_path / "index" / "uploads").iterdir())


def test_a_removal_deletes_no_file_that_came_meanwhile(service, tmp_path, monkeypatch):
    (data,) = tiles(tmp_path, 1)
    (first,) = service.upload([data])
    drop = service.index.uploads.drop

    def slow(paths):  # forgotten, not yet deleted
        monkeypatch.setattr(service.index.uploads, "drop", drop)
        uploaded.extend(service.upload([data]))
        drop(paths)

    uploaded: list[object] = []
    monkeypatch.setattr(service.index.uploads, "drop", slow)
    service.forget(first.image)
    assert uploaded[0].new
    assert Path(service.index.images.original(uploaded[0].image).path).read_bytes() == data


def test_two_servers_that_keep_the_same_bytes_keep_one_file(service, tmp_path, embedder):
    """The slower one must not replace a file that is recorded: its time would be another."""
    (data,) = tiles(tmp_path, 1)
    received = service.index.uploads.decode(data)
    with ImageIndex(tmp_path / "index", embedder=FakeEmbedder()) as other:
        ((image, new),) = other.uploads.add([other.uploads.decode(data)], embedder.embed(received.decoded.pixels[None]))
    assert new
    assert service.index.uploads.add([received], service.index.uploads.embed([received])) == [(image, False)]
    assert service.index.images.original(image).media_type == "image/png"
    assert len(os.listdir(tmp_path / "index" / "uploads")) == 1


# Commands and clients beside it


def picture(seed: int, quality: int = 0) -> bytes:
    """With local features, so that a JPEG of it is proven to be a copy."""
    rng = np.random.default_rng(seed)
    coarse = cv2.resize(rng.integers(0, 200, (4, 4, 3), np.uint8), (96, 96), interpolation=cv2.INTER_NEAREST)
    fine = cv2.resize(rng.integers(0, 55, (24, 24, 3), np.uint8), (96, 96), interpolation=cv2.INTER_NEAREST)
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if quality else []
    return cv2.imencode(".jpg" if quality else ".png", coarse + fine, options)[1].tobytes()


class Client:
    """Asks for everything, at random, until told to stop."""

    def __init__(self, port: int, seed: int, pool: list[bytes]) -> None:
        self.statuses: Counter[tuple[str, int]] = Counter()
        self._port, self._chance, self._pool, self._ids = port, random.Random(seed), pool, [1]

    def run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            begun = time.monotonic()
            self._ask(self._chance.choice(self._ids))
            assert time.monotonic() - begun < 30

    def _ask(self, image: int) -> None:
        kind, path, body = self._chance.choice(
            [
                ("UPLOAD", "images", None), ("UPLOAD", "images", None), ("UPLOAD", "similar", None),
                ("GET", f"images/{image}/similar", None), ("GET", f"images/{image}/thumbnail", None),
                ("GET", f"images/{image}/file", None), ("DELETE", f"images/{image}", None),
                ("GET", "duplicates", None), ("GET", "clusters", None), ("GET", "report", None),
                ("GET", "images", None), ("POST", "clusters/runs", b'{"clusters": 3}'),
                ("POST", f"duplicates/{image}/decision", b'{"decision": "keep", "image": %d}' % image),
            ]
        )  # fmt: skip
        if kind == "UPLOAD":
            status, answer = post(self._port, f"/api/v1/{path}", self._chance.choice(self._pool))
        else:
            headers = {"Content-Type": "application/json"}
            status, raw = ask(self._port, kind, f"/api/v1/{path}", body, headers)
            answer = json.loads(raw) if raw[:1] == b"{" else {}
        assert status < 500 or status == 503, (path, status, answer)
        self.statuses[path, status] += 1
        if path == "images":
            self._ids += [one["id"] for one in answer.get("images", [])]


@pytest.mark.parametrize("beside", ["commands", "server"])
def test_everything_at_once_is_answered(adders, tmp_path, beside):
    """By clients of every route, while commands change the same index, or another server does."""
    photos, index = tmp_path / "photos", tmp_path / "index"
    photos.mkdir()
    for seed in range(10):
        (photos / f"{seed}.png").write_bytes(picture(seed))
        (photos / f"{seed}.jpg").write_bytes(picture(seed, 90))
    with ImageIndex(index, embedder=FakeEmbedder()) as opened:
        opened.add([photos])
        opened.themes.recluster(3)
    quarantine = ["--to", "quarantine", "--quarantine", tmp_path / "quarantine"]
    commands = [
        ["sync"], ["recluster"], ["remove", photos / "1.png"], ["clean", *quarantine],
        ["clean", "--apply", *quarantine], ["check"], ["clean", "--undo"],
    ]  # fmt: skip
    stop = threading.Event()

    def commanded() -> None:
        try:
            for arguments in commands if beside == "commands" else ():
                done = adders.run(*arguments, "--index", index)
                assert "Traceback" not in done.errors, done.errors
                assert done.code == 0 or arguments[0] in ("recluster", "remove", "clean"), (arguments, done.errors)
            time.sleep(1 if beside == "server" else 0)
        finally:
            stop.set()

    pool = [picture(100 + seed, quality) for seed in range(10) for quality in (0, 92)]
    with ExitStack() as stack:
        servers = [stack.enter_context(served(index)) for _ in range(1 if beside == "commands" else 2)]
        clients = [Client(servers[seed % len(servers)][1], seed, pool) for seed in range(4)]
        together([*(lambda one=one: one.run(stop) for one in clients), commanded])
        for server, _ in servers:
            server.send_signal(signal.SIGTERM)
            assert server.wait(30) == 0
    statuses = sum((one.statuses for one in clients), Counter())
    assert statuses["images", 201] > 0
    recorded, there = files(index, synced=beside == "commands")  # it knows what was brought back then only
    assert recorded == there


# The end


def test_it_ends_within_seconds_and_keeps_what_it_acknowledged(tmp_path):
    """In the middle of uploads that wait for a slow model, and of a clustering."""
    acknowledged: dict[int, str] = {}
    statuses: Counter[int] = Counter()

    def upload(port: int, number: int) -> None:
        for seed in range(1_000):
            data = tiles(tmp_path / str(number), 1_000 * number + seed)[0]
            try:
                status, answer = post(port, "/api/v1/images", data)
            except (OSError, http.client.HTTPException):
                return
            statuses[status] += 1
            assert status in (201, 429, 503), answer
            if status != 201:
                time.sleep(0.5)
            else:
                acknowledged[answer["images"][0]["id"]] = hashlib.sha256(data).hexdigest()

    with served(tmp_path / "index", seconds=0.2) as (server, port):
        post(port, "/api/v1/images", *tiles(tmp_path, *range(20)))
        clients = [threading.Thread(target=upload, args=(port, number)) for number in range(1, 25)]
        for one in clients:
            one.start()
        while len(acknowledged) < 12:
            time.sleep(0.01)
        body = json.dumps({}).encode()
        assert ask(port, "POST", "/api/v1/clusters/runs", body, {"Content-Type": "application/json"})[0] == 202
        begun = time.monotonic()
        server.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        server.send_signal(signal.SIGINT)  # of someone who cannot wait
        assert server.wait(30) == 0
        assert time.monotonic() - begun < 10
        for one in clients:
            one.join(30)
            assert not one.is_alive()
    with ImageIndex(tmp_path / "index", embedder=FakeEmbedder()) as index:
        assert index.check() == []
        assert {image: index.images.get(image).sha256.hex() for image in acknowledged} == acknowledged


def test_what_waits_for_the_model_at_the_end_is_refused(tmp_path):
    """It could take minutes, and nobody was told that it is kept."""
    embedder = GatedEmbedder()
    with ImageIndex(tmp_path / "index", embedder=embedder) as index:
        queue = Batcher(index)
        at_the_model = queue.put([index.uploads.decode(data) for data in tiles(tmp_path, 1)], keep=True)
        while queue._queue.qsize():
            time.sleep(0.01)
        waiting = queue.put([index.uploads.decode(data) for data in tiles(tmp_path, 2, 3)], keep=True)
        closing = threading.Thread(target=queue.close)
        closing.start()
        while not queue._closed:
            time.sleep(0.01)
        embedder.gate.set()
        closing.join(10)
        assert at_the_model[0].result(1).image == 1
        for one in waiting:
            with pytest.raises(OverloadedError, match="shutting down; try again in 10 s"):
                one.result(1)
        with pytest.raises(OverloadedError, match="shutting down"):
            queue.put([], keep=True)
        assert index.counts().images == 1


def test_a_walk_of_the_folders_ends_with_the_server(tmp_path, monkeypatch, caplog):
    service = Service(Settings(tmp_path / "index", embedder=FakeEmbedder(), sync="1m"))
    steps: list[int] = []
    walking = threading.Event()

    def endless(*, progress):
        while True:
            walking.set()
            steps.append(1)
            progress(len(steps), 1_000)
            time.sleep(0.01)

    monkeypatch.setattr(service.index, "sync", endless)
    monkeypatch.setattr(schedules, "LOOK", 0.05)
    monkeypatch.setattr(schedules, "is_due", lambda *_: True)
    schedule = Scheduler(service)
    schedule.start()
    assert walking.wait(10)
    ending = threading.Thread(target=schedule.close)
    ending.start()
    ending.join(10)
    assert not ending.is_alive()
    assert caplog.text == ""
    service.close()


def test_a_crowd_shares_a_computation_though_the_index_changes_all_the_time():
    changes = iter(range(1_000_000))
    computed: list[float] = []

    def compute() -> float:
        time.sleep(0.05)
        computed.append(time.monotonic())
        return computed[-1]

    snapshots = Cache(lambda: next(changes))
    asked = time.monotonic()
    got = together([lambda: snapshots.get("report", compute)] * 16)
    assert all(value >= asked for value in got)
    assert len(computed) <= 10  # 32, if each asked for itself; threads start late on a busy machine


def test_closing_an_index_ends_what_other_threads_ask_of_it(tmp_path):
    """A connection that is closed while it is in use takes the whole process down."""
    for _ in range(10):
        index = ImageIndex(tmp_path / "index", embedder=FakeEmbedder())
        database = index._store.database
        database.write("CREATE TABLE IF NOT EXISTS long (number)", [()])
        endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "

        def ask(index=index) -> None:
            while True:
                index.images.list()

        with ThreadPoolExecutor(4) as threads:
            asked = [
                threads.submit(database.rows, endless + "SELECT count(*) FROM n"),
                threads.submit(database.write, endless + "INSERT INTO long SELECT i FROM n", [()]),
                threads.submit(ask),
                threads.submit(ask),
            ]
            time.sleep(0.05)
            begun = time.monotonic()
            index.close()
            assert time.monotonic() - begun < 5
            for one in asked:
                with pytest.raises(StorageError, match="was closed while this was under way"):
                    one.result(5)
