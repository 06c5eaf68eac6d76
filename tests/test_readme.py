"""What the papers show runs, what they list is all there is, and where they point there is something."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import typer

from imgindex import ImageIndex
from imgindex.cli.app import app
from imgindex.server import create_app
from tests.conftest import FakeEmbedder, write_picture
from tests.support.serving import served

ROOT = Path(__file__).parents[1]
PAPERS = {path.relative_to(ROOT): path.read_text() for path in [*ROOT.glob("*.md"), *ROOT.glob("tests/**/*.md")]}
README, MANUAL = PAPERS[Path("README.md")], PAPERS[Path("MANUAL.md")]
BENCHMARKS = PAPERS[Path("tests/benchmarks/README.md")]
FENCE = re.compile(r"```.*?```", re.DOTALL)


def commands(paper: str) -> list[str]:
    return re.findall(r"^imgindex (.*?)(?: +#.*)?$", paper, re.MULTILINE)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home with 20 pictures, and a cat here; those of the folder old are elsewhere, too."""
    for seed in range(2):  # the oldest files stay when the collection is cleaned
        os.utime(write_picture(tmp_path / "Pictures" / "old" / f"{seed}.png", seed), (10**9, 10**9))
    for seed in range(18):
        write_picture(tmp_path / "Pictures" / f"{seed}.png", seed)
    for seed, name in enumerate("ab", start=18):
        write_picture(tmp_path / "Pictures" / f"{name}.jpg", seed)
    write_picture(tmp_path / "cat.jpg", 200)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("paper", [README, MANUAL], ids=["README", "MANUAL"])
def test_the_commands_run(run, home, monkeypatch, paper):
    monkeypatch.setattr("watchfiles.watch", lambda *_, **__: iter(()))
    monkeypatch.setattr("imgindex.cli.demo.run", lambda *_: None)  # tests/cli/test_demo.py runs it
    monkeypatch.setattr("imgindex.cli.serve.run", lambda _: None)  # tests/server/test_process.py runs it
    for command in commands(paper):
        expanded = shlex.split(command.replace("~", str(home)))
        result = run(*expanded)
        assert result.code == 0, (command, result.err)


@pytest.mark.parametrize("paper", [README, MANUAL], ids=["README", "MANUAL"])
def test_all_commands_are_shown(paper):
    assert {command.split()[0] for command in commands(paper)} == {*typer.main.get_command(app).commands}


def test_every_option_is_in_the_manual():
    program = typer.main.get_command(app)
    for command in [program, *program.commands.values()]:
        for parameter in command.params:
            if parameter.param_type_name == "option":
                assert re.search(rf"{max(parameter.opts, key=len)}\b", MANUAL), (command.name, parameter.opts)


def test_every_route_of_the_api_is_in_the_manual(tmp_path):
    server = create_app({"INDEX": tmp_path / "index", "EMBEDDER": FakeEmbedder()})
    with server.app_context():
        paths = server.spec["paths"]
    server.extensions["imgindex"].close()
    routes = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    assert routes <= {*re.findall(r"(?<=`)[A-Z]+ /[^`]*", MANUAL)}


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
@pytest.mark.parametrize(("paper", "said"), [(README, "20 pictures"), (MANUAL, "22 files")], ids=["README", "MANUAL"])
def test_the_library_example_runs(capfd, paper, said):
    (example,) = re.findall(r"```python\n(.*?)```", paper, re.DOTALL)
    exec(compile(example, "example", "exec"), {})
    assert said in capfd.readouterr().out


def test_what_the_papers_call_is_there(tmp_path, embedder):
    called = {*re.findall(r"\bindex\.([a-z]+)\.([a-z_]+)\b", "".join(PAPERS.values()))}
    for noun, verbs in re.findall(r"^\| `index\.?([a-z]*)` \| (.*) \|$", MANUAL, re.MULTILINE):
        called |= {(noun, verb) for verb in re.findall(r"`(\w+)`", verbs)}
    with ImageIndex(tmp_path / "index", embedder=embedder) as index:
        for noun, verb in called:
            assert hasattr(getattr(index, noun) if noun else index, verb), (noun, verb)


def test_the_readme_is_read_in_one_sitting():
    assert len(README.splitlines()) <= 150


def test_the_figures_of_the_readme_are_the_benchmarks():
    rows = set(re.findall(r"^\| .* \|$", README.partition("## Figures")[2], re.MULTILINE))
    assert len(rows) == 11  # ten, and their heading
    assert rows <= set(BENCHMARKS.splitlines())


@pytest.mark.parametrize("name", PAPERS, ids=str)
def test_every_link_leads_somewhere(name):
    for target in re.findall(r"\]\((?!https:)([^)\s]+)\)", FENCE.sub("", PAPERS[name])):
        path, _, anchor = target.partition("#")
        file = (ROOT / name).parent / path if path else ROOT / name
        assert file.exists(), target
        assert not anchor or anchor in headings(file.read_text()), target


@pytest.mark.parametrize("name", PAPERS, ids=str)
def test_every_room_that_is_named_is_there(name):
    roots = [ROOT, ROOT / "imgindex", ROOT / "server", ROOT / "tests" / "server"]
    for room in re.findall(r"`([a-z_]+/[a-z_/]*(?:\.py|\.md)?)`", PAPERS[name]):
        assert any((root / f"{room}{ending}").exists() for root in roots for ending in ("", ".py")), room


def headings(paper: str) -> set[str]:
    """The anchors of a paper, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", FENCE.sub("", paper), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
