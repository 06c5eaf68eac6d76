"""Is what `similar` finds alike? By class, and for a shrunk or cropped copy of an indexed photo."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from imgindex import ImageIndex
from tests.benchmarks.photos import photos

QUERIES = 320  # photos that copies are made of


def rows() -> Iterator[tuple[str, ...]]:
    paths = photos()
    with tempfile.TemporaryDirectory() as folder, ImageIndex(f"{folder}/index", model="vgg16-gem") as index:
        index.add(paths)
        precision, average = by_class(index, paths)
        yield "like by class, 960 photos, P@10", f"{precision:.3f}", ">= .74"
        yield "like by class, 960 photos, mAP", f"{average:.3f}", ">= .58"
        half, crop = copies_found(index, paths[:QUERIES], Path(folder))
        yield f"half-size JPEG 60 finds its photo first, {QUERIES} photos", f"{half:.1%}", ">= 99%"
        yield f"7/8 crop finds its photo first, {QUERIES} photos", f"{crop:.1%}", ">= 97%"


def by_class(index: ImageIndex, paths: list[Path]) -> tuple[float, float]:
    precisions, averages = [], []
    for path in paths:
        results = index.similar(path, k=len(paths)).results
        right = np.array([Path(hit.path).parent == path.parent for hit in results])
        precisions.append(right[:10].mean())
        averages.append((right.cumsum() / np.arange(1, len(right) + 1))[right].mean())
    return float(np.mean(precisions)), float(np.mean(averages))


def copies_found(index: ImageIndex, paths: list[Path], folder: Path) -> tuple[float, float]:
    rng = np.random.default_rng(0)
    found = {"half": 0, "crop": 0}
    for path in paths:
        image = cv2.imread(str(path))
        height, width = image.shape[:2]
        y, x = rng.integers(0, height // 8 + 1), rng.integers(0, width // 8 + 1)
        half = cv2.resize(image, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
        cv2.imwrite(f"{folder}/half.jpg", half, [cv2.IMWRITE_JPEG_QUALITY, 60])
        cv2.imwrite(f"{folder}/crop.png", image[y : y + height * 7 // 8, x : x + width * 7 // 8])
        for name, file in (("half", "half.jpg"), ("crop", "crop.png")):
            found[name] += index.similar(folder / file, k=1).results[0].path == str(path)
    return found["half"] / len(paths), found["crop"] / len(paths)
