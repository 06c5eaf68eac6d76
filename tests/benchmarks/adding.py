"""Does the model ever wait? The rate of `add` against the bare model on ready-made batches."""

import tempfile
import time
from collections.abc import Iterator
from statistics import median

from imgindex import ImageIndex
from imgindex.ingest.pipeline import BATCH
from imgindex.models.registry import load_embedder
from tests.benchmarks.photos import photos, pixels

ROUNDS = 3


def rows() -> Iterator[tuple[str, ...]]:
    paths = photos()
    embedder = load_embedder("vgg16-gem")
    embedder.embed(pixels(paths[:BATCH]))
    bare, added, proven = [], [], []
    part = len(paths) // ROUNDS
    for start in range(0, len(paths), part):
        taken = paths[start : start + part]
        ready = pixels(taken)
        began = time.perf_counter()
        for first in range(0, part, BATCH):
            embedder.embed(ready[first : first + BATCH])
        bare.append(part / (time.perf_counter() - began))
        with tempfile.TemporaryDirectory() as folder, ImageIndex(folder, embedder=embedder) as index:
            began = time.perf_counter()
            index.add(taken)
            added.append(part / (time.perf_counter() - began))
            began = time.perf_counter()
            index.duplicates.prove()
            proven.append((time.perf_counter() - began) / part * 1000)
    ratio = median(a / b for a, b in zip(added, bare, strict=True))
    what = f"`add` of {len(paths)} photos, rate against the bare model, median ratio of {ROUNDS} rounds"
    yield what, f"{ratio:.0%} ({median(added):.1f} images/s)", ">= 90%"
    yield "`prove` after that, for each image", f"{median(proven):.0f} ms", "-"
