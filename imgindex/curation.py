"""What a person does about copies: look, decide, report, clean, calibrate. A part of ImageIndex."""

import os
import random
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from imgindex import files
from imgindex.cleanup.cleaner import Cleaned, Cleaner, Undone
from imgindex.cleanup.journal import How
from imgindex.cleanup.plan import Plan, plan
from imgindex.clustering.store import Runs
from imgindex.decoding.decoder import LARGEST_FILE
from imgindex.duplicates.finder import Copies
from imgindex.duplicates.grouping import order_of
from imgindex.duplicates.records import Duplicates, Group, ImageFile, Pair
from imgindex.duplicates.store import Evidence
from imgindex.errors import FileGoneError, NotIndexedError, UnreadablePictureError, UsageError
from imgindex.ingest.index_model import IndexModel
from imgindex.reports.records import FolderShare, PastReport, Report, Since, ThemeShare
from imgindex.search.neighbours import Neighbours
from imgindex.storage.database import now
from imgindex.storage.images import Store

AnyPath = str | os.PathLike[str]
Pixels = npt.NDArray[np.uint8]
Progress = Callable[[int, int], None]

THUMBNAIL = 320  # pixels
OUTGROWN = 1.5  # a calibration is old when the collection has grown by this since
NOT_CALIBRATED = "Not calibrated yet: imgindex calibrate measures how well copies of your own photos are found."


