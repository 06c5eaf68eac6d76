"""What "find images like this" may name: an indexed image, a file, or an embedding."""

import numpy as np

from imgindex import files
from imgindex.decoding.decoder import LARGEST_FILE
from imgindex.errors import UnreadablePictureError, not_indexed
from imgindex.ingest.index_model import IndexModel
from imgindex.ingest.upload_folder import UploadFolder
from imgindex.storage.storage import Storage
from imgindex.types import AnyPath, Floats


class QueryReader:
    """Gets the embedding of a query; what is known is not decoded again."""

    def __init__(self, store: Storage, model: IndexModel, folder: UploadFolder) -> None:
        self._store = store
        self._model = model
        self._folder = folder

    def read(self, query: AnyPath | int | Floats) -> tuple[int | None, str | None, Floats]:
        """Its id and path, as far as it has them, and its (1, D) embedding.

        Raises UsageError for a path that does not exist, NotIndexedError for an unknown id, UnreadablePictureError.
        """
        if isinstance(query, np.ndarray):
            return None, None, query[None]
        image: int | None
        if isinstance(query, int):
            known = self._store.images.files_of([query])
            if not known:
                raise not_indexed(query)
            path, image = known[0].path, known[0].image
        else:
            (path,) = files.absolute([query])
            self._folder.refuse_own(path)
            now = files.look(path)
            same = [file for file in self._store.images.files_at([path]) if files.is_unchanged(file, now)]
            image = same[0].image if same else None
        return image, path, self._vector(path) if image is None else self._store.embeddings.of([image])[1]

    def _vector(self, path: str) -> Floats:
        """The (1, D) embedding of a picture that is not recorded under this path."""
        try:
            content = files.read(path, LARGEST_FILE)
        except OSError as error:
            raise UnreadablePictureError(f"{path} cannot be read: {files.reason(error)}.") from error
        image = self._store.images.id_of(content.sha256)
        if image is not None:
            return self._store.embeddings.of([image])[1]
        try:
            decoded = self._model.decode(content.data)
        except UnreadablePictureError as error:
            raise UnreadablePictureError(f"{path} cannot be read: {error}.") from error
        return self._model.embed(decoded.pixels[None])
