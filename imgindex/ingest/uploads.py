"""Pictures that come as bytes, and are kept in the index's own folder."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from imgindex.errors import ImgindexError
from imgindex.files import is_as_indexed
from imgindex.ingest.index_model import IndexModel
from imgindex.ingest.recorder import Recorder
from imgindex.ingest.records import Incoming
from imgindex.ingest.upload_folder import UploadFolder
from imgindex.records import Decoded, File, Image
from imgindex.storage.storage import Storage
from imgindex.types import Floats


class Uploads:
    """`index.uploads`. Usable from several threads."""

    def __init__(
        self,
        store: Storage,
        model: IndexModel,
        recorder: Recorder,
        folder: UploadFolder,
        *,
        follow: Callable[[], None],
    ) -> None:
        """`follow` brings up to date what is derived from images."""
        self._store = store
        self._model = model
        self._recorder = recorder
        self._folder = folder
        self._follow = follow
        self.owns, self.tidy = folder.owns, folder.tidy

    def decode(self, data: bytes) -> Incoming:
        """Decode a picture, unless the index has it already. Raises UnreadablePictureError with the reason alone."""
        sha256 = hashlib.sha256(data).digest()
        image = self._store.images.id_of(sha256)
        if image is not None and self._held(image):
            return Incoming(data, sha256, image, None)
        return Incoming(data, sha256, None, self._model.decode(data))

    def embed(self, pictures: Sequence[Incoming]) -> Floats:
        """(N, D) embeddings of pictures that are new to the index, one batch for the model. Raises WeightsError."""
        return self._model.embed(np.stack([picture.decoded.pixels for picture in pictures if picture.decoded]))

    def add(self, pictures: Sequence[Incoming], vectors: Floats) -> list[tuple[int, bool]]:
        """Keep decoded pictures with their (N, D) embeddings, all or none.

        Returns the id of each, and whether it is new: another thread or process may have been faster.
        """
        paths = [self._folder.path(picture.data, picture.sha256) for picture in pictures]
        with self._folder.parts(picture.data for picture in pictures) as parts:
            try:
                with self._store.transaction():
                    images = self._recorder.record([_content(picture) for picture in pictures], vectors)
                    kept = [
                        (image, self._keep(image, part, path))
                        for image, part, path in zip(images, parts, paths, strict=True)
                    ]
                    self._folder.settle()
            except BaseException:
                with suppress(ImgindexError):  # the disk may be full; sync takes what is left
                    self.drop(paths)
                raise
        self._follow()
        return kept

    def _keep(self, image: int, part: Path, path: str) -> bool:
        if self._held(image):
            return False
        file = self._folder.keep(part, path)
        self._store.images.put_file(File(file.path, image, *file[1:]))
        return True

    def _held(self, image: int) -> bool:
        return any(map(is_as_indexed, self._store.images.files_of([image])))

    def drop(self, paths: Iterable[str]) -> int:
        """Delete those of our own files that the index does not know; returns how many there were."""
        own = [path for path in paths if self._folder.owns(path)]
        if not own:
            return 0
        with self._store.transaction():
            unknown = set(own) - {file.path for file in self._store.images.files_at(own)}
            return sum(map(self._folder.drop, sorted(unknown)))


def _content(picture: Incoming) -> tuple[Image, Decoded]:
    assert picture.decoded is not None
    return Image(0, picture.sha256, picture.decoded.width, picture.decoded.height, len(picture.data)), picture.decoded