class Curation:
    """Everything about copies that an index offers. ImageIndex is one."""

    folder: Path
    _store: Store
    _model: IndexModel
    _evidence: Evidence
    _neighbours: Neighbours
    _copies: Copies
    _runs: Runs

    # Looking

    def prove(self, *, progress: Progress | None = None) -> None:
        """Prove which of the images that came since the last time are copies; whatever asks for copies does so, too.

        `progress` is called with the images done and all there are.
        """
        self._copies.follow(progress)

    def duplicates(self, *, keep: Sequence[str] = ()) -> Duplicates:
        """Groups of files that show the same picture, each with the file to keep first; needs no original file.

        Files are kept by more pixels, then less compression, then age, then the plainer path; `keep` names those of
        "pixels", "compression", "oldest" and "path" that come before the others. Raises UsageError for another name.
        """
        order = order_of(keep)
        self._copies.follow()
        with self._store.transaction():
            groups, alike = self._copies.groups(order)
            counts = self._store.counts()
            calibration = self._calibration(counts.images)
        return Duplicates(
            tuple(groups), tuple(alike), counts.images, counts.files, _redundant(groups), calibration
        )  # fmt: skip

    def copies_of(self, image: int) -> list[Pair]:
        """The proven copies of one image, without what a person called different. Raises NotIndexedError.

        Quick, for an image that has just come: it is compared with its nearest; `prove` may find a few more.
        """
        if image >= 2**63 or self._store.image(image) is None:
            raise NotIndexedError(f"There is no image {image} in the index.")
        return self._copies.of(image)

    def files_of_pairs(self, pairs: Iterable[Pair]) -> dict[int, ImageFile]:
        """One file of each image of some pairs, by the image's id."""
        return self.files_of({image for pair in pairs for image in (pair.a, pair.b)})

    def files_of(self, images: Collection[int]) -> dict[int, ImageFile]:
        """One file of each of these images, by the image's id."""
        return {copy.image: copy for copy in self._evidence.first_files(images)}

    def preview(self, image: int) -> bytes:
        """A JPEG of at most THUMBNAIL pixels a side, of any file of an image. Raises NotIndexedError, FileGoneError."""
        known = self._store.image(image) if image < 2**63 else None  # as far as SQLite counts
        if known is None:
            raise unknown(image)
        for file in self._store.files_of([image]):
            if made := self._thumbnail(file.path, known.sha256):
                return made
        raise FileGoneError(f"No file of image {image} is as it was indexed; imgindex sync looks for it again.")

    def thumbnail(self, file: ImageFile) -> bytes | None:
        """A JPEG of at most THUMBNAIL pixels a side; None where the file is gone or has changed."""
        return self._thumbnail(file.path, file.sha256)

    def _thumbnail(self, path: str, sha256: bytes) -> bytes | None:
        try:
            content = files.read(path, LARGEST_FILE)
            if content.sha256 != sha256:
                return None
            decoded = self._model.decode(content.data, THUMBNAIL)
        except (OSError, UnreadablePictureError):
            return None
        scale = THUMBNAIL / max(decoded.width, decoded.height)
        size = max(1, round(scale * decoded.width)), max(1, round(scale * decoded.height))
        pixels = cv2.resize(decoded.pixels, size, interpolation=cv2.INTER_AREA)
        return cv2.imencode(".jpg", np.ascontiguousarray(pixels[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 85])[
            1
        ].tobytes()

    def report(self) -> Report:
        """What copies amount to, by folder, and what changed since the last report; the next one compares with this."""
        return self._report(self._evidence.put_report)

    def preview_report(self) -> Report:
        """The report as it is now; it is not kept, so the next one does not compare with it."""
        return self._report(lambda *_: now())

    def reports(self) -> list[PastReport]:
        """All reports that were kept, the oldest first."""
        return self._evidence.reports()

    def _report(self, keep: Callable[[int, int, int, dict[int, int]], str]) -> Report:
        duplicates = self.duplicates()
        redundant: dict[str, int] = {}
        for group in duplicates.groups:
            for file in group.files[1:]:
                folder = os.path.dirname(file.path)
                redundant[folder] = redundant.get(folder, 0) + 1
        shares = [FolderShare(path, held, redundant.get(path, 0)) for path, held in self._evidence.folders().items()]
        sizes = {group.id: len(group.files) for group in duplicates.groups}
        with self._store.transaction():
            last = self._evidence.last_report()
            created = keep(duplicates.images, duplicates.files, duplicates.redundant, sizes)
            clusters = self._theme_shares(duplicates)
        return Report(
            created=created,
            images=duplicates.images,
            files=duplicates.files,
            redundant=duplicates.redundant,
            groups=len(duplicates.groups),
            folders=tuple(sorted(shares, key=lambda share: (-share.redundant, share.path))),
            clusters=clusters,
            since_last=_since(*last, sizes) if last else None,
            calibration=duplicates.calibration,
        )

    def _theme_shares(self, duplicates: Duplicates) -> tuple[ThemeShare, ...]:
        placed, files, names = self._runs.placed(), self._runs.files(), self._runs.names()
        images = Counter(placed.values())
        redundant = Counter(placed.get(file.image) for group in duplicates.groups for file in group.files[1:])
        return tuple(
            ThemeShare(theme, names.get(theme), count, count / len(placed), files.get(theme, 0), redundant[theme])
            for theme, count in sorted(images.items(), key=lambda item: (-item[1], item[0]))
        )

    # Deciding

    def call_different(self, targets: Sequence[AnyPath | int], *, forget: bool = False) -> None:
        """Remember that these images (by id or path) show different pictures, whatever is proven; or forget it again.

        Raises UsageError for fewer than two, or for the same bytes twice, NotIndexedError for what is not indexed.
        """
        with self._store.transaction():
            contents = self._contents(targets)
            if forget:
                self._evidence.forget_different(contents)
            else:
                self._evidence.put_different(combinations(contents, 2))

    def set_apart(self, target: AnyPath | int, others: Sequence[AnyPath | int], *, forget: bool = False) -> None:
        """Remember that an image shows another picture than each of the others, or forget it again; all or none.

        Nothing is said of the others among themselves. Raises as `call_different` does.
        """
        with self._store.transaction():
            content, *contents = self._contents([target, *others])
            if forget:
                for other in contents:
                    self._evidence.forget_different([content, other])
            else:
                self._evidence.put_different((content, other) for other in contents)

    def _contents(self, targets: Sequence[AnyPath | int]) -> list[bytes]:
        contents: list[bytes] = []
        for target in targets:
            image = self._store.image(self._image(target))
            if image is None:
                raise unknown(target)
            if image.sha256 in contents:
                raise UsageError(f"{target} has the same bytes as another one that you named; they cannot differ.")
            contents.append(image.sha256)
        if len(contents) < 2:
            raise UsageError("Name at least two pictures that differ.")
        return contents

    def keep(self, paths: Sequence[AnyPath], *, instead_of: Sequence[AnyPath] = (), forget: bool = False) -> None:
        """Remember that these files are the ones to keep in their groups; or forget it again.

        What was chosen among `instead_of` is forgotten with it, as of two chosen files the better one wins. Raises
        NotIndexedError, before anything is remembered, for a file to keep that is not indexed.
        """
        chosen, before = ([os.path.abspath(os.path.expanduser(path)) for path in some] for some in (paths, instead_of))
        with self._store.transaction():
            for path in chosen:
                if not forget and not self._store.files_at([path]):
                    raise unknown(path)
            self._evidence.forget_keepers(chosen + before if forget else before)
            if not forget:
                self._evidence.put_keepers(chosen)

    def _image(self, target: AnyPath | int) -> int:
        if isinstance(target, int):
            return min(target, 2**63 - 1)
        found = self._store.files_at([os.path.abspath(os.path.expanduser(target))])
        return found[0].image if found else 0

    # Cleaning

    def plan_clean(self, how: How, *, keep: Sequence[str] = ()) -> Plan:
        """What cleaning would do; does nothing."""
        return plan(self.duplicates(keep=keep).groups, how)

    def clean(self, plan: Plan, *, quarantine: AnyPath | None = None, progress: Progress | None = None) -> Cleaned:
        """Put away what a plan says, each file only if it is as it was indexed and the one that stays for it, too."""
        cleaned = Cleaner(self._store).apply(plan, quarantine_folder=quarantine, progress=progress)
        self._follow()
        return cleaned

    def undo_clean(self) -> Undone:
        """Bring back all that the last clean put away; `add` or `sync` make the index know it again."""
        return Cleaner(self._store).undo()

    def _follow(self) -> None:
        """Bring all that is derived up to date."""
        self._neighbours.follow()
        self._copies.propose()

    # Calibration

    def sample(self, count: int) -> list[Pixels]:
        """Pictures of different groups, (H, W, 3) uint8 RGB as the model sees them but in their own shape."""
        copies = {
            file.image
            for group in self.duplicates().groups
            for file in group.files
            if file.image != group.files[0].image
        }
        images = [image for image in self._store.image_ids().tolist() if image not in copies]
        random.Random(0).shuffle(images)
        pictures: list[Pixels] = []
        for image in images:
            if len(pictures) == count:
                break
            for file in self._store.files_of([image])[:1]:
                picture = self._picture(file.path)
                if picture is not None:
                    pictures.append(picture)
        return pictures

    def _picture(self, path: str) -> Pixels | None:
        try:
            decoded = self._model.decode(files.read(path, LARGEST_FILE).data)
        except (OSError, UnreadablePictureError):
            return None
        scale = decoded.pixels.shape[0] / min(decoded.width, decoded.height)
        size = max(1, round(decoded.width * scale)), max(1, round(decoded.height * scale))
        return np.asarray(cv2.resize(decoded.pixels, size, interpolation=cv2.INTER_AREA), np.uint8)

    def put_calibration(self, sentence: str, result: dict[str, Any]) -> None:
        """Remember how well copies were found, for `duplicates` to say."""
        self._evidence.put_calibration(self._store.counts().images, sentence, result)

    def _calibration(self, images: int) -> str:
        last = self._evidence.last_calibration()
        if last is None:
            return NOT_CALIBRATED
        then, sentence = last
        if images > OUTGROWN * then:
            return f"{sentence} That was with {then} pictures, now there are {images}: run imgindex calibrate again."
        return sentence


def unknown(target: AnyPath | int) -> NotIndexedError:
    """For an image by its id, or a path, that the index does not know."""
    if isinstance(target, int):
        return NotIndexedError(f"There is no image {target} in the index.")
    return NotIndexedError(f"{os.fspath(target)} is not in the index; imgindex add takes it in.")


def _redundant(groups: Iterable[Group]) -> int:
    return sum(len(group.files) - 1 for group in groups)


def _since(created: str, before: dict[int, int], now: dict[int, int]) -> Since:
    return Since(
        created,
        new=tuple(sorted(now.keys() - before.keys())),
        gone=tuple(sorted(before.keys() - now.keys())),
        grown=tuple(sorted(group for group in now.keys() & before.keys() if now[group] > before[group])),
    )
