"""The model of an index and its decoders, loaded when the first picture needs them."""

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np

from imgindex.decoding.decoder import Decoders
from imgindex.errors import ANOTHER_FILE, ModelMismatchError, WeightsError
from imgindex.models.base import Embedder
from imgindex.models.registry import default_model, load_embedder
from imgindex.records import Decoded
from imgindex.storage.storage import Storage
from imgindex.types import Floats, Pixels


class IndexModel:
    """Decodes and embeds for one index, which has one model for life. Usable from several threads."""

    def __init__(
        self,
        store: Storage,
        name: str | None,
        weights: Path | None,
        embedder: Embedder | None,
        *,
        decoders: Decoders | None = None,
        load: Callable[..., Embedder] | None = None,
    ) -> None:
        """`decoders`: closed with this one. `load`: instead of `load_embedder`."""
        self._store = store
        self._name = embedder.info.name if embedder else name
        self._weights = weights
        self._embedder = embedder
        self._load = load
        self.decoders = decoders or Decoders()
        self._lock = threading.Lock()

    def close(self) -> None:
        self.decoders.close()

    def check(self) -> None:
        """Raises ModelMismatchError when the index was begun with another model or other weights."""
        self._refuse_other(self._embedder)

    def _refuse_other(self, embedder: Embedder | None) -> None:
        begun = self._store.embeddings.model()
        if begun is None:
            return
        if self._name and self._name != begun.name:
            raise ModelMismatchError(
                f"The index was begun with the model {begun.name}, not {self._name}; use that one, or another index.",
                hint="Leave --model out, or name another folder with --index.",
            )
        if embedder and embedder.info != begun:
            raise ModelMismatchError(
                f"The index was begun with other weights of {begun.name} ({begun.weights[:12]}, not "
                f"{embedder.info.weights[:12]}); use the same file, or another index.",
                hint="Name the file with --weights, or another folder with --index.",
            )

    def begin(self) -> None:
        """In the transaction of the first images: their model is the index's for life."""
        if self._store.embeddings.model() is None:
            self._store.embeddings.set_model(self.loaded().info)
        self.check()  # another process may have begun it with another model since this one was loaded

    def decode(self, data: bytes, size: int | None = None) -> Decoded:
        """A file's bytes -> upright pixels, a square of the model's input size or another.

        Raises UnreadablePictureError.
        """
        return self.decoders.decode(data, size or self.input_size())

    def input_size(self) -> int:
        """Pixels of the squares that the model takes."""
        return (self._store.embeddings.model() or self.loaded().info).input_size

    def embed(self, pixels: Pixels) -> Floats:
        """(N, S, S, 3) uint8 RGB -> (N, D) embeddings. Raises WeightsError when they are not finite."""
        vectors = self.loaded().embed(pixels)
        if not np.isfinite(vectors).all():
            raise WeightsError(
                f"The model {self.loaded().info.name} returns NaN or infinity; its weights may be damaged, use others.",
                hint=ANOTHER_FILE,
            )
        return vectors

    def loaded(self) -> Embedder:
        """The model, loaded on first use. Raises WeightsError, ModelMismatchError."""
        with self._lock:
            if self._embedder is None:
                begun = self._store.embeddings.model()
                name = self._name or (begun.name if begun else default_model(weights=self._weights)[0])
                self._refuse_other(loaded := (self._load or load_embedder)(name, weights=self._weights))
                self._embedder = loaded
            return self._embedder
