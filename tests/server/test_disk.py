"""The server and its disk: full, read-only, damaged, taken away, and killed while it writes."""

import hashlib
import json
import os
import random
import shutil
import signal
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from imgindex import ImageIndex
from tests.conftest import write_picture
from tests.support import ATTACK
from tests.support.embedders import FakeEmbedder
from tests.support.processes import fill
from tests.support.serving import get, post, served

KILLS = 200 if ATTACK else 15
ROUTES = ("images", "images/1", "images/1/similar", "images/1/thumbnail", "duplicates", "clusters", "report")


def noise(seed: int) -> bytes:
    """A picture of 12 KB: more than a page, so that the end of the disk may lie inside."""
    pixels = np.random.default_rng(seed).integers(0, 256, (64, 64, 3), np.uint8)
    return cv2.imencode(".png", pixels)[1].tobytes()


def name(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def tiles(folder: Path, *seeds: int) -> list[bytes]:
    return [write_picture(folder / f"{seed}.png", seed).read_bytes() for seed in seeds]


def is_a_sentence(answer: dict[str, object], status: int, *words: str) -> None:
    detail = str(answer["detail"])
    assert answer["status"] == status, answer
    assert detail.endswith("."), detail
    assert "Traceback" not in detail
    for word in words:
        assert word in detail


def upload_all(port: int, pictures: list[bytes], acknowledged: dict[int, str]) -> int:
    """Upload by four clients; returns how many were refused for want of room."""
    refused = []

    def client(part: list[bytes]) -> None:
        for data in part:
            status, answer = post(port, "/api/v1/images", data)
            if status in (200, 201):
                acknowledged[answer["images"][0]["id"]] = name(data)
            else:
                refused.append((status, answer))

    clients = [threading.Thread(target=client, args=(pictures[number::4],)) for number in range(4)]
    for one in clients:
        one.start()
    for one in clients:
        one.join()
    for status, answer in refused:
        assert status == 507, answer
        is_a_sentence(answer, 507)
    return len(refused)


def whole(index: Path, acknowledged: dict[int, str]) -> None:
    """Nothing acknowledged is lost, and the folder of uploads holds what is recorded, no more and no less."""
    with ImageIndex(index, embedder=FakeEmbedder()) as opened:
        assert opened.check() == []
        entries = opened.images.list(limit=10_000)
        recorded = {path for entry in entries for path in entry.paths}
        for image, sha256 in acknowledged.items():
            assert name(Path(opened.images.original(image).path).read_bytes()) == sha256
    assert {str(index / "uploads" / file) for file in os.listdir(index / "uploads")} == recorded


def test_a_full_disk_refuses_uploads_in_a_sentence_and_takes_them_later(mounted):
    disk = mounted("size=24m")
    pictures = [noise(seed) for seed in range(80)]
    acknowledged: dict[int, str] = {}
    with served(disk / "index") as (server, port):
        assert upload_all(port, pictures[:2], acknowledged) == 0
        refused = []
        for number, leave in enumerate((0, 4, 8, 30, 60, 120, 250)):
            filler = fill(disk, leave << 10)
            refused.append(upload_all(port, pictures[10 * number : 10 * number + 20], acknowledged))
            assert get(port, "/health")[0] == 200
            for route in ROUTES:
                status, answer = get(port, f"/api/v1/{route}")
                if status != 200:
                    is_a_sentence(json.loads(answer), 507)
            filler.unlink()
            for route in ROUTES:
                assert get(port, f"/api/v1/{route}")[0] == 200
        assert sum(count > 0 for count in refused) >= 5, refused
        assert upload_all(port, pictures, acknowledged) == 0
        assert server.poll() is None
    assert len(acknowledged) == len(pictures)
    whole(disk / "index", acknowledged)


def test_no_room_for_a_large_upload_before_it_reaches_the_app(mounted, tmp_path, monkeypatch):
    disk = mounted("size=100k")
    monkeypatch.setenv("TMPDIR", str(disk))
    pixels = np.random.default_rng(0).integers(0, 256, (700, 700, 3), np.uint8)
    large = cv2.imencode(".png", pixels)[1].tobytes()
    with served(tmp_path / "index") as (_, port):
        for _ in range(3):
            status, answer = post(port, "/api/v1/images", large)
            assert status == 507
            is_a_sentence(answer, 507)
            assert str(disk) not in answer["detail"]
        assert post(port, "/api/v1/images", noise(1))[0] == 201
        mounted("size=4m")
        assert post(port, "/api/v1/images", large)[0] == 201
        assert not list(disk.iterdir())


def test_what_the_disk_refused_leaves_no_file(mounted):
    """The file is written before the database is; it must go again when that finds no room."""
    disk = mounted("size=24m")
    with ImageIndex(disk / "index", embedder=FakeEmbedder()) as index:
        first = index.uploads.decode(noise(0))
        index.uploads.add([first], index.uploads.embed([first]))
        refused = 0
        for pages in range(1, 40):
            filler = fill(disk, pages << 12)
            one = index.uploads.decode(noise(pages))
            try:
                index.uploads.add([one], index.uploads.embed([one]))
            except Exception as error:  # noqa: BLE001
                assert str(error).endswith(".")  # noqa: PT017
                refused += 1
            filler.unlink()
            recorded = {Path(path).name for entry in index.images.list(limit=100) for path in entry.paths}
            assert set(os.listdir(disk / "index" / "uploads")) == recorded
        assert refused >= 3


def test_a_folder_that_is_read_only_for_a_while(mounted, tmp_path):
    one, two = tiles(tmp_path, 1, 2)
    disk = mounted("size=8m")
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "uploads").symlink_to(disk)
    with served(tmp_path / "index") as (_, port):
        assert post(port, "/api/v1/images", one)[0] == 201
        mounted("ro")
        status, answer = post(port, "/api/v1/images", one)
        assert (status, answer["images"][0]["id"]) == (200, 1)
        status, answer = post(port, "/api/v1/images", two)
        assert status == 503
        is_a_sentence(answer, 503, "read-only file system")
        for route in ROUTES:
            assert get(port, f"/api/v1/{route}")[0] == 200
        mounted("rw")
        assert post(port, "/api/v1/images", two)[0] == 201
    whole(tmp_path / "index", {1: name(one), 2: name(two)})


