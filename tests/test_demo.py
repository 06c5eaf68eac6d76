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
    done = subprocess.run(
        [PROGRAM, "demo"], env=os.environ | {"TMPDIR": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "63 files added" in done.stdout
    like = re.findall(r"(\d+)% +█* +\d+ +pictures/(\w+)", done.stdout)
    assert all(name.startswith("motorcycle") and int(percent) > 80 for percent, name in like[:4])
    assert all(not name.startswith("motorcycle") and int(percent) < 60 for percent, name in like[4:])
    for name in ("astronaut", "coffee", "china"):
        assert f"pictures/{name}-copy" in done.stdout
    commands = re.findall(r"^  (cd|\S*imgindex) (.*)$", done.stdout, re.MULTILINE)
    similar = next(arguments for _, arguments in commands if arguments.startswith("similar pictures/"))
    again = subprocess.run([PROGRAM, *similar.split()], cwd=commands[0][1], capture_output=True, text=True, check=True)
    assert "chelsea" in again.stdout
