"""What requests share: the index, the queue to its model, background runs, and answers that many ask for."""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from flask import current_app

from imgindex import (
    Clusters,
    Duplicates,
    Group,
    ImageIndex,
    ImgindexError,
    Incoming,
    NotIndexedError,
    Pair,
    Report,
    Theme,
    UnreadablePictureError,
    UsageError,
)
from imgindex.server.batcher import Batches
from imgindex.server.cache import Snapshots
from imgindex.server.jobs import Jobs
from imgindex.server.settings import Settings

Floats = npt.NDArray[np.float32]

log = logging.getLogger("imgindex.server")

THUMBNAILS = 4_000  # kept in memory, of 10 to 20 KB each


@dataclass(frozen=True)
class Uploaded:
    """A picture that is in the index, and what it copies."""

    image: int
    new: bool  # False: it had been there
    exact: tuple[str, ...]  # other files with the same bytes
    near: tuple[Pair, ...]
    theme: int | None


class Service:
    """One open index. Usable from several threads."""

    def __init__(self, settings: Settings, *, observe: Callable[[int, float], None] = lambda *_: None) -> None:
        self.settings = settings
        self.index = ImageIndex(
            settings.index, model=settings.model, weights=settings.weights, embedder=settings.embedder
        )
        self.index.tidy()
        self._observe = observe
        self.batches = Batches(self.index, self._embedded)
        self.jobs = Jobs(self.index)
        self._snapshots = Snapshots(self.index.version)
        self._thumbnail = lru_cache(THUMBNAILS)(self.index.preview)
        self._unready: str | None = "The model is being loaded; try again in a moment."
        threading.Thread(target=self._load, name="imgindex-load", daemon=True).start()

    def close(self) -> None:
        """Finish what was begun, and close the index."""
        self.batches.close()
        self.jobs.close()
        self.index.close()

    def _load(self) -> None:
        try:
            embedder = self.index.embedder
            embedder.embed(np.zeros((1, embedder.info.input_size, embedder.info.input_size, 3), np.uint8))
            self._unready = None
        except ImgindexError as error:
            self._unready = str(error)
        except Exception:
            log.exception("The model could not be loaded.")
            self._unready = "The model could not be loaded; the server's log says why."

    def _embedded(self, pictures: int, seconds: float) -> None:
        self._unready = None  # the model works now, whatever was wrong with it
        self._observe(pictures, seconds)

    def ready(self) -> str | None:
        """None when pictures can be embedded, else a sentence that says why not."""
        return self._unready

    # Pictures that come

    def upload(self, files: Sequence[bytes]) -> list[Uploaded | UnreadablePictureError]:
        """Keep pictures, each safe on the disk when this returns. Raises QueueFullError, WeightsError, StorageError."""
        if len(files) > self.settings.files:
            raise UsageError(f"{len(files)} files are too many at once; send at most {self.settings.files}.")
        received = [self._receive(data) for data in files]
        new = {one.sha256: one for one in received if isinstance(one, Incoming) and one.image is None}
        queued = dict(zip(new, self.batches.put(list(new.values()), keep=True), strict=True))
        answers: list[Uploaded | UnreadablePictureError] = []
        for one in received:
            if isinstance(one, UnreadablePictureError):
                answers.append(one)
            elif one.image is None:
                kept = queued[one.sha256].result()
                assert kept.image is not None
                first = kept.new and new.pop(one.sha256, None) is not None
                try:
                    answers.append(self._uploaded(kept.image, new=first))
                except NotIndexedError:  # it was kept, and somebody has forgotten it already
                    answers.append(Uploaded(kept.image, first, (), (), None))
            else:
                try:
                    answers.append(self._uploaded(one.image, new=False))
                except NotIndexedError:  # forgotten just now, so it is new again
                    answers += self.upload([one.data])
        return answers

    def _receive(self, data: bytes) -> Incoming | UnreadablePictureError:
        try:
            return self.index.receive(data)
        except UnreadablePictureError as error:
            return error

    def _uploaded(self, image: int, *, new: bool) -> Uploaded:
        entry = self.index.entry(image)
        exact = tuple(path for path in entry.paths if not self.index.is_upload(path))
        return Uploaded(image, new, exact, tuple(self.index.copies_of(image)), entry.theme)

    def look(self, data: bytes) -> int | Floats:
        """What `similar` takes for an uploaded picture, which is not kept: its id or its (D,) embedding."""
        picture = self.index.receive(data)
        if picture.image is not None:
            return picture.image
        vector: Floats = self.batches.put([picture], keep=False)[0].result().vector
        return vector

    def forget(self, image: int) -> None:
        """Forget an image; a file that was uploaded is deleted with it. Raises NotIndexedError."""
        self.index.remove([image])

    # Answers that many ask for

    def duplicates(self) -> Duplicates:
        """All groups."""
        return self._snapshots.get("duplicates", self.index.duplicates)

    def clusters(self) -> Clusters:
        """The themes as they are now."""
        return self._snapshots.get("clusters", self.index.clusters)

    def group(self, number: int) -> Group:
        """A group by its id. Raises NotIndexedError."""
        for group in self.duplicates().groups:
            if group.id == number:
                return group
        raise NotIndexedError(
            f"There is no group {number} now; its pictures may have been decided about, cleaned or forgotten."
        )

    def theme(self, number: int) -> Theme:
        """A theme of the last run by its id. Raises NotIndexedError."""
        for theme in self.clusters().themes:
            if theme.id == number:
                return theme
        raise NotIndexedError(f"There is no theme {number} now; the last run may have dissolved it.")

    def report(self) -> Report:
        """The report as it is now; it is not kept."""
        return self._snapshots.get("report", self.index.preview_report)

    def etag(self) -> str:
        """The same as long as the index is."""
        return self._snapshots.etag()

    def thumbnail(self, image: int) -> bytes:
        """A JPEG of at most 320 pixels a side. Raises NotIndexedError, FileGoneError."""
        return self._thumbnail(self.index.entry(image).id)


def current() -> Service:
    """The service of the app that handles this request."""
    service: Service = current_app.extensions["imgindex"]
    return service
