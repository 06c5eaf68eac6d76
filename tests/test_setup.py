"""Set-up begins again where it was broken, and says what to do in one sentence. The package index is a folder here."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LOCKED = (ROOT / "requirements.lock").read_text()


@pytest.fixture
def checkout(tmp_path):
    for name in "Makefile", "requirements.lock", "pyproject.toml":
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def set_up(folder, python=sys.executable, **environment):
    """Run `make setup` without a network; its exit status and what it said."""
    nowhere = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "PIP_CONFIG_FILE": os.devnull, "UV_OFFLINE": "1"}
    done = subprocess.run(
        ["make", "setup", f"PYTHON={python}"],
        cwd=folder, env=os.environ | nowhere | environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("python", "sentence"),
    [
        ("exit 1", "imgindex needs Python 3.11, 3.12 or 3.13, and ./python is another"),
        ('case "$*" in *venv*) exit 1;; esac', "sudo apt install python3-venv"),
    ],
    ids=["too old", "without venv"],
)
def test_a_python_of_no_use_is_told_what_to_do(checkout, python, sentence):
    (checkout / "python").write_text(f"#!/bin/sh\n{python}\n")
    (checkout / "python").chmod(0o755)
    code, said = set_up(checkout, "./python")
    assert code != 0
    assert sentence in said


def test_an_index_that_cannot_be_reached_is_a_sentence(checkout):
    code, said = set_up(checkout)
    assert code != 0
    assert "The installer (uv) could not be fetched" in said
    assert not (checkout / ".venv/ready").exists()


def test_a_file_with_another_hash_is_refused_and_the_next_set_up_begins_again(checkout):
    wheels = checkout / "wheels"
    wheels.mkdir()
    version = next(line for line in LOCKED.splitlines() if line.startswith("uv==")).split("==")[1].split()[0]
    (wheels / f"uv-{version}-py3-none-any.whl").write_bytes(b"half of a download")
    code, said = set_up(checkout, PIP_FIND_LINKS=str(wheels))
    assert code != 0
    assert "DO NOT MATCH THE HASHES" in said
    code, said = set_up(checkout)
    assert code != 0
    assert "An earlier set-up did not finish; it begins again." in said


def test_what_was_left_in_an_unfinished_environment_is_not_trusted(checkout):
    left = checkout / ".venv/lib/left.py"
    left.parent.mkdir(parents=True)
    left.touch()
    set_up(checkout)
    assert not left.exists()


def test_a_finished_set_up_is_not_done_again():
    done = subprocess.run(["make", "-q", "setup"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0
