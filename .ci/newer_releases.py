"""Set-up must install what the lock says, whatever was released since: python .ci/newer_releases.py [COMMIT]

Makes a newer, empty release of every package in the lock, shows the folder of them to pip and uv beside the package
index, and sets up a fresh clone of COMMIT (HEAD by default): once with the pip that this Python ships, once with the
oldest pip that a Python we support ships (3.11.0's), which fetches uv. What is installed then must be the lock.
"""

import os
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

OLDEST = "pip==22.3 --hash=sha256:1daab4b8d3b97d1d763caeb01a4640a2250a0ea899e257b1e44b9eded91e15ab"
NEWER = "9999.0"


def locked(lock: Path) -> set[tuple[str, str]]:
    """Names and versions; a name may have several, each for some Pythons."""
    return set(re.findall(r"^([a-z0-9._-]+)==([^ ;\\]+)", lock.read_text(), re.MULTILINE))


def make_release(name: str, folder: Path) -> None:
    """An empty wheel of a version that no package has reached."""
    stem = f"{name.replace('-', '_').replace('.', '_')}-{NEWER}"
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as wheel:
        info = f"{stem}.dist-info"
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {NEWER}\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: made\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")


def set_up(clone: Path, releases: Path, pip: str | None) -> str | None:
    """Run `make setup` in a clone; what went wrong, or None."""
    links = os.environ.get("PIP_FIND_LINKS", "")
    environment = os.environ | {"PIP_FIND_LINKS": f"{links} {releases}".strip(), "UV_FIND_LINKS": str(releases)}
    command = ["make", "setup", *([f"PIP={pip} --python .venv/bin/python"] if pip else [])]
    done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        return f"make setup failed:\n{done.stdout[-1500:]}{done.stderr[-1500:]}"
    want = locked(clone / "requirements.lock")
    code = "import importlib.metadata as m; print(*[d.name + '==' + d.version for d in m.distributions()])"
    python = clone / ".venv/bin/python"
    shown = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    have = {(re.sub(r"[-_.]+", "-", name).lower(), version) for name, version in (d.split("==", 1) for d in shown)}
    wrong = sorted(pair for pair in have - want if pair[0] != "imgindex")
    return f"not as locked: {wrong}" if wrong or len(have) < len(want) / 2 else None


def main() -> None:
    commit = sys.argv[1] if len(sys.argv) > 1 else "HEAD"
    root = Path(__file__).resolve().parent.parent
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        clone, releases, old = base / "clone", base / "releases", base / "old"
        subprocess.run(["git", "clone", "--quiet", root, clone], check=True)
        subprocess.run(["git", "checkout", "--quiet", "--detach", commit], cwd=clone, check=True)
        releases.mkdir()
        packages = {package for package, _ in locked(clone / "requirements.lock")}
        for package in packages:
            make_release(package, releases)
        subprocess.run([sys.executable, "-m", "venv", old], check=True)
        (base / "oldest.txt").write_text(OLDEST)
        subprocess.run(
            [old / "bin/pip", "install", "--quiet", "--require-hashes", "-r", base / "oldest.txt"], check=True
        )
        for title, pip in (("the pip that Python ships", None), ("pip 22.3", f"{old}/bin/pip")):
            wrong = set_up(clone, releases, pip)
            if wrong:
                sys.exit(f"With a newer release of each package, and {title}: {wrong}")
            print(f"With a newer release of {len(packages)} packages, and {title}: as locked.")
            (clone / ".venv/ready").unlink()


if __name__ == "__main__":
    main()
