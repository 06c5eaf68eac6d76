"""Pictures to vectors: the `Embedder` protocol, and VGG16."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from imgindex.errors import UsageError
from imgindex.models import weights as vgg16
from imgindex.records import ModelInfo

Pixels = npt.NDArray[np.uint8]
Vectors = npt.NDArray[np.float32]
Precision = Literal["float32", "bfloat16"]

_BATCH = 16  # larger ones are no faster, and each picture takes 26 MB or more on its way
_MEAN_BGR = (103.939, 116.779, 123.68)  # of ImageNet, as Keras's 'caffe' preprocessing subtracts it
_BLOCK_ENDS = ("block1_conv2", "block2_conv2", "block3_conv3", "block4_conv3", "block5_conv3")


class Embedder(Protocol):
    """What turns pictures into vectors."""

    @property
    def info(self) -> ModelInfo:
        """What makes two embeddings comparable."""
        ...

    def embed(self, pixels: Pixels) -> Vectors:
        """(N, S, S, 3) uint8 RGB to (N, D) float32; S and D are `info`'s input size and dimension."""
        ...


@dataclass(frozen=True)
class Model:
    """A model by name, known without loading it."""

    name: str
    layer: str
    pooling: str
    dimension: int
    recipe: vgg16.Recipe


@dataclass(frozen=True)
class Availability:
    """A model, where its weights are or would go, and whether it can run without a download."""

    name: str
    dimension: int
    weights: str
    ready: bool


MODELS = {
    model.name: model
    for model in (
        Model("vgg16-fc2", "fc2", "none", 4096, vgg16.FC2),
        Model("vgg16-gem", "block5_pool", "gem3", 512, vgg16.GEM),
    )
}


class VGG16Embedder:
    """VGG16 up to a model's layer, on whole batches, as one TensorFlow graph.

    Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", 2015; GeM:
    Radenovic, Tolias and Chum, "Fine-tuning CNN Image Retrieval with No Human Annotation", 2018.
    """

    def __init__(self, model: Model, tensors: list[Vectors], sha256: str, *, precision: Precision) -> None:
        """`tensors` and `sha256` as from `imgindex.models.weights.load`; the list is emptied to free memory."""
        self.info = ModelInfo(model.name, model.layer, model.pooling, 224, "caffe", sha256, model.dimension)
        self.precision = precision
        self._graph = _build(model, tensors, precision)

    def embed(self, pixels: Pixels) -> Vectors:
        """(N, 224, 224, 3) uint8 RGB to (N, D) float32. Raises UsageError on another shape or type."""
        size = self.info.input_size
        if pixels.dtype != np.uint8 or pixels.shape[1:] != (size, size, 3):
            raise UsageError(
                f"{self.info.name} embeds uint8 pictures of shape (N, {size}, {size}, 3), "
                f"not {pixels.dtype} of {pixels.shape}."
            )
        vectors = np.empty((len(pixels), self.info.dimension), np.float32)
        for start in range(0, len(pixels), _BATCH):
            vectors[start : start + _BATCH] = self._graph(pixels[start : start + _BATCH])
        return vectors


def load_embedder(name: str, *, weights: Path | None = None, precision: Precision | None = None) -> VGG16Embedder:
    """Load a model of MODELS, from the file `weights` or from where `imgindex.models.weights.find` finds them.

    A download shows its progress on stderr. Without a `precision` the hardware decides: bfloat16 where the
    CPU computes in it, else float32. Raises UsageError on an unknown name, WeightsError on bad weights.
    """
    model = _model(name)
    tensors, sha256 = vgg16.load(model.recipe, vgg16.find(model.recipe, weights))
    return VGG16Embedder(model, tensors, sha256, precision=precision or native_precision())


def available_models(*, weights: Path | None = None) -> list[Availability]:
    """All models and whether their weights are at hand; looks for files and opens none."""
    found = {name: vgg16.find(model.recipe, weights) for name, model in MODELS.items()}
    return [Availability(name, MODELS[name].dimension, str(source), source.ready) for name, source in found.items()]


