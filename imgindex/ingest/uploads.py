"""What an index offers to a program that gets pictures as bytes and shows them. A part of ImageIndex."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from imgindex.clustering.themes import Themes
from imgindex.decoding import formats
from imgindex.errors import FileGoneError, ImgindexError, NotIndexedError
from imgindex.ingest.index_model import IndexModel
from imgindex.ingest.records import Incoming
from imgindex.ingest.upload_folder import Uploads
from imgindex.records import Entry, File, Image, Original
from imgindex.storage.images import Store

Floats = npt.NDArray[np.float32]


class Receiving:
    """Everything about pictures without a path that an index offers. ImageIndex is one."""

    folder: Path
    _store: Store
    _model: IndexModel
    _themes: Themes
    _uploads: Uploads

    def version(self) -> int:
        """Another number after any change of the index by anyone; it says nothing to another process."""
        return self._store.version()

    def receive(self, data: bytes) -> Incoming:
        """Decode a picture, unless the index has it already. Raises UnreadablePictureError with the reason alone."""
        sha256 = hashlib.sha256(data).digest()
        image = self._store.image_id(sha256)
        if image is not None and self._held(image):
            return Incoming(data, sha256, image, None)
        return Incoming(data, sha256, None, self._model.decode(data))

    def embed(self, pictures: Sequence[Incoming]) -> Floats:
        """(N, D) embeddings of pictures that are new to the index, one batch for the model. Raises WeightsError."""
        return self._model.embed(np.stack([picture.decoded.pixels for picture in pictures if picture.decoded]))

    def take(self, pictures: Sequence[Incoming], vectors: Floats) -> list[tuple[int, bool]]:
        """Keep pictures with their (N, D) embeddings in the index's own folder, all or none.

        Returns the id of each, and whether it is new: another thread or process may have been faster.
        """
        paths = [self._uploads.path(picture.data, picture.sha256) for picture in pictures]
        kept = []
        with self._uploads.parts(picture.data for picture in pictures) as parts:
            try:
                with self._store.transaction():
                    self._model.begin()
                    for picture, vector, part, path in zip(pictures, vectors, parts, paths, strict=True):
                        kept.append(self._keep(picture, vector, part, path))
                    self._themes.place([image for image, _ in kept], vectors)
                    self._uploads.settle()
            except BaseException:
                with suppress(ImgindexError):  # the disk may be full; sync takes what is left
                    self._drop(paths)
                raise
        self._grown()
        return kept

    def _keep(self, picture: Incoming, vector: Floats, part: Path, path: str) -> tuple[int, bool]:
        assert picture.decoded is not None
        size = picture.decoded.width, picture.decoded.height
        content = Image(0, picture.sha256, *size, len(picture.data))
        image = self._store.add_image(content, vector, picture.decoded.digest, picture.decoded.description)
        if self._held(image):
            return image, False
        file = self._uploads.keep(part, path)
        self._store.put_file(File(file.path, image, file.bytes, file.mtime_ns))
        return image, True

    def _held(self, image: int) -> bool:
        return any(map(_as_indexed, self._store.files_of([image])))

    def _drop(self, paths: Iterable[str]) -> None:
        """Delete those of our own files that the index does not know."""
        own = [path for path in paths if self._uploads.owns(path)]
        if own:
            with self._store.transaction():
                for path in set(own) - {file.path for file in self._store.files_at(own)}:
                    self._uploads.drop(path)

    def tidy(self) -> None:
        """Delete what killed programs left half-written; worth doing when a server starts."""
        self._uploads.tidy()

    def _grown(self) -> None:
        """Bring what is derived up to date with images that came."""
        raise NotImplementedError  # ImageIndex does it: it has what is derived

    def entry(self, image: int) -> Entry:
        """What the index holds of an image. Raises NotIndexedError."""
        found = self.entries(before=image + 1, limit=1) if 0 < image < 2**63 - 1 else []
        if not found or found[0].id != image:
            raise NotIndexedError(f"There is no image {image} in the index.")
        return found[0]

    def entries(self, *, before: int | None = None, limit: int = 50, theme: int | None = None) -> list[Entry]:
        """The newest images first, at most `limit`: those with an id below `before`, of one theme or of all."""
        return self._store.entries(before=2**63 - 1 if before is None else before, limit=limit, theme=theme)

    def is_upload(self, path: str) -> bool:
        """Whether a path of an entry is one of the index's own files, which go when it forgets them."""
        return self._uploads.owns(path)

    def original(self, image: int) -> Original:
        """A file that holds an image as it was indexed, by its size and time. Raises NotIndexedError, FileGoneError."""
        files = self._store.files_of([self.entry(image).id])
        for file in filter(_as_indexed, files):
            try:
                with open(file.path, "rb") as opened:
                    return Original(file.path, formats.media_type(opened.read(formats.HEAD)))
            except OSError:
                continue  # another path may do
        raise FileGoneError(f"No file of image {image} is as it was indexed; imgindex sync looks for it again.")


def _as_indexed(file: File) -> bool:
    """Whether a file is there, by its size and time the one that was indexed."""
    try:
        status = os.stat(file.path)
    except OSError:
        return False
    return (status.st_size, min(status.st_mtime_ns, 2**63 - 1)) == (file.bytes, file.mtime_ns)
