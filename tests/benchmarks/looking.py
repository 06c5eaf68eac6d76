"""What it costs to know what a file holds, to look at two files beside each other, and to look for a folder."""

import itertools
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from imgindex import ImageIndex
from imgindex.comparison.second_look import look
from imgindex.decoding.inspection import facts_of
from imgindex.decoding.local_features import describe
from imgindex.decoding.reading import File, decode
from imgindex.duplicates.verification import prove
from imgindex.models.registry import load_embedder
from tests.benchmarks.photos import FOLDER, photos, pixels
from tests.benchmarks.relations import edits, jpeg, load, seen, versions

FACTS, LOOKS = 60, 4  # files, and photos of which all versions and edits are looked at
SMALLEST = 224  # pixels of a side, as for a model
HELD, ASKED = 960, 500  # images of the collection, and files that are looked for in it
BATCH = 32
QUALITY = 80  # of the half of what is looked for that is not there byte for byte


def rows() -> Iterator[tuple[str, ...]]:
    cv2.setNumThreads(1)
    yield _facts()
    yield from _looks()
    yield from contains(HELD, ASKED)


def _facts() -> tuple[str, ...]:
    read = [path.read_bytes() for path in photos()[:FACTS]]
    reduced = [(data, decode(File(np.frombuffer(data, np.uint8), ""), SMALLEST)) for data in read]
    taken = [_of_one_core(lambda data=data, picture=picture: facts_of(data, picture)) for data, picture in reduced]
    return f"facts of {FACTS} files, beside decoding, median and p95", _middle(taken), "<= 2 ms"


def _looks() -> Iterator[tuple[str, ...]]:
    taken = []
    loaded = load(FOLDER, 12, 5)
    for number, image in enumerate(loaded[:LOOKS]):
        rng = random.Random(number)
        for _, edit in itertools.chain(versions(image, rng), edits(image, loaded[LOOKS:], rng)):
            other = np.ascontiguousarray(edit)
            proof = prove(describe(image), describe(other))
            if proof:
                a, b = seen(image), seen(other)
                taken.append(_of_one_core(lambda a=a, b=b, proof=proof: look(a, b, proof.transform)))
    yield f"a second look, beside decoding, {len(taken)} pairs, median and p95", _middle(taken), "<= 60 ms"


def contains(held: int, asked: int) -> Iterator[tuple[str, ...]]:
    """Half of what is asked for is smaller and compressed, of photos of the collection or of the others."""
    embedder = load_embedder("vgg16-gem")
    paths = photos()
    with tempfile.TemporaryDirectory() as scratch, ImageIndex(Path(scratch) / "index", embedder=embedder) as index:
        index.add(paths[:held])
        folder = Path(scratch) / "asked"
        folder.mkdir()
        for number in range(asked):
            path, target = paths[-1 - number], folder / f"{number}.jpg"
            if number % 2:
                image = cv2.imread(str(path))
                cv2.imwrite(str(target), jpeg(image[..., ::-1], QUALITY)[..., ::-1])
            else:
                shutil.copyfile(path, target)
        new = [path for path in folder.iterdir() if int(path.stem) % 2]
        ready = pixels(new)
        embedder.embed(ready[:1])
        bare = sum(_milliseconds(lambda s=s: embedder.embed(ready[s : s + BATCH])) for s in range(0, len(ready), BATCH))
        took = _milliseconds(lambda: index.contents.of_folder(folder))
        yield (
            f"`contains` of {asked} files against {held}, half of them new bytes, against the bare model for these",
            f"{took / bare:.2f} ({took / 1000:.0f}, {bare / 1000:.0f} s)",
            "<= 1.3",
        )


def _milliseconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000


def _of_one_core(call: Callable[[], object]) -> float:
    """Milliseconds of this process, whatever else the machine is at."""
    began = time.process_time()
    call()
    return (time.process_time() - began) * 1000


def _middle(taken: list[float]) -> str:
    middle, late = np.percentile(taken, (50, 95))
    return f"{middle:.1f}, {late:.1f} ms"
