"""Synthetic embeddings of a realistic spectrum, and an embedder that is always ready."""

import hashlib
from collections.abc import Iterator

import numpy as np

from imgindex import ModelInfo
from imgindex.facts import Facts
from imgindex.records import Decoded

SEED = 0
PART = 1_000


class ReadyEmbedder:
    """Random numbers drawn from the pixels: no model's time in what is measured."""

    def __init__(self, dimension: int) -> None:
        self.info = ModelInfo("ready", "none", "none", 224, "none", "0" * 64, dimension)

    def embed(self, pixels: np.ndarray) -> np.ndarray:
        seeds = [int.from_bytes(hashlib.sha256(one.tobytes()).digest()[:8], "little") for one in pixels]
        draws = [np.random.default_rng(seed).normal(size=self.info.dimension) for seed in seeds]
        return np.abs(np.stack(draws)).astype(np.float32)


def decoded(digest: bytes = bytes(32), description: bytes = b"") -> Decoded:
    """What would be read of a JPEG of 640 x 480 pixels."""
    return Decoded(np.zeros((1, 1, 3), np.uint8), 640, 480, digest, description, Facts("jpeg", quality=90, detail=0.3))


def embeddings(count: int, dimension: int) -> Iterator[np.ndarray]:
    """(PART, dimension) float32 parts: clusters of 50 around centres whose singular values fall as i^-0.6.

    That is how those of GeM fall on the 960 photos; half of the variance is between the clusters, half within.
    """
    rng = np.random.default_rng(SEED)
    rank = 256
    basis = np.linalg.qr(rng.normal(size=(dimension, rank)))[0].T.astype(np.float32)
    spectrum = np.arange(1, rank + 1, dtype=np.float32) ** -0.6
    centres = rng.normal(size=(count // 50, rank)).astype(np.float32)
    for _ in range(0, count, PART):
        member = centres[rng.integers(0, len(centres), PART)] + rng.normal(size=(PART, rank)).astype(np.float32)
        yield np.float32(0.05) + (member * spectrum) @ basis
