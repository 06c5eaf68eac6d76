"""Is memory flat while adding? The peak of a process that adds 960 files, and of one that adds 9,600.

Without the model, whose gigabyte would hide a slope, and with it: there it embeds the first 96 images, enough to reach
its peak, and random numbers stand in after that, so that the benchmark takes minutes instead of an hour.
"""

import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from imgindex import ImageIndex
from imgindex.models.registry import load_embedder
from tests.benchmarks.photos import FOLDER, photos
from tests.benchmarks.synthetic import ReadyEmbedder


def rows() -> Iterator[tuple[str, ...]]:
    count = len(photos())
    with tempfile.TemporaryDirectory() as folder:
        copies = Path(folder) / "pictures"
        for number in range(10):
            for path in photos():
                target = copies / str(number) / path.parent.name / path.name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)
                with open(target, "ab") as file:  # other bytes, the same picture
                    file.write(bytes([number]))
        for name in ("vgg16-gem", "no model"):
            few = _peak(name, str(FOLDER), f"{folder}/{name}-few")
            many = _peak(name, str(copies), f"{folder}/{name}-many")
            measured = f"{many / few - 1:+.0%} ({few:.0f} to {many:.0f} MB)"
            asked = "<= +10%" if name == "vgg16-gem" else "-"
            yield f"peak memory of `add`, {10 * count} files against {count}, {name}", measured, asked


def _peak(model: str, pictures: str, index: str) -> float:
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.memory", model, pictures, index],
        check=True,
        capture_output=True,
        text=True,
    )
    return float(done.stdout)


class _RealAtFirst(ReadyEmbedder):
    def __init__(self) -> None:
        super().__init__(512)
        self._model, self._left = load_embedder("vgg16-gem"), 96

    def embed(self, pixels: np.ndarray) -> np.ndarray:
        self._left -= len(pixels)
        return self._model.embed(pixels) if self._left >= 0 else super().embed(pixels)


if __name__ == "__main__":
    embedder = _RealAtFirst() if sys.argv[1] == "vgg16-gem" else ReadyEmbedder(512)
    with ImageIndex(sys.argv[3], embedder=embedder) as opened:
        opened.add([sys.argv[2]])
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
