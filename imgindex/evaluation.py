"""How well does the index find copies among a user's own photos? Edits of a sample of them tell."""

import itertools
import random
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np

from imgindex.duplicates.records import Group
from imgindex.errors import StorageError, UsageError
from imgindex.index import ImageIndex
from imgindex.models.base import Embedder
from imgindex.reports.records import Calibration
from imgindex.types import Pixels, Progress

DEFAULT = 40  # photos: with their edits 280 pictures, a minute on a slow machine, and enough for a compare space
LEAST = 3
_LARGEST = 1 << 20  # pixels of a sample; the index looks at fewer
_ORIGINAL = "original"


def _half(image: Pixels) -> Pixels:
    height, width = image.shape[:2]
    small = _resized(image, max(1, width // 2), max(1, height // 2))
    jpeg = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 60])[1]
    return np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), np.uint8)


def _turned(image: Pixels) -> Pixels:
    height, width = image.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), 25, 1)
    return np.asarray(cv2.warpAffine(image, turn, (width, height)), np.uint8)


def _resized(image: Pixels, width: int, height: int) -> Pixels:
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


# (H, W, 3) to another one. After imagededup's benchmark, with a picture sent by a messenger added.
EDITS: dict[str, Callable[[Pixels], Pixels]] = {
    "crop": lambda image: image[image.shape[0] // 8 :, image.shape[1] // 8 :],
    "hflip": lambda image: image[:, ::-1],
    "vflip": lambda image: image[::-1],
    "rot": _turned,
    "square": lambda image: _resized(image, *(min(image.shape[:2]),) * 2),
    "half": _half,
}


def calibrate(
    pictures: Sequence[Pixels], embedder: Embedder, folder: Path, progress: Progress | None = None
) -> Calibration:
    """Index (H, W, 3) uint8 RGB pictures and EDITS of each, and count what is found; they are read one after another.

    No two of the pictures may be copies of each other, as that would count as an error: pass one of each group of
    duplicates. What is written goes into a folder inside `folder`, and is gone afterwards; `progress` is as for
    `ImageIndex.add`. Raises UsageError for fewer than LEAST pictures.
    """
    if len(pictures) < LEAST:
        raise UsageError(f"calibrate needs at least {LEAST} photos that are not copies of each other; add more first.")
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="calibrate-", dir=folder) as made:
        files = Path(made) / "pictures"
        files.mkdir()
        for number, picture in enumerate(pictures):
            _write(picture, number, files)
        with ImageIndex(Path(made) / "index", embedder=embedder) as index:
            index.add([files], progress=progress)
            found = list(_pairs(index.duplicates.find().groups))
    right = [(edit, other) for (photo, edit), (same, other) in found if photo == same]
    by_edit = {edit: sum({*pair} == {_ORIGINAL, edit} for pair in right) for edit in EDITS}
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Calibration(now, len(pictures), len(found), len(right), by_edit, time.monotonic() - start)


def evaluate(index: ImageIndex, *, photos: int = DEFAULT, progress: Progress | None = None) -> Calibration:
    """Measure an index with pictures of its own, and have it remember the result. Raises as `calibrate`."""
    result = calibrate(sample(index, photos), index.embedder, index.folder, progress)
    index.duplicates.put_calibration(result.sentence(), asdict(result))
    return result


def sample(index: ImageIndex, count: int) -> list[Pixels]:
    """Pictures of different groups, (H, W, 3) uint8 RGB as the model sees them but in their own shape."""
    groups = index.duplicates.find().groups
    copies = {file.image for group in groups for file in group.files} - {group.files[0].image for group in groups}
    entries = index.images.list(limit=max(1, index.counts().images))
    images = sorted(entry.id for entry in entries if entry.id not in copies)
    random.Random(0).shuffle(images)
    pictures = (index.images.picture(image, index.embedder.info.input_size) for image in images)
    return list(itertools.islice((picture for picture in pictures if picture is not None), count))


def _write(picture: Pixels, number: int, folder: Path) -> None:
    height, width = picture.shape[:2]
    if height * width > _LARGEST:
        scale = (_LARGEST / (height * width)) ** 0.5
        picture = _resized(picture, max(1, int(width * scale)), max(1, int(height * scale)))
    image = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), np.uint8)
    for name, edited in ((_ORIGINAL, image), *((name, edit(image)) for name, edit in EDITS.items())):
        jpeg = cv2.imencode(".jpg", edited, [cv2.IMWRITE_JPEG_QUALITY, 95])[1]
        try:
            (folder / f"{number}_{name}.jpg").write_bytes(jpeg.tobytes())
        except OSError as error:
            raise StorageError(f"{folder} cannot be written ({error.strerror}); free or mend its disk.") from error


def _pairs(groups: Iterable[Group]) -> Iterable[tuple[list[str], list[str]]]:
    """Every two files of a group, each as its photo and edit."""
    for group in groups:
        yield from itertools.combinations([Path(file.path).stem.split("_") for file in group.files], 2)
