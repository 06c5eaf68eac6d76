"""The one way in which an image comes into the database."""

from collections.abc import Sequence

from imgindex.clustering.placement import Placement
from imgindex.ingest.index_model import IndexModel
from imgindex.records import Decoded, Image
from imgindex.storage.storage import Storage
from imgindex.types import Floats


class Recorder:
    """Records contents; their files follow in the same transaction."""

    def __init__(self, store: Storage, model: IndexModel, placement: Placement) -> None:
        self._store = store
        self._model = model
        self._placement = placement

    def record(self, pictures: Sequence[tuple[Image, Decoded]], vectors: Floats) -> list[int]:
        """In a transaction: record images with their (N, D) embeddings, local features and themes; returns their ids.

        A content that another process has recorded meanwhile has the id that it has there.
        """
        self._model.begin()
        images = [
            self._store.add_image(image, vector, decoded)
            for (image, decoded), vector in zip(pictures, vectors, strict=True)
        ]
        self._placement.place(images, vectors)
        return images
