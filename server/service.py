"""What requests share: the index, the queue for its model, background runs, and cached answers."""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from flask import current_app

from imgindex import (
    Clusters,
    Containment,
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
from imgindex.server.batcher import Batcher
from imgindex.server.cache import Cache
from imgindex.server.jobs import Jobs
from imgindex.server.settings import Settings
from imgindex.server.walls import Walls
from imgindex.types import Floats

log = logging.getLogger("imgindex.server")

THUMBNAILS = 4_000  # kept in memory, of 10 to 20 KB each: at most 80 MB


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
        self.index.uploads.tidy()
        self.walls = Walls()
        self._observe = observe
        self.batcher = Batcher(self.index, self._embedded)
        self.jobs = Jobs(self.index)
        self._cache = Cache(self.index.version)
        self._thumbnail = lru_cache(THUMBNAILS)(self.index.images.thumbnail)
        self._unready: str | None = "The model is loading; try again in a moment."
        threading.Thread(target=self._load, name="imgindex-load", daemon=True).start()

    def close(self) -> None:
        """Finish the work in progress, and close the index."""
        self.batcher.close()
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
        self._unready = None  # the model works now, whatever was wrong before
        self._observe(pictures, seconds)

    def ready(self) -> str | None:
        """None if pictures can be embedded, else a sentence that says why not."""
        return self._unready

    # Uploads

    def upload(self, files: Sequence[bytes]) -> list[Uploaded | UnreadablePictureError]:
        """Add pictures, each safe on disk when this returns. Raises OverloadedError, WeightsError, StorageError."""
        if len(files) > self.settings.files:
            raise UsageError(f"{len(files)} files are too many for one upload; send at most {self.settings.files}.")
        received = [self._receive(data) for data in files]
        new = {one.sha256: one for one in received if isinstance(one, Incoming) and one.image is None}
        queued = dict(zip(new, self.batcher.put(list(new.values()), keep=True), strict=True))
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
                except NotIndexedError:  # it was added, and somebody has removed it since
                    answers.append(Uploaded(kept.image, first, (), (), None))
            else:
                try:
                    answers.append(self._uploaded(one.image, new=False))
                except NotIndexedError:  # removed just now, so it is new again
                    answers += self.upload([one.data])
        return answers

    def _receive(self, data: bytes) -> Incoming | UnreadablePictureError:
        try:
            return self.index.uploads.decode(data)
        except UnreadablePictureError as error:
            return error

    def _uploaded(self, image: int, *, new: bool) -> Uploaded:
        entry = self.index.images.get(image)
        exact = tuple(path for path in entry.paths if not self.index.uploads.owns(path))
        return Uploaded(image, new, exact, tuple(self.index.duplicates.of(image)), entry.theme)

    def look(self, data: bytes) -> int | Floats:
        """The query for an uploaded picture, which is not kept: its id or its (D,) embedding."""
        picture = self.index.uploads.decode(data)
        if picture.image is not None:
            return picture.image
        vector: Floats = self.batcher.put([picture], keep=False)[0].result().vector
        return vector

    def contains(self, pictures: Sequence[tuple[str, bytes]]) -> Containment:
        """Whether the index holds pictures, each with its name; none is kept. Raises OverloadedError, WeightsError."""
        if len(pictures) > self.settings.files:
            raise UsageError(f"{len(pictures)} files are too many at once; send at most {self.settings.files}.")
        return self.index.contents.of_uploads(pictures, embed=self._embed)

    def _embed(self, pictures: Sequence[Incoming]) -> Floats:
        """(N, D) embeddings, in batches with the pictures of other requests."""
        return np.stack([queued.result().vector for queued in self.batcher.put(pictures, keep=False)])

    def forget(self, image: int) -> None:
        """Forget an image and delete its uploaded file, if any. Raises NotIndexedError."""
        self.index.remove([image])

    # Cached answers

    def duplicates(self) -> Duplicates:
        """All groups."""
        return self._cache.get("duplicates", self.index.duplicates.find)

    def clusters(self) -> Clusters:
        """The themes as they are now."""
        return self._cache.get("clusters", self.index.themes.current)

    def group(self, number: int) -> Group:
        """A group by its id. Raises NotIndexedError."""
        for group in self.duplicates().groups:
            if group.id == number:
                return group
        raise NotIndexedError(
            f"There is no group {number} any more; list the duplicates again to see the current groups."
        )

    def theme(self, number: int) -> Theme:
        """A theme of the last run by its id. Raises NotIndexedError."""
        for theme in self.clusters().themes:
            if theme.id == number:
                return theme
        raise NotIndexedError(f"There is no theme {number} any more; list the themes again to see the current ones.")

    def report(self) -> Report:
        """The current report, which is not saved."""
        return self._cache.get("report", self.index.reports.preview)

    def etag(self) -> str:
        """Changes whenever the index does."""
        return self._cache.etag()

    def thumbnail(self, image: int) -> bytes:
        """A JPEG of at most THUMBNAIL pixels a side. Raises NotIndexedError, FileGoneError."""
        return self._thumbnail(self.index.images.get(image).id)


def current() -> Service:
    """The service of the app that handles this request."""
    service: Service = current_app.extensions["imgindex"]
    return service
