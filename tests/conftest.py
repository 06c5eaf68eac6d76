"""Fixtures of many tests: pictures to index, the command line, children, disks, the measuring data if it is there."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from imgindex.cli.app import main
from tests.support.embedders import FakeEmbedder
from tests.support.processes import Adders

# A shell that starts pytest in the background makes it, and all that it starts, deaf to Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session", autouse=True)
def state_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A user's state folder that has a key already, as it has from the first clean on; the real one stays as it is."""
    folder = tmp_path_factory.mktemp("state")
    (folder / "imgindex").mkdir()
    (folder / "imgindex" / "key").write_bytes(bytes(32))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder))
        yield


@pytest.fixture
def embedder() -> FakeEmbedder:
    return FakeEmbedder()


def write_picture(path: Path, seed: int, size: int = 32) -> Path:
    """A picture of random tiles, different for each seed."""
    rng = np.random.default_rng(seed)
    tiles = rng.integers(0, 256, (4, 4, 3), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    done, data = cv2.imencode(path.suffix, cv2.resize(tiles, (size, size), interpolation=cv2.INTER_NEAREST))
    assert done
    path.write_bytes(data.tobytes())
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of five different pictures."""
    for seed in range(5):
        write_picture(tmp_path / "photos" / f"{seed}.png", seed)
    return tmp_path / "photos"


@pytest.fixture
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip("the measuring data is not beside this checkout")
    return SHARED


class Result:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def run(tmp_path, monkeypatch, capfd):
    """Run a command on an index of its own, with the fake model."""
    monkeypatch.setenv("IMGINDEX_DIR", str(tmp_path / "index"))
    monkeypatch.setattr("imgindex.ingest.index_model.load_embedder", lambda name, **_: FakeEmbedder(name))
    monkeypatch.setattr("imgindex.ingest.index_model.default_model", lambda **_: ("fake", "as it is here"))

    def run(*arguments: Any) -> Result:
        monkeypatch.setattr(sys, "argv", ["imgindex", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit:
            main()
        out, err = capfd.readouterr()
        return Result(exit.value.code or 0, out, err)

    return run


@pytest.fixture(scope="module")
def adders(tmp_path_factory) -> Iterator[Adders]:
    """Starts children that a test can kill."""
    adders = Adders(tmp_path_factory.mktemp("jobs"))
    yield adders
    adders.close()


@pytest.fixture
def inline(monkeypatch) -> None:
    """No process of a decoder is started: that would take longer than all that is tested."""
    from imgindex.decoding import decoder
    from tests.support.decoding import InlineDecoder

    monkeypatch.setattr(decoder, "Decoder", InlineDecoder)


@pytest.fixture
def mounted(request, tmp_path) -> Iterator[Callable[..., Path]]:
    """Mounts a tmpfs with options, again for others. Where that is forbidden, the test runs as root of a namespace."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(*options: str) -> Path:
        how = ["-o", ",".join(["remount", *options])] if os.path.ismount(folder) else ["-o", ",".join(options)]
        subprocess.run(["mount", "-t", "tmpfs", *how, "tmpfs", str(folder)], check=True, capture_output=True)
        return folder

    try:
        mount("size=1m")
    except (OSError, subprocess.CalledProcessError) as error:
        if "IMGINDEX_NAMESPACE" in os.environ:
            pytest.fail(f"cannot mount: {error}")
        inside = ["unshare", "--user", "--map-root-user", "--mount"]
        if subprocess.run([*inside, "true"], check=False, capture_output=True).returncode:
            pytest.skip("neither mount nor unshare is allowed here")
        test = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", request.node.nodeid]
        again = subprocess.run(
            [*inside, *test], env=os.environ | {"IMGINDEX_NAMESPACE": "1"}, cwd=request.config.rootpath,
            check=False, capture_output=True, text=True,
        )  # fmt: skip
        assert again.returncode == 0, again.stdout
        pytest.skip("passed in a namespace of its own")
    yield mount
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def mount() -> Iterator[Callable[..., None]]:
    """Mounts as asked, until the test is over; skips where that is forbidden."""
    mounted = []

    def do(*arguments: str | Path) -> None:
        if subprocess.run(["mount", *map(str, arguments)], check=False, capture_output=True).returncode:
            pytest.skip("this mount is not allowed here")
        mounted.append(arguments[-1])

    yield do
    for place in reversed(mounted):
        subprocess.run(["umount", "--lazy", str(place)], check=False, capture_output=True)
