"""100,000 images of 4,096 numbers for real; a million by its slope, and its index for real."""

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np

from imgindex import ImageIndex
from imgindex.records import File, Image
from imgindex.search.faiss_file import FaissFile
from imgindex.search.faiss_index import FaissIndex
from imgindex.search.projection import GROWING, likeness, unit
from tests.benchmarks.synthetic import ReadyEmbedder, decoded, embeddings

COUNT, DIMENSION, QUERIES = 100_000, 4096, 200
MILLION, RANK = 1_000_000, 64


def rows() -> Iterator[tuple[str, ...]]:
    with tempfile.TemporaryDirectory() as folder:
        sizes = {count: _measured(Path(folder) / str(count), count) for count in (COUNT // 4, COUNT)}
        opening, peak, p50, recall = sizes[COUNT]
        what = f"{COUNT:,} images of {DIMENSION:,} numbers"
        yield f"{what}: opening and a first query", f"{opening:.2f} s, {peak:.0f} MB", "<= 3 s, 1 GB"
        yield f"{what}: query p50", f"{p50:.1f} ms", "<= 15 ms"
        yield f"{what}: recall@10 against exact search", f"{recall:.3f}", ">= .98"
        slope = (sizes[COUNT][1] - sizes[COUNT // 4][1]) / (COUNT - COUNT // 4)
        yield (
            "memory of an open index, by that slope, at a million images",
            f"{peak + slope * (MILLION - COUNT):.0f} MB",
            "-",
        )
    megabytes, p50, recall = _million()
    yield "a million vectors, approximate index: query p50, recall@10", f"{p50:.1f} ms, {recall:.3f}", "recall >= .98"
    yield (
        "a million vectors, approximate index: file",
        f"{megabytes:.0f} MB (exact: {MILLION * RANK * 4 / 1e6:.0f} MB)",
        "less",
    )


def _measured(folder: Path, count: int) -> list[float]:
    with ImageIndex(folder, embedder=ReadyEmbedder(DIMENSION)) as index:
        _fill(index, count)
        index.similar(1)
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.large", str(folder)], check=True, capture_output=True, text=True
    )
    return [float(number) for number in done.stdout.split()]


def _fill(index: ImageIndex, count: int) -> None:
    """What `add` would record, without making 100,000 pictures."""
    number = 0
    for part in embeddings(count, DIMENSION):
        with index._store.transaction():
            index._model.begin()
            for vector in part:
                number += 1
                image = index._store.add_image(Image(0, number.to_bytes(32, "big"), 1, 1, 1), vector, decoded())
                index._store.images.put_file(File(f"/synthetic/{number}.jpg", image, 1, 1))
        index._neighbours.fit_if_due(GROWING)


def _open(folder: str) -> None:
    """In a process of its own: seconds to open, peak MB, ms a query, recall@10."""
    began = time.perf_counter()
    with ImageIndex(folder) as index:
        index.similar(1)
        opening = time.perf_counter() - began
        rng = np.random.default_rng(1)
        queries = [int(one) for one in rng.integers(1, index.counts().images, QUERIES)]
        taken, found = [], []
        for query in queries:
            began = time.perf_counter()
            found.append({hit.id for hit in index.similar(query, k=10).results})
            taken.append(time.perf_counter() - began)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        truth = _exact(index, queries)
    recall = np.mean([len(one & other) / 10 for one, other in zip(found, truth, strict=True)])
    print(opening, peak, median(taken) * 1000, recall)


def _exact(index: ImageIndex, queries: list[int]) -> list[set[int]]:
    """The ten nearest by plain arithmetic in the compare space."""
    space = index._store.embeddings.projection(index._store.embeddings.state().space)
    parts = [
        (ids, likeness(vectors, space)) for ids, vectors in index._store.embeddings.scan(index._store.embeddings.ids())
    ]
    ids, vectors = np.concatenate([part for part, _ in parts]), np.concatenate([part for _, part in parts])
    order = [int(np.searchsorted(ids, query)) for query in queries]
    cosines = vectors[order] @ vectors.T
    cosines[np.arange(len(order)), order] = -2
    return [{*ids[np.argpartition(-row, 10)[:10]].tolist()} for row in cosines]


def _million() -> tuple[float, float, float]:
    parts = [unit(part[:, :RANK]) for part in embeddings(MILLION + 1_000, RANK * 4)]
    index = FaissIndex()
    for number, part in enumerate(parts[:-1]):
        index.upsert(np.arange(len(part)) + number * len(part), part)
    queries = parts[-1][:QUERIES]
    truth = np.argsort(-queries @ np.concatenate(parts[:-1]).T, axis=1)[:, :10]
    taken, found = [], []
    for query in queries:
        began = time.perf_counter()
        found.append(index.search(query[None], 10)[0][0])
        taken.append(time.perf_counter() - began)
    recall = np.mean([len({*one} & {*other}) / 10 for one, other in zip(found, truth, strict=True)])
    with tempfile.TemporaryDirectory() as folder:
        FaissFile(Path(folder) / "vectors").save(index, {})
        megabytes = (Path(folder) / "vectors").stat().st_size / 1e6
    return megabytes, median(taken) * 1000, float(recall)


if __name__ == "__main__":
    _open(sys.argv[1])
