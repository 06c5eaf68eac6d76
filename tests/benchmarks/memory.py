"""Is memory flat while adding? The peak of a process that adds 960 files, and of one that adds 9,600."""

import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from imgindex import ImageIndex
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
        few, many = _peak(str(FOLDER), f"{folder}/few"), _peak(str(copies), f"{folder}/many")
    measured = f"{many / few - 1:+.0%} ({few:.0f} to {many:.0f} MB)"
    yield f"peak memory of `add`, {10 * count} files against {count} (without the model)", measured, "<= +10%"


def _peak(pictures: str, index: str) -> float:
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.memory", pictures, index], check=True, capture_output=True, text=True
    )
    return float(done.stdout)


if __name__ == "__main__":
    with ImageIndex(sys.argv[2], embedder=ReadyEmbedder(512)) as opened:
        opened.add([sys.argv[1]])
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