@pytest.mark.attack
def test_kill_9_while_pictures_are_kept(adders, tmp_path):
    """Each acknowledged picture is there, and what is left is whole or hidden."""
    random.seed(7)
    paths = [write_picture(tmp_path / "pictures" / f"{seed}.png", seed) for seed in range(30)]
    index, acknowledged, hidden = tmp_path / "index", {}, 0
    for number in range(KILLS):
        job = adders.start("receive", index=index, paths=paths, seed=number, traced=True)
        some = random.randint(0, 6)
        assert job.listen(lambda job=job, some=some: "start" in job.lines and len(job.told("ack")) >= some, 60)
        job.listen(seconds=random.uniform(0, 0.012))
        os.kill(job.pid, signal.SIGKILL)
        job.wait()
        for line in job.lines:
            if line.startswith("ack "):
                _, image, sha256 = line.split()
                acknowledged[sha256] = int(image)
            elif line.startswith("forget "):
                acknowledged.pop(line.split()[1], None)
        if number % 10 == 0:
            with ImageIndex(index, embedder=FakeEmbedder()) as opened:
                assert opened.check() == []
                for sha256, image in acknowledged.items():
                    assert name(Path(opened.images.original(image).path).read_bytes()) == sha256
    for file in (index / "uploads").iterdir():
        if file.name.startswith("."):
            hidden += 1
        else:
            assert name(file.read_bytes()) == file.stem
    assert hidden > 0
    with ImageIndex(index, embedder=FakeEmbedder()) as opened:
        assert not opened.sync().failed
        opened.uploads.tidy()
        assert len(list((index / "uploads").glob(".*"))) == hidden  # another server may be writing them
        for file in (index / "uploads").glob(".*"):
            os.utime(file, (0, 0))
    with served(index):
        pass
    whole(index, {image: sha256 for sha256, image in acknowledged.items()})


