"""Frozen dataclasses that cross rooms."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class ModelInfo:
    """What makes two embeddings comparable; stored with an index and checked on open."""

    name: str
    layer: str
    pooling: str
    input_size: int  # pixels; pictures go in as input_size x input_size
    preprocessing: str
    weights: str  # SHA-256 (hex) over the tensors
    dimension: int


@dataclass(frozen=True)
class Decoded:
    """A picture, upright, shrunk to a model's input size."""

    pixels: npt.NDArray[np.uint8]  # (size, size, 3), RGB
    width: int  # pixels of the upright original
    height: int
