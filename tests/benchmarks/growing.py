"""Does one more image cost more in a large index? And how long does a report on 100,000 images take?

The model's time is left out, as it is the same for each. Vectors are synthetic, local features those of real photos.
"""

import itertools
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

import cv2
import numpy as np

from imgindex import ImageIndex
from imgindex.decoding.local_features import describe
from imgindex.duplicates.candidates import NEAREST, own_lists
from imgindex.records import File, Image
from imgindex.retention.relations import same_pixels
from imgindex.search.projection import GROWN
from tests.benchmarks.commands import PROGRAM
from tests.benchmarks.photos import photos
from tests.benchmarks.synthetic import PART, ReadyEmbedder, decoded, embeddings

SMALL, LARGE, DIMENSION = 1_000, 100_000, 512
GROUPS, TIMES, DESCRIBED = 10_000, 30, 480


class _HeldOut(ReadyEmbedder):
    """Vectors like those in the index, one after another."""

    def __init__(self, vectors: np.ndarray) -> None:
        super().__init__(DIMENSION)
        self._left = iter(vectors)

    def embed(self, pixels: np.ndarray) -> np.ndarray:
        return np.stack(list(itertools.islice(self._left, len(pixels))))


def rows() -> Iterator[tuple[str, ...]]:
    new, described = photos()[:TIMES], photos()[TIMES : TIMES + DESCRIBED]
    descriptions = describe_all(described)
    with tempfile.TemporaryDirectory() as scratch:
        folders = {count: Path(scratch) / str(count) for count in (SMALL, LARGE)}
        indexes = {count: filled(folder, count, descriptions) for count, folder in folders.items()}
        taken: dict[int, list[float]] = {count: [] for count in indexes}
        for path, count in itertools.product(new, indexes):  # alternating, as machines are noisy
            began = time.perf_counter()
            indexes[count].add([path])
            indexes[count].duplicates.prove()
            taken[count].append((time.perf_counter() - began) * 1000)
        for index in indexes.values():
            index.close()
        small, large = (median(taken[count][1:]) for count in (SMALL, LARGE))  # the first one opens files
        yield (
            f"one more image at {LARGE:,} against {SMALL:,}, without the model, median of {TIMES - 1}",
            f"{large / small:.2f} ({large:.0f}, {small:.0f} ms)",
            "<= 1.5",
        )
        yield from _report(folders[LARGE])


def describe_all(paths: Sequence[Path]) -> list[bytes]:
    """The local features of some photos."""
    return [describe(cv2.imread(str(path))[..., ::-1].copy()) for path in paths]


def _report(folder: Path) -> Iterator[tuple[str, ...]]:
    command = [PROGRAM, "report", "--json", "--index", str(folder)]
    seconds = []
    for _ in range(4):
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        seconds.append(time.perf_counter() - began)
    what = f"`imgindex report` on {LARGE:,} images, {GROUPS:,} groups, whole process"
    yield f"{what}, median of 3", f"{median(seconds[1:]):.2f} s (first: {seconds[0]:.2f} s)", "< 2 s"
    traced = subprocess.run([sys.executable, "-X", "importtime", *command], check=True, capture_output=True, text=True)
    heavy = [name for name in ("tensorflow", "sklearn", "faiss", "cv2") if f" {name}\n" in traced.stderr]
    yield f"{what}: heavy imports", ", ".join(heavy) or "none", "no tensorflow"


def filled(folder: Path, count: int, descriptions: list[bytes]) -> ImageIndex:
    """An open index as if so many images had been added, and all of their pairs looked at."""
    *parts, held_out = embeddings(count + PART, DIMENSION)
    index = ImageIndex(folder, embedder=_HeldOut(held_out))
    random = np.random.default_rng(0)
    numbers = itertools.count(1)
    for part in parts:
        with index._store.transaction():
            index._model.begin()
            for vector, description in zip(part, random.integers(0, len(descriptions), len(part)), strict=True):
                number = next(numbers)
                unique = number.to_bytes(32, "big")
                read = decoded(unique, descriptions[description])
                image = index._store.add_image(Image(0, unique, 640, 480, 1), vector, read)
                index._store.images.put_file(File(f"/synthetic/{number % 100}/{number}.jpg", image, 1, 1))
    index._neighbours.fit_if_due(GROWN)
    index._neighbours.follow()
    _list_all(index)
    return index


def _list_all(index: ImageIndex) -> None:
    """What would be recorded in an hour: everyone's nearest, nothing proven but GROUPS of two to four images."""
    store, evidence = index._store, index.duplicates._matches
    index._near.follow()
    lists = {}
    for ids, vectors in store.embeddings.scan(store.embeddings.ids()):
        lists |= own_lists(ids, *index._near.around(vectors, NEAREST + 1, ids[:0], ids[:0].astype("f4"))[:2])
    evidence.put_lists(store.embeddings.state().space, lists, {image: near[-1][1] for image, near in lists.items()})
    free, proven = set(lists), []
    for image in lists:
        if len(proven) == GROUPS:
            break
        members = [other for other, _ in lists[image] if other in free][: 1 + image % 3]
        if image in free and members:
            proven.append([(min(image, other), max(image, other)) for other in members])
            free -= {image, *members}
    with store.transaction():
        store.database.write(
            """INSERT INTO pairs SELECT DISTINCT min(image, other), max(image, other), 'none', 0, 0, '[]', 0, 0, 0
            FROM nearest""",
            [()],
        )
        store.database.write(
            """UPDATE pairs SET kind = 'copy', score = .9, inliers = 40, transform = '[1, 0, 0, 0, 1, 0, 0, 0, 1]',
            overlap = 1 WHERE a = ? AND b = ?""",
            [pair for group in proven for pair in group],
        )
        store.database.write("UPDATE lists SET proven = 1", [()])
        index.duplicates._looks._relations.put(
            replace(same_pixels(*pair), kind="version", finer=0.5) for group in proven for pair in group
        )