@pytest.mark.parametrize("how", ["removed", "replaced", "database"])
def test_an_index_that_is_taken_away_is_a_sentence(tmp_path, how):
    """What is written to a deleted file would be acknowledged and lost."""
    one, two = tiles(tmp_path, 1, 2)
    index = tmp_path / "index"
    with served(index) as (server, port):
        post(port, "/api/v1/images", one)
        if how == "database":
            for file in index.glob("index.db*"):
                file.unlink()
        else:
            shutil.rmtree(index)
        if how == "replaced":
            with ImageIndex(index, embedder=FakeEmbedder()):
                pass
        for _ in range(20):  # each thread of the server has a connection of its own
            status, answer = post(port, "/api/v1/images", two)
            assert status == 503
            is_a_sentence(answer, 503, str(index))
        for route in ROUTES:
            status, body = get(port, f"/api/v1/{route}")
            assert status == 503
            is_a_sentence(json.loads(body), 503, str(index))
        assert get(port, "/health")[0] == 200
        assert server.poll() is None
        assert (index / "index.db").exists() == (how == "replaced")
        assert not list(index.glob(f"uploads/*{name(two)}*"))
        assert not list(index.glob("uploads/.*"))


def test_files_that_can_be_derived_may_go_or_break_while_it_serves(adders, tmp_path):
    """Also while the command line fits the space anew, which makes the server read them."""
    pictures = tmp_path / "pictures"
    tiles(pictures, *range(330))
    (index := tmp_path / "index").mkdir()
    paths = sorted(pictures.iterdir())
    assert adders.run("add", *paths[:150], "--index", index).code == 0
    with served(index) as (server, port):
        before = json.loads(get(port, "/api/v1/images/1/similar?k=5")[1])
        for number, spoil in enumerate(("unlink", "cut", "noise", "folder", "foreign")):
            for file in (index / "vectors.faiss", index / "copies.faiss"):
                if spoil != "unlink" and file.exists():
                    data = file.read_bytes()
                    {
                        "cut": lambda file=file, data=data: file.write_bytes(data[:100]),
                        "noise": lambda file=file, data=data: file.write_bytes(os.urandom(len(data))),
                        "folder": lambda file=file: (file.unlink(), file.mkdir()),
                        "foreign": lambda file=file: file.write_bytes(b""),
                    }[spoil]()
                else:
                    file.unlink(missing_ok=True)
            added = adders.run("add", *paths[150 + 36 * number : 186 + 36 * number], "--index", index)
            assert added.code == (spoil == "folder"), added.errors
            if spoil == "folder":
                for file in (index / "vectors.faiss", index / "copies.faiss"):
                    file.rmdir()
            for route in ROUTES:
                assert get(port, f"/api/v1/{route}")[0] == 200, (spoil, route)
            status, answer = post(port, "/api/v1/images", noise(number))
            assert status == 201, answer
        after = json.loads(get(port, "/api/v1/images/1/similar?k=5")[1])
        assert before != after  # in another space
        assert server.poll() is None
    with ImageIndex(index, embedder=FakeEmbedder()) as opened:
        assert opened.check(full=True) == []
        assert opened.counts().images == 335
        assert [hit.id for hit in opened.similar(1, k=5).results] == [hit["id"] for hit in after["results"]]


def test_what_was_changed_on_the_disk_is_not_called_known(tmp_path):
    """Who is told that a picture is here already may throw his copy away."""
    (one,) = tiles(tmp_path, 1)
    (photos := tmp_path / "photos").mkdir()
    (photos / "a.png").write_bytes(one)
    with ImageIndex(tmp_path / "index", embedder=FakeEmbedder()) as index:
        index.add([photos])
    with served(tmp_path / "index") as (_, port):
        assert post(port, "/api/v1/images", one)[1]["images"][0]["new"] is False
        write_picture(photos / "a.png", 2)
        status, answer = post(port, "/api/v1/images", one)
        assert (status, answer["images"][0]["id"]) == (201, 1)
        assert get(port, "/api/v1/images/1/file") == (200, one)
        (photos / "a.png").unlink()
        os.unlink(tmp_path / "index" / "uploads" / f"{name(one)}.png")
        assert get(port, "/api/v1/images/1/file")[0] == 404
        assert post(port, "/api/v1/images", one)[0] == 201
        assert get(port, "/api/v1/images/1/file") == (200, one)
