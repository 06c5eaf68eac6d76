"""What the README shows runs, and what it lists is all there is."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from imgindex.cli import app
from tests.conftest import write_picture

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
    monkeypatch.setattr("imgindex.demo.run", lambda *_: None)  # tests/test_demo.py runs it
    for command in COMMANDS:
        expanded = shlex.split(command.replace("~", str(home)))
        result = run(*expanded)
        assert result.code == 0, (command, result.err)


def test_all_commands_are_shown():
    assert {command.split()[0] for command in COMMANDS} == {*typer.main.get_command(app).commands}


@pytest.mark.usefixtures("home", "run")
def test_the_library_example_runs(capfd):
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(compile(example, "README.md", "exec"), {})
    assert "20 pictures" in capfd.readouterr().out
