"""Hostile files over HTTP: the server lives, and each answer is a picture kept or a reason.

`python -m tests.server.test_hostile` sends all of them; here every tenth.
"""

import json
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import pytest

from imgindex import ImageIndex
from tests.support.embedders import FakeEmbedder
from tests.support.hostile import DATA, hostile
from tests.support.serving import get, post, served

EVERY = 10
ANSWERS = {"/api/v1/images": {200, 201, 413, 422}, "/api/v1/similar": {200, 413, 422}}


def send(index: Path, every: int) -> dict[str, Counter[int]]:
    """How often each route gave each status; asserts that each answer is as it should be."""
    counts: dict[str, Counter[int]] = {route: Counter() for route in ANSWERS}

    def ask(port: int, name: str, data: bytes) -> None:
        for route, allowed in ANSWERS.items():
            while (got := post(port, route, data, name="a.png"))[0] == 429:
                time.sleep(0.5)  # as it says
            status, answer = got
            assert status in allowed, (name, status, answer)
            if status >= 400:
                assert answer["status"] == status, name
                assert answer["detail"], name
                assert "Traceback" not in json.dumps(answer), name
            counts[route][status] += 1

    with served(index) as (server, port):
        with ThreadPoolExecutor(4) as clients:
            asked = [clients.submit(ask, port, name, data) for name, data in islice(hostile(), 0, None, every)]
            for one in asked:
                one.result()
        assert server.poll() is None
        assert get(port, "/health")[0] == 200
    return counts


@pytest.mark.shared
@pytest.mark.skipif(not DATA.is_dir(), reason="needs the measuring data in ../shared")
def test_hostile_files_are_kept_or_refused_and_the_server_lives(tmp_path):
    counts = send(tmp_path / "index", EVERY)
    assert counts["/api/v1/images"][422] > 50
    assert counts["/api/v1/images"][201] > 50
    with ImageIndex(tmp_path / "index", embedder=FakeEmbedder()) as index:
        assert index.check() == []
        kept = {Path(path).name for entry in index.images.list(limit=10_000) for path in entry.paths}
    assert {path.name for path in (tmp_path / "index" / "uploads").iterdir()} == kept


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print(send(Path(folder) / "index", 1))
