"""What is built and installed: one package, that works without this checkout."""

import os
import shutil
import subprocess
import sys
import tarfile
import urllib.request
import zipfile
from pathlib import Path

import pytest

import imgindex

ROOT = Path(__file__).parents[1]
UV = Path(sys.executable).with_name("uv")


def run(*command, **options):
    return subprocess.run([*map(str, command)], capture_output=True, text=True, check=True, **options).stdout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """The files that git has, without the links that a zip or Windows would lose."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in run("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT).splitlines():
        path = ROOT / name
        if path.is_file() and not path.is_symlink():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, folder / name)
    return folder


@pytest.fixture(scope="module")
def built(checkout, tmp_path_factory):
    """Where an sdist and a wheel are, the wheel made from the sdist."""
    out = tmp_path_factory.mktemp("dist")
    build = [UV, "build", "--quiet", "--offline", "--no-build-isolation", "--python", sys.executable]
    run(*build, "--sdist", "--out-dir", out, checkout)
    (sdist,) = out.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(out / "source", filter="data")
    (source,) = (out / "source").iterdir()
    run(*build, "--wheel", "--out-dir", out, source)
    return out


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """The bin folder of a fresh environment with the wheel; what it needs is taken from this one."""
    folder = tmp_path_factory.mktemp("fresh") / "venv"
    run(UV, "venv", "--quiet", "--offline", "--python", sys.executable, folder)
    (wheel,) = built.glob("*.whl")
    packages = next((folder / "lib").iterdir()) / "site-packages"
    run(UV, "pip", "install", "--quiet", "--no-deps", "--offline", "--python", folder / "bin/python", wheel)
    (packages / "beside.pth").write_text(f"{next(p for p in sys.path if p.endswith('site-packages'))}\n")
    return folder / "bin"


def test_a_wheel_holds_imgindex_and_nothing_else(built):
    (wheel,) = built.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {"imgindex", f"imgindex-{imgindex.__version__}.dist-info"}
    here = [path for room in ("imgindex", "server", "migrations") for path in (ROOT / room).rglob("*")]
    files = {str(path.relative_to(ROOT)) for path in here if path.is_file() and "__pycache__" not in path.parts}
    assert {name if name.startswith("imgindex/") else f"imgindex/{name}" for name in files} <= set(names)


def test_what_is_installed_runs_without_the_checkout(installed, tmp_path):
    program = installed / "imgindex"
    environment = os.environ | {"HOME": str(tmp_path), "IMGINDEX_DIR": str(tmp_path / "index")}
    code = "import imgindex.server.run as run, imgindex.migrations as migrations; print(run.__file__)"
    place = run(installed / "python", "-P", "-c", code, cwd=tmp_path, env=environment)
    assert Path(place).is_relative_to(installed.parent)
    assert "Usage: imgindex" in run(program, "--help", cwd=tmp_path, env=environment)
    assert run(program, "--version", cwd=tmp_path, env=environment) == f"imgindex {imgindex.__version__}\n"
    assert run(installed / "python", "-m", "imgindex", "--version", cwd=tmp_path, env=environment) == (
        f"imgindex {imgindex.__version__}\n"
    )
    assert '"vgg16-gem"' in run(program, "models", "--json", cwd=tmp_path, env=environment)


def test_what_is_installed_serves(installed, tmp_path):
    environment = os.environ | {"HOME": str(tmp_path), "IMGINDEX_DIR": str(tmp_path / "index")}
    command = [str(installed / "imgindex"), "serve", "--port", "0"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            line = next(line for line in server.stderr if line.startswith("Serving"))
            address = line.split(" at ")[1].split(",")[0]
            with urllib.request.urlopen(f"{address}/health", timeout=30) as answer:
                assert answer.status == 200
        finally:
            server.terminate()


def test_the_checkout_can_lose_its_links(checkout, tmp_path):
    """An editable installation finds server/ and migrations/ by the table in pyproject.toml."""
    folder = tmp_path / "venv"
    run(UV, "venv", "--quiet", "--offline", "--python", sys.executable, folder)
    packages = next(p for p in sys.path if p.endswith("site-packages"))
    (next((folder / "lib").iterdir()) / "site-packages" / "beside.pth").write_text(f"{packages}\n")
    install = [UV, "pip", "install", "--quiet", "--offline", "--no-build-isolation", "--no-deps", "--python"]
    run(*install, folder / "bin/python", "--editable", checkout)
    code = "import imgindex.server, imgindex.migrations; print(imgindex.server.__file__)"
    assert run(folder / "bin/python", "-c", code, cwd=tmp_path).strip() == f"{checkout}/server/__init__.py"
