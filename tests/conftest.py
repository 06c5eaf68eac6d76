"""What tests share: a tiny fake embedder, pictures to index, the command line, the measuring data when it is there."""

import json
import signal
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from imgindex import ModelInfo
from imgindex.cli.app import main

# A shell that starts pytest in the background makes it, and all that it starts, deaf to Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


class FakeEmbedder:
    """16 numbers a picture: the mean grey of its 4 x 4 tiles."""

    def __init__(self, name: str = "fake", weights: str = "0" * 64) -> None:
        self.info = ModelInfo(name, "tiles", "mean", 16, "none", weights, 16)
        self.embedded = 0

    def embed(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        self.embedded += len(pixels)
        tiles = pixels.reshape(len(pixels), 4, 4, 4, 4, 3).astype(np.float32)
        return tiles.mean(axis=(2, 4, 5)).reshape(len(pixels), 16)


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
