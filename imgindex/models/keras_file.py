"""Keras's .h5 files of weights: where its cache has them or a download puts them, and what is in them."""

import http.client
import itertools
import os
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imgindex.errors import ANOTHER_FILE, WeightsError
from imgindex.models import download
from imgindex.models.weights import Source, reason
from imgindex.types import Floats

_SPARE_HOME = Path("/tmp" if Path("/tmp").is_dir() else tempfile.gettempdir()) / ".keras"


@dataclass(frozen=True)
class KerasFile:
    """A file that Keras publishes, and the layers that are read of it, in order, each with the shape of its kernel."""

    layers: dict[str, tuple[int, ...]]
    name: str
    url: str  # of the folder
    md5: str
    megabytes: int
    network: str  # as sentences name it
    ways_out: str  # what else a person can do, for the end of a sentence
    unread: int = 0  # layers that the file has after these


def cached(file: KerasFile) -> Source | None:
    """The file in Keras's cache, unopened."""
    folders = (folder for folder in _cache_folders() if os.path.exists(folder / file.name))
    return next((Source("cache", folder / file.name) for folder in folders), None)


def downloadable(file: KerasFile) -> Source:
    """Where a download would put it."""
    folders = _cache_folders()
    writable = next((folder for folder in folders if _can_make(folder)), folders[0])
    return Source("download", writable / file.name, megabytes=file.megabytes)


def load(file: KerasFile, source: Source) -> list[Floats]:
    """Kernel (height, width, in, out; dense: in, out) and bias of each layer in turn, downloaded where need be.

    Raises WeightsError, in one sentence, when they cannot be had or are not what they should be.
    """
    if source.kind == "download":
        _download(file, source.path)
    _check(file, source)
    return _read(file, source.path)


def count_layers(path: Path) -> int:
    """How many layers of a file have weights; 0 when it cannot be read."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return len(list(_layers(file)))
    except (OSError, KeyError, RuntimeError, ValueError):
        return 0


def _cache_folders() -> list[Path]:
    """Keras's rule: $KERAS_HOME, else ~/.keras; where that cannot be written, .keras in /tmp."""
    home = Path(os.path.expanduser(os.environ.get("KERAS_HOME") or "~/.keras"))
    return [home / "models", _SPARE_HOME / "models"]


def _can_make(folder: Path) -> bool:
    nearest = next((parent for parent in (folder, *folder.parents) if os.path.exists(parent)), Path())
    return nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)


def _read(keras: KerasFile, path: Path) -> list[Floats]:
    import h5py

    tensors = []
    try:
        with h5py.File(path, "r") as file:
            found = list(_layers(file))
            if len(found) < len(keras.layers):
                raise ValueError(f"layers with weights: {len(found)}, needed: {len(keras.layers)}")
            for (name, shape), layer in zip(keras.layers.items(), found, strict=False):
                if [tensor.shape for tensor in layer] != [shape, shape[-1:]]:
                    raise ValueError(f"{name} should have shape {shape}, not {layer[0].shape}")
                tensors += [np.asarray(tensor[()], "<f4") for tensor in layer]
    except (OSError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise WeightsError(
            f"{path} is not a readable .h5 file of {keras.network} up to {list(keras.layers)[-1]}, as Keras saves it "
            f"({reason(error)}); {keras.ways_out}.",
            hint=ANOTHER_FILE,
        ) from error
    return tensors


def _layers(file: Any) -> Iterator[list[Any]]:
    """The tensors of each layer that has some, in order, from an open h5py file.

    Keras's own files and `model.save` list the layers in attributes; `save_weights` counts them by class.
    """
    root = file.get("model_weights", file)
    if "layer_names" in root.attrs:
        for name in root.attrs["layer_names"]:
            if tensors := [root[name][tensor] for tensor in root[name].attrs["weight_names"]]:
                yield tensors
        return
    for kind in ("conv2d", "dense"):
        names = (kind if number == 0 else f"{kind}_{number}" for number in itertools.count())
        for name in itertools.takewhile(lambda name: f"layers/{name}" in root, names):
            tensors = root[f"layers/{name}/vars"]
            yield [tensors[key] for key in sorted(tensors)]


def _check(keras: KerasFile, source: Source) -> None:
    path = source.path
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise OSError("it is not a file")
        found = download.md5_of(path) if source.kind == "cache" else keras.md5
    except OSError as error:
        raise WeightsError(
            f"The weights {path} cannot be read ({reason(error)}); {keras.ways_out}.", hint=ANOTHER_FILE
        ) from error
    if found != keras.md5:
        raise WeightsError(
            f"{path} is not Keras's file (md5 {found} instead of {keras.md5}); "
            f"delete it to download it again ({keras.megabytes} MB), or {keras.ways_out}.",
            hint=ANOTHER_FILE,
        )


def _download(keras: KerasFile, path: Path) -> None:
    try:
        download.fetch(keras.url + keras.name, path, md5=keras.md5, size=keras.megabytes * 10**6)
    except (OSError, http.client.HTTPException) as error:
        raise WeightsError(
            f"{keras.name} ({keras.megabytes} MB) could not be downloaded to {path.parent} "
            f"({reason(error)}); {keras.ways_out}.",
            hint=ANOTHER_FILE,
        ) from error
