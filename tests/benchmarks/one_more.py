"""One more image into an open index, against the bare forward pass of one image."""

import tempfile
import time
from collections.abc import Iterator
from statistics import median

from imgindex import ImageIndex
from imgindex.models.registry import load_embedder
from tests.benchmarks.photos import photos, pixels

HELD, TIMES = 256, 30


def rows() -> Iterator[tuple[str, ...]]:
    paths = photos()
    embedder = load_embedder("vgg16-gem")
    one = pixels(paths[:1])
    with tempfile.TemporaryDirectory() as folder, ImageIndex(folder, embedder=embedder) as index:
        index.add(paths[:HELD])
        bare, added = [], []
        for path in paths[HELD : HELD + TIMES]:  # alternating, as machines are noisy
            bare.append(_milliseconds(lambda: embedder.embed(one)))
            added.append(_milliseconds(lambda path=path: index.add([path])))
    limit = 1.25 * median(bare) + 15
    measured = f"{median(added):.0f} ms (bare {median(bare):.0f} ms)"
    yield f"one more image into an open index, median of {TIMES}", measured, f"<= 1.25 x bare + 15 = {limit:.0f} ms"


def _milliseconds(call) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000
