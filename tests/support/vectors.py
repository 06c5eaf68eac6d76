"""Random vectors."""

import numpy as np

from imgindex.types import Floats


def unit(count: int, dimension: int, seed: int = 0) -> Floats:
    """(count, dimension) of unit length."""
    rows = np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