def default_model(weights: Path | None = None) -> tuple[str, str]:
    """The name of the best model whose weights are at hand, and why, in a sentence. Downloads nothing."""
    fc2, gem = (vgg16.find(recipe, weights) for recipe in (vgg16.FC2, vgg16.GEM))
    if fc2.kind == "given" and vgg16.ends_at_conv(fc2.path):
        return "vgg16-gem", f"The weights in {fc2} end at the conv blocks, which is what vgg16-gem needs."
    if fc2.kind != "download":
        return "vgg16-fc2", f"Its weights are at hand: {fc2}."
    missing = f"those of vgg16-fc2 are a download of {vgg16.FC2.megabytes} MB"
    if gem.ready:
        return "vgg16-gem", f"Its weights are at hand: {gem}; {missing}."
    return "vgg16-fc2", f"No weights are at hand; {missing} to {fc2.path}."


def native_precision() -> Precision:
    """bfloat16 where the CPU has matrix units for it (AMX) and no GPU takes the work, else float32.

    Without AMX bfloat16 is slower than float32; GPUs are left to their own float32 modes.
    """
    try:
        amx = "amx_bf16" in Path("/proc/cpuinfo").read_text().split()
    except OSError:
        amx = False
    return "bfloat16" if amx and not _tensorflow().config.list_physical_devices("GPU") else "float32"


def _model(name: str) -> Model:
    try:
        return MODELS[name]
    except KeyError:
        raise UsageError(f"There is no model {name!r}; choose one of {', '.join(MODELS)}.") from None


def _build(model: Model, tensors: list[Vectors], precision: Precision) -> Any:
    """A function of uint8 pictures, traced once for batches of any size."""
    tf = _tensorflow()
    kind = tf.as_dtype(precision)
    layers = []
    while tensors:  # each is freed as soon as it is copied
        layers.append((tf.constant(tensors.pop(0), kind), tf.constant(tensors.pop(0), kind)))
    conv, dense = layers[: len(vgg16.CONV_LAYERS)], layers[len(vgg16.CONV_LAYERS) :]

    def network(pixels: Any) -> Any:
        x = tf.cast(tf.cast(pixels, tf.float32)[..., ::-1] - tf.constant(_MEAN_BGR), kind)
        for layer, (kernel, bias) in zip(vgg16.CONV_LAYERS, conv, strict=True):
            x = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(x, kernel, 1, "SAME"), bias))
            if layer in _BLOCK_ENDS:
                x = tf.nn.max_pool2d(x, 2, 2, "VALID")
        if model.pooling == "gem3":
            cubes = tf.maximum(tf.cast(x, tf.float32), 1e-6) ** 3
            return tf.reduce_mean(cubes, [1, 2]) ** (1 / 3)
        x = tf.reshape(x, [-1, 7 * 7 * 512])
        for kernel, bias in dense:
            x = tf.nn.relu(tf.nn.bias_add(tf.matmul(x, kernel), bias))
        return tf.cast(x, tf.float32)

    pictures = tf.TensorSpec([None, 224, 224, 3], tf.uint8)
    return tf.function(network, autograph=False).get_concrete_function(pictures)


def _tensorflow() -> Any:
    """Import tensorflow without its greetings on stderr; TF_CPP_MIN_LOG_LEVEL below 3 brings them back."""
    quiet = os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") == "3" and "tensorflow" not in sys.modules
    with _silent_stderr() if quiet else nullcontext():
        import tensorflow
    return tensorflow


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """Keep what native code writes to file descriptor 2 to itself, unless an exception passes.

    TensorFlow 2.21 writes some lines before it reads its log level.
    """
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # closed, so there is nothing to keep clean
        yield
        return
    with tempfile.TemporaryFile() as caught:
        os.dup2(caught.fileno(), 2)
        try:
            yield
        except BaseException:
            caught.seek(0)
            os.write(kept, caught.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
