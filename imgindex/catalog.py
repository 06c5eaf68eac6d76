"""One image of an index: what is held of it, its files, its picture."""

from collections.abc import Collection

from imgindex.decoding import formats, thumbnails
from imgindex.decoding.decoder import Decoders
from imgindex.errors import FileGoneError, not_indexed
from imgindex.files import is_as_indexed
from imgindex.records import LARGEST_ID, Entry, ImageFile, Original
from imgindex.storage.storage import Storage
from imgindex.types import Pixels


class Images:
    """`index.images`. Usable from several threads."""

    def __init__(self, store: Storage, decoders: Decoders) -> None:
        self._store = store
        self._decoders = decoders

    def get(self, image: int) -> Entry:
        """What the index holds of an image. Raises NotIndexedError."""
        found = self.list(before=image + 1, limit=1) if 0 < image < LARGEST_ID else []
        if not found or found[0].id != image:
            raise not_indexed(image)
        return found[0]

    def list(self, *, before: int | None = None, limit: int = 50, theme: int | None = None) -> list[Entry]:
        """The newest images first, at most `limit`: those with an id below `before`, of one theme or of all."""
        last = LARGEST_ID if before is None else before
        return self._store.images.entries(before=last, limit=limit, theme=theme)

    def files(self, images: Collection[int]) -> dict[int, ImageFile]:
        """One file of each of these images, by the image's id."""
        return {file.image: file for file in self._store.images.first_files(images)}

    def thumbnail(self, image: int) -> bytes:
        """A JPEG of at most 320 pixels a side, of any file of an image. Raises NotIndexedError, FileGoneError."""
        entry = self.get(image)
        for path in entry.paths:
            if made := thumbnails.thumbnail(path, entry.sha256, self._decoders):
                return made
        raise _gone(image)

    def picture(self, image: int, size: int) -> Pixels | None:
        """(H, W, 3) uint8 RGB, in its own shape, the shorter side `size`; None where no file is readable.

        Raises NotIndexedError.
        """
        made = (thumbnails.sample(path, size, self._decoders) for path in self.get(image).paths)
        return next((picture for picture in made if picture is not None), None)

    def original(self, image: int) -> Original:
        """A file that holds an image as it was indexed, by its size and time. Raises NotIndexedError, FileGoneError."""
        for file in filter(is_as_indexed, self._store.images.files_of([self.get(image).id])):
            try:
                with open(file.path, "rb") as opened:
                    return Original(file.path, formats.media_type(opened.read(formats.HEAD)))
            except OSError:
                continue  # another path may do
        raise _gone(image)


def _gone(image: int) -> FileGoneError:
    return FileGoneError(f"No file of image {image} is as it was indexed; the next sync looks for it again.")
