"""The demo, with real VGG16 features on real photos."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(sys.executable).parent / "imgindex"


@pytest.mark.weights
def test_the_demo_does_the_main_job(tmp_path):
    environment = os.environ | {"TMPDIR": str(tmp_path), "PATH": os.defpath}
    program = os.path.relpath(PROGRAM)  # as make types it
    done = subprocess.run([program, "demo"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "63 files added" in done.stdout
    like = re.findall(r"(\d+)% +█* +\d+ +pictures/(\w+)", done.stdout)
    assert len(like) == 6
    assert all(name.startswith("motorcycle") and int(percent) > 80 for percent, name in like[:4])
    assert all(not name.startswith("motorcycle") and int(percent) < 60 for percent, name in like[4:])
    for name in ("astronaut", "coffee", "china"):
        assert f"pictures/{name}-copy" in done.stdout
    themes = re.search(r"63 images in (\d+) themes", done.stdout)
    assert themes
    assert 10 <= int(themes[1]) <= 20  # of 18 photos, each with its edits
    change, similar = re.findall(r"^  (?:cd (.*)|(\S*imgindex similar pictures/.*))$", done.stdout, re.MULTILINE)
    typed = subprocess.run(
        similar[1], shell=True, cwd=change[0], env=environment, capture_output=True, text=True, check=True
    )
    assert "chelsea" in typed.stdout
