"""Whether a collection holds the pictures of a folder, without adding any: may that folder go?"""

import hashlib
import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np

from imgindex import files
from imgindex.decoding.decoder import LARGEST_FILE, READERS
from imgindex.duplicates.looks import Looks
from imgindex.duplicates.verdicts import Verdicts
from imgindex.elsewhere import Elsewhere
from imgindex.errors import UnreadablePictureError
from imgindex.ingest.index_model import IndexModel
from imgindex.ingest.pipeline import is_no_picture
from imgindex.ingest.records import Incoming
from imgindex.ingest.upload_folder import UploadFolder
from imgindex.records import Failure, ImageFile
from imgindex.retention.gaps import Holds
from imgindex.storage.storage import Storage
from imgindex.types import AnyPath, Floats, Progress
from imgindex.walking import everything

BATCH = 32  # pictures for the model at a time
NEW = 0  # stands for a picture that is not indexed, among the ids of images
Held = Literal["whole", "part", "no"]
Embed = Callable[[Sequence[Incoming]], Floats]  # (N, D) of pictures that are not indexed


@dataclass(frozen=True)
class Contained:
    """A file that was looked for."""

    path: str
    held: Held
    by: ImageFile | None  # a file of the collection that holds it, wholly or partly
    why: str  # a few words


@dataclass(frozen=True)
class Containment:
    """What became of a folder's files."""

    files: tuple[Contained, ...]  # all that is in it, pictures or not

    @property
    def safe(self) -> bool:
        """Whether the collection holds all of it."""
        return all(file.held == "whole" for file in self.files)


class Contents:
    """Looks for pictures in a collection; nothing of them is kept. Usable from several threads."""

    def __init__(
        self, store: Storage, model: IndexModel, verdicts: Verdicts, looks: Looks, folder: UploadFolder
    ) -> None:
        self._store = store
        self._model = model
        self._verdicts = verdicts
        self._looks = looks
        self._folder = folder

    def of_folder(self, folder: AnyPath, *, progress: Progress | None = None) -> Containment:
        """Look for each file at or below a path; what holds it must stay when that goes, as it was indexed.

        Hidden files and what `add` leaves out count, too; so do links and what is no picture, which nothing holds.
        `progress` is called with the files done and all there are. Raises UsageError for a path that does not exist,
        and for one of the index itself.
        """
        (top,) = files.absolute([folder])
        self._folder.refuse_own(top)
        found = list(everything(top, own=str(self._folder.folder.parent)))
        present = [one for one in found if isinstance(one, files.Found)]
        elsewhere = Elsewhere(top, present, self._store.images.views())
        answers: list[Contained] = []
        for start in range(0, len(found), BATCH):
            answers += self._look([(one.path, _content(one)) for one in found[start : start + BATCH]], elsewhere)
            if progress:
                progress(min(start + BATCH, len(found)), len(found))
        return Containment(tuple(answers))

    def of_uploads(self, pictures: Sequence[tuple[str, bytes]], *, embed: Embed | None = None) -> Containment:
        """Look for pictures that came as bytes, each with a name to be called by; `embed` in place of the model."""
        read: list[tuple[str, files.Content | str]] = [
            (name, files.Content(data, hashlib.sha256(data).digest())) for name, data in pictures
        ]
        elsewhere = Elsewhere("", (), ())
        parts = (self._look(read[start : start + BATCH], elsewhere, embed) for start in range(0, len(read), BATCH))
        return Containment(tuple(itertools.chain.from_iterable(parts)))

    def _look(
        self, read: Sequence[tuple[str, files.Content | str]], elsewhere: Elsewhere, embed: Embed | None = None
    ) -> list[Contained]:
        """One batch: names with their contents, or why there is none."""
        with ThreadPoolExecutor(READERS, "imgindex-contains") as each:  # the work is done in as many processes
            found = list(each.map(lambda one: self._read(one[0], one[1], elsewhere), read))
            new = {at: picture for at, picture in enumerate(found) if isinstance(picture, Incoming)}
            vectors = dict(zip(new, (embed or self._embed)(list(new.values())), strict=True)) if new else {}

            def answer(at: int) -> Contained:
                picture = found[at]
                if isinstance(picture, Contained):
                    return picture
                return self._held(read[at][0], picture, vectors[at], elsewhere)

            return list(each.map(answer, range(len(read))))

    def _read(self, name: str, content: files.Content | str, elsewhere: Elsewhere) -> Incoming | Contained:
        """The decoded picture, unless there is an answer already."""
        if isinstance(content, str):
            return Contained(name, "no", None, content)
        known = self._store.images.id_of(content.sha256)
        if known is not None and (by := self._file_of(known, elsewhere)):
            return Contained(name, "whole", by, "has the same bytes")
        try:
            return Incoming(content.data, content.sha256, None, self._model.decode(content.data))
        except UnreadablePictureError as error:
            return Contained(name, "no", None, f"cannot be read as a picture: {error}")

    def _embed(self, pictures: Sequence[Incoming]) -> Floats:
        return self._model.embed(np.stack([picture.decoded.pixels for picture in pictures if picture.decoded]))

    def _held(self, name: str, picture: Incoming, vector: Floats, elsewhere: Elsewhere) -> Contained:
        """The first image that holds all of a picture, else the one that has most of it."""
        data, decoded = picture.data, picture.decoded
        assert decoded is not None  # it is not in the index
        partly: Contained | None = None
        here = False
        for image, proof in self._verdicts.candidates_of(decoded, vector):
            by = self._file_of(image, elsewhere)
            here |= by is None
            seen = self._looks.compare(data, decoded.facts, image, proof) if by else None
            if seen is None:
                continue
            facts = {NEW: decoded.facts, **self._store.images.facts([image])}
            sizes = {NEW: (decoded.width, decoded.height), image: (by.width, by.height)} if by else {}
            lacking = Holds(facts, [seen], sizes).gaps(NEW, image)
            if not lacking:
                return Contained(name, "whole", by, "all of it is there")
            if seen.kind != "alike":
                partly = partly or Contained(name, "part", by, f"not all of it is there: {lacking[0]}")
        nowhere = "no picture in the collection shows this"
        why = "no other file that is there now, and lasts, has it" if here else nowhere
        return partly or Contained(name, "no", None, why)

    def _file_of(self, image: int, elsewhere: Elsewhere) -> ImageFile | None:
        """A file of an image that stays."""
        known = self._store.images.get(image)
        for file in self._store.images.files_of([image]) if known else ():
            if known and not self._folder.owns(file.path) and elsewhere.stays(file):
                size = known.width, known.height, known.bytes
                return ImageFile(file.path, image, *size, file.mtime_ns, known.sha256)
        return None


def _content(found: files.Found | Failure) -> files.Content | str:
    """What a file holds, or why that cannot be told."""
    if isinstance(found, Failure):
        return found.reason
    if is_no_picture(found.path):
        return "is no picture"
    try:
        return files.read(found.path, LARGEST_FILE)
    except OSError as error:
        return files.reason(error)
