"""What the README shows runs, and what it lists is all there is."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import typer

from imgindex.cli.app import app
from tests.conftest import write_picture
from tests.support.serving import served

README = (Path(__file__).parents[1] / "README.md").read_text()
COMMANDS = re.findall(r"^imgindex (.*?)(?: +#.*)?$", README, re.MULTILINE)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home with 20 pictures, and a cat here."""
    for seed in range(16):
        write_picture(tmp_path / "Pictures" / f"{seed}.png", seed)
    for seed, name in enumerate("ab", start=16):
        write_picture(tmp_path / "Pictures" / f"{name}.jpg", seed)
    for seed in range(2):
        write_picture(tmp_path / "Pictures" / "old" / f"{seed}.png", 100 + seed)
    write_picture(tmp_path / "cat.jpg", 200)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_commands_run(run, home, monkeypatch):
    monkeypatch.setattr("watchfiles.watch", lambda *_, **__: iter(()))
    monkeypatch.setattr("imgindex.cli.demo.run", lambda *_: None)  # tests/cli/test_demo.py runs it
    monkeypatch.setattr("imgindex.cli.serve.run", lambda _: None)  # tests/server/test_process.py runs it
    for command in COMMANDS:
        expanded = shlex.split(command.replace("~", str(home)))
        result = run(*expanded)
        assert result.code == 0, (command, result.err)


def test_all_commands_are_shown():
    assert {command.split()[0] for command in COMMANDS} == {*typer.main.get_command(app).commands}


def test_the_session_with_curl_runs(home):
    (session,) = re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    lines = [line.removeprefix("$ ") for line in session.splitlines()]
    with served(home / "index") as (_, port):
        script = "\n".join(["set -e", *(line.replace("curl", "curl -sSf") for line in lines)]).replace(
            "8787", str(port)
        )
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, cwd=home, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(lines) == 8
    for part in (
        '"new":true',
        '"results":[',
        '"groups":[',
        '"state":"running"',
        '"clusters":[',
        "folder,files,redundant",
    ):
        assert part in done.stdout.replace(" ", ""), part


@pytest.mark.usefixtures("home", "run")
def test_the_library_example_runs(capfd):
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(compile(example, "README.md", "exec"), {})
    assert "20 pictures" in capfd.readouterr().out
