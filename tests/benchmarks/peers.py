"""Other duplicate finders on the same files: python -m tests.benchmarks.peers FOLDER...

A folder is one that ../shared/tools/transformed.py made. Each tool is installed from PyPI into a virtual environment of
its own under ~/.cache/imgindex-peers, and runs as its documentation shows, with its defaults. Precision and recall are
over pairs of files: all pairs of each group, or the pairs themselves where a tool gives those. Seconds are of the whole
process. A tool that fails stands in the table with the reason.
"""

import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "imgindex-peers"
LIMIT = 1800  # seconds for an installation or a run

Pairs = set[tuple[str, str]]


@dataclass(frozen=True)
class Peer:
    """A tool, and the Python that makes `groups` of `folder` with it."""

    name: str
    package: str  # as pip takes it; empty: in this environment
    code: str
    pythons: tuple[str, ...] = ("3.12", "3.13", "3.11")


def _immaculate(method: str) -> Peer:
    code = f"""
        from immaculate import find_duplicates
        result = find_duplicates(folder, method="{method}")
        groups = [*result.exact, *result.near]"""
    return Peer(f"Immaculate {method}", "immaculate[sscd]", code, ("3.12", "3.13"))


def _imagededup(method: str) -> Peer:
    code = f"""
        from imagededup.methods import {method}
        found = {method}(verbose=False).find_duplicates(image_dir=folder)
        groups = [(a, b) for a, others in found.items() for b in others]"""
    return Peer(f"imagededup {method}", "imagededup", code)  # CNN downloads its weights from pytorch.org


PEERS = (
    Peer(
        "imgindex",
        "",
        """
        from imgindex import ImageIndex
        with ImageIndex(scratch, model="vgg16-gem") as index:
            index.add([folder])
            groups = [[file.path for file in group.files] for group in index.duplicates.find().groups]""",
    ),
    _immaculate("pdq"),
    _immaculate("phash"),
    _immaculate("sscd"),
    _immaculate("sscd_distilled"),
    _imagededup("PHash"),
    _imagededup("CNN"),
    Peer(
        "fastdup",
        "fastdup",
        """
        import fastdup
        found = fastdup.create(work_dir=scratch, input_dir=folder)
        found.run(print_summary=False)
        groups = found.connected_components_grouped()["files"]""",
    ),
    Peer(  # czkawka_cli itself is neither on PyPI nor in Debian
        "czkawka (its Python binding)",
        "czkawka",
        """
        from pathlib import Path
        from czkawka import ImageSimilarity
        finder = ImageSimilarity()
        finder.set_directories([Path(folder)])
        groups = finder.find_similar()""",
    ),
    Peer(  # clustimage's hashes, grouped
        "undouble phash",
        "undouble",
        """
        from undouble import Undouble
        model = Undouble(method="phash", verbose=60)
        model.import_data(folder)
        model.compute_hash()
        model.group()
        groups = model.results["select_pathnames"]""",
    ),
    Peer(
        "difPy similar",
        "difPy",
        """
        import difPy
        built = difPy.build(folder, show_progress=False)
        found = difPy.search(built, similarity="similar", same_dim=False, show_progress=False).result
        groups = [(a, match[0]) for a, matches in found.items() for match in matches]""",
    ),
)

WRAPPER = """
import importlib.metadata, json, sys
if __name__ == "__main__":  # some start processes that read this file again
    folder, scratch, answer, package = sys.argv[1:]
    {code}
    with open(answer, "w") as file:
        groups = [[str(path) for path in group] for group in groups]
        json.dump({{"groups": groups, "version": importlib.metadata.version(package)}}, file)
"""


class PeerError(Exception):
    """Why a peer has no figures, in a line."""


def pairs(groups: Iterable[Iterable[str]]) -> Pairs:
    """Every two files of a group, in order."""
    return {pair for group in groups for pair in itertools.combinations(sorted({*group}), 2)}


def true_pairs(labels: Mapping[str, str]) -> Pairs:
    """Every two files with the same label."""
    groups: dict[str, list[str]] = {}
    for file, label in labels.items():
        groups.setdefault(label, []).append(file)
    return pairs(groups.values())


def rates(found: Pairs, truth: Pairs) -> tuple[float, float]:
    """Precision and recall."""
    right = len(found & truth)
    return right / max(1, len(found)), right / max(1, len(truth))


def run(peer: Peer, folder: Path, scratch: Path) -> tuple[str, list[list[str]], float]:
    """Its version, the groups of file names that it finds, and seconds. Raises PeerError."""
    python = _environment(peer)
    scratch.mkdir(parents=True, exist_ok=True)
    script, answer = scratch / "run.py", scratch / "answer.json"
    script.write_text(WRAPPER.format(code=peer.code.replace("\n    ", "\n").strip()))
    began = time.perf_counter()
    _call([python, script, folder, scratch / "work", answer, peer.package.split("[")[0] or "imgindex"])
    seconds = time.perf_counter() - began
    answered = json.loads(answer.read_text())
    return answered["version"], [[Path(path).name for path in group] for group in answered["groups"]], seconds


def _environment(peer: Peer) -> str:
    if not peer.package:
        return sys.executable
    home = CACHE / peer.package.partition("[")[0]
    python = home / "bin" / "python"
    if not (home / "installed").exists():
        _call([_python(peer.pythons), "-m", "venv", "--clear", home])
        _call([python, "-m", "pip", "install", "--quiet", peer.package])
        (home / "installed").touch()
    return str(python)


def _python(versions: tuple[str, ...]) -> str:
    for version in versions:
        for path in (
            sys.executable,
            f"python{version}",
            *map(str, Path.home().glob(f".pyenv/versions/{version}.*/bin/python")),
        ):
            try:
                asked = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
            except OSError:
                continue
            if asked.stdout.startswith(f"Python {version}."):
                return path
    raise PeerError(f"needs Python {' or '.join(versions)}")


def _call(command: list[object]) -> None:
    quiet = {"MPLBACKEND": "Agg", "SENTRY_OPT_OUT": "True", "TQDM_DISABLE": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    try:
        done = subprocess.run(
            [str(word) for word in command],
            env={**os.environ, **quiet}, capture_output=True, text=True, timeout=LIMIT, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise PeerError(f"not done after {LIMIT} s") from None
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip() or f"ended with {done.returncode}").splitlines()
        raise PeerError(lines[-1][:200])


def table(folder: Path, scratch: Path) -> Iterator[tuple[str, ...]]:
    """A row for each peer: tool, version, precision, recall, seconds."""
    truth = true_pairs({path.name: path.name.split("_")[0] for path in folder.glob("*_*.jpg")})
    for number, peer in enumerate(PEERS):
        try:
            version, groups, seconds = run(peer, folder, scratch / str(number))
        except PeerError as error:
            yield peer.name, "-", f"no figures: {error}", "", ""
            continue
        precision, recall = rates(pairs(groups), truth)
        yield peer.name, version, f"{precision:.4f}", f"{recall:.4f}", f"{seconds:.1f}"


def main() -> None:
    if not sys.argv[1:]:
        sys.exit(__doc__)
    for name in sys.argv[1:]:
        folder = Path(name).resolve()
        print(f"\n{folder.name}: {sum(1 for _ in folder.iterdir())} files\n", flush=True)
        print("| tool | version | precision | recall | seconds |\n|---|---|---|---|---|", flush=True)
        with tempfile.TemporaryDirectory() as scratch:
            for row in table(folder, Path(scratch)):
                print("|", " | ".join(row), "|", flush=True)


if __name__ == "__main__":
    main()
