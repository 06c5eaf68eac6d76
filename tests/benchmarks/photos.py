"""The 960 photos that benchmarks use, from ../shared."""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from imgindex.decoding.decoder import Decoder

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "data" / "photos"


def photos() -> list[Path]:
    """All of them, in an order that mixes the classes."""
    found = sorted(FOLDER.glob("*/*"))
    if not found:
        sys.exit(f"This benchmark needs photos in {FOLDER}.")
    return [found[i] for i in np.random.default_rng(0).permutation(len(found))]


def pixels(paths: Sequence[Path]) -> np.ndarray:
    """(N, 224, 224, 3) uint8 RGB, ready for a model."""
    with Decoder(224) as decoder:
        return np.stack([decoder.decode(path.read_bytes()).pixels for path in paths])
