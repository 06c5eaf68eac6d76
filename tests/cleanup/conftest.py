"""What the tests of cleaning share."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cleanup.pictures import Pictures


@pytest.fixture(autouse=True)
def trash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data" / "Trash"


@pytest.fixture
def pictures(tmp_path: Path) -> Iterator[Pictures]:
    pictures = Pictures(tmp_path)
    yield pictures
    pictures.store.close()


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system, whose own trash is taken away afterwards."""
    memory = Path("/dev/shm")
    own = memory / f".Trash-{os.getuid()}"
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev or own.exists():
        pytest.skip("/dev/shm is no other file system, or has a trash in use")
    folder = memory / f"imgindex-{os.getpid()}"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)
    subprocess.run(["rm", "-rf", own], check=True)
