"""The demo, with real VGG16 features on real photos."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.serving import get

PROGRAM = Path(sys.executable).parent / "imgindex"


@pytest.mark.weights
def test_the_demo_does_the_main_job(tmp_path):
    environment = os.environ | {"TMPDIR": str(tmp_path), "PATH": os.defpath}
    program = os.path.relpath(PROGRAM)  # as make types it
    with subprocess.Popen(
        [program, "demo", "--serve", "--port", "0"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as demo:
        assert demo.stderr is not None
        said = next(line for line in demo.stderr if line.startswith("Serving"))
        status, body = get(int(re.findall(r":(\d+), press Ctrl-C", said)[0]), "/api/v1/duplicates")
        demo.send_signal(signal.SIGINT)
        out, err = demo.communicate(timeout=60)
    assert (demo.returncode, status, err) == (0, 200, "")
    # Three edits of each of 15 photos, and three plain copies; where one texture repeats, a crop of it may stay.
    assert 47 <= json.loads(body)["redundant"] <= 48
    assert "63 files added" in out
    like = re.findall(r"(\d+)% +█* +\d+ +pictures/(\w+)", out)
    assert len(like) == 6
    assert all(name.startswith("motorcycle") and int(percent) > 80 for percent, name in like[:4])
    assert all(not name.startswith("motorcycle") and int(percent) < 60 for percent, name in like[4:])
    for name in ("astronaut", "coffee", "china"):
        assert f"pictures/{name}-copy" in out
    themes = re.search(r"63 images in (\d+) themes", out)
    assert themes
    assert 10 <= int(themes[1]) <= 20  # of 18 photos, each with its edits
    assert "shows it all at http://127.0.0.1:" in out
    change, similar = re.findall(r"^  (?:cd (.*)|(\S*imgindex similar pictures/.*))$", out, re.MULTILINE)
    typed = subprocess.run(
        similar[1], shell=True, cwd=change[0], env=environment, capture_output=True, text=True, check=True
    )
    assert "chelsea" in typed.stdout
