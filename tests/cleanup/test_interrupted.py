"""A clean that is killed leaves what `check` tells and `check --repair` settles."""

import signal
import subprocess
import sys

import pytest

from imgindex import ImageIndex
from tests.conftest import write_picture
from tests.support.embedders import FakeEmbedder

# Dies by kill -9 right before or right after a file has moved, with the journal's entry begun.
SCRIPT = """
import os, signal, sys
from imgindex import ImageIndex
from imgindex.cleanup import moves
from tests.support.embedders import FakeEmbedder
real = moves.carry_out
def killed(entry, opened):
    if sys.argv[2] == "after":
        real(entry, opened)
    os.kill(os.getpid(), signal.SIGKILL)
moves.carry_out = killed
with ImageIndex(sys.argv[1], embedder=FakeEmbedder()) as index:
    index.cleanup.apply(index.cleanup.plan("quarantine"), quarantine=sys.argv[3])
"""


@pytest.mark.parametrize("moment", ["before", "after"])
def test_check_tells_and_repair_settles(run, tmp_path, moment):
    one = write_picture(tmp_path / "photos" / "1.png", 1)
    (tmp_path / "photos" / "1 copy.png").write_bytes(one.read_bytes())
    with ImageIndex(tmp_path / "index", embedder=FakeEmbedder()) as index:
        index.add([tmp_path / "photos"])
    command = [sys.executable, "-c", SCRIPT, tmp_path / "index", moment, tmp_path / "away"]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    found = run("check", "--json").json
    assert not found["ok"]
    assert any("1 copy.png was interrupted" in problem for problem in found["problems"])
    assert run("check", "--repair", "--json").json["ok"]
    away, there = list((tmp_path / "away").rglob("*.png")), (tmp_path / "photos" / "1 copy.png").exists()
    assert (len(away), there) == ((1, False) if moment == "after" else (0, True))
    with ImageIndex(tmp_path / "index", embedder=FakeEmbedder()) as index:
        assert index.counts().files == (1 if moment == "after" else 2)
        assert index.check() == []
    assert one.exists()
