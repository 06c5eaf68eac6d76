"""What a model is to the rest of imgindex: an `Embedder`, and a row that tells of it before it is loaded."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from imgindex.errors import UsageError
from imgindex.models.weights import Source
from imgindex.records import ModelInfo
from imgindex.types import Floats, Pixels

Precision = Literal["float32", "bfloat16"]
Network = Callable[[Pixels], Floats]  # (N, S, S, 3) uint8 RGB to (N, D) float32, on whatever computes it


class Embedder(Protocol):
    """What turns pictures into vectors."""

    @property
    def info(self) -> ModelInfo:
        """What makes two embeddings comparable."""
        ...

    def embed(self, pixels: Pixels) -> Floats:
        """(N, S, S, 3) uint8 RGB to (N, D) float32; S and D are `info`'s input size and dimension."""
        ...


@dataclass(frozen=True)
class Model:
    """A row of the registry: a model by name, known without loading it."""

    name: str
    dimension: int
    find: Callable[[Path | None], Source]  # of its weights: the file that is named, or the first there is
    fits: Callable[[Path], bool]  # whether a weights file is this model's own; False when it cannot be read
    load: Callable[[Source, Precision | None], Embedder]  # None: the hardware decides. Raises WeightsError


@dataclass(frozen=True)
class Availability:
    """A model, where its weights are or would go, and whether it can run without a download."""

    name: str
    dimension: int
    weights: str
    ready: bool


class BatchEmbedder:
    """Checks what comes in, and hands it to a network in batches: the Embedder of all models that have a network."""

    def __init__(self, info: ModelInfo, network: Network, *, batch: int) -> None:
        self.info = info
        self._network = network
        self._batch = batch

    def embed(self, pixels: Pixels) -> Floats:
        """(N, S, S, 3) uint8 RGB to (N, D) float32. Raises UsageError on another shape or type."""
        size = self.info.input_size
        if pixels.dtype != np.uint8 or pixels.shape[1:] != (size, size, 3):
            raise UsageError(
                f"{self.info.name} embeds uint8 pictures of shape (N, {size}, {size}, 3), "
                f"not {pixels.dtype} of {pixels.shape}."
            )
        vectors = np.empty((len(pixels), self.info.dimension), np.float32)
        for start in range(0, len(pixels), self._batch):
            vectors[start : start + self._batch] = self._network(pixels[start : start + self._batch])
        return vectors
