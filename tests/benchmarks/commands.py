"""How long whole commands take that need no model, on an index of 960 photos."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from imgindex import ImageIndex
from tests.benchmarks.photos import FOLDER, photos
from tests.benchmarks.synthetic import ReadyEmbedder

TIMES = 7
PROGRAM = str(Path(sys.executable).parent / "imgindex")


def rows() -> Iterator[tuple[str, ...]]:
    count = len(photos())
    with tempfile.TemporaryDirectory() as folder:
        with ImageIndex(folder, embedder=ReadyEmbedder(512)) as index:
            index.add([FOLDER])
        for name, arguments, limit in (
            (f"add again over {count} unchanged files", ["add", str(FOLDER)], 1.5),
            ("similar --id", ["similar", "--id", "1"], 0.7),
            ("check", ["check"], 0.7),
            ("--help", ["--help"], 0.7),
        ):
            index_option = [] if name == "--help" else ["--index", folder]
            taken = [_seconds([PROGRAM, *arguments, *index_option]) for _ in range(TIMES)]
            yield f"`imgindex {name}`, whole process, median of {TIMES}", f"{median(taken):.2f} s", f"< {limit} s"


def _seconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began
