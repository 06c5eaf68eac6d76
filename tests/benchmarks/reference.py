"""Against the notebook that imgindex replaces: full decode, plain resize, one `predict` an image."""

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import cv2

from imgindex import ImageIndex
from imgindex.models.registry import load_embedder
from imgindex.models.tensorflow import native_precision
from tests.benchmarks.photos import photos

ROUNDS, ONE_BY_ONE, ADDED = 3, 24, 128


def rows() -> Iterator[tuple[str, ...]]:
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "seeded.weights.h5"
        network = notebook_network(weights)
        embedder = load_embedder("vgg16-fc2", weights=weights)
        paths = photos()
        before, after = [], []
        for number in range(-1, ROUNDS):  # round -1 warms up
            began = time.perf_counter()
            for path in paths[:ONE_BY_ONE]:
                picture = cv2.resize(cv2.imread(str(path)), (224, 224))
                network(picture[None])
            each_before = (time.perf_counter() - began) / ONE_BY_ONE
            with ImageIndex(f"{folder}/{number}", embedder=embedder) as index:
                began = time.perf_counter()
                index.add(paths[:ADDED])
                each_after = (time.perf_counter() - began) / ADDED
            if number >= 0:
                before.append(each_before)
                after.append(each_after)
    ratio = median(b / a for a, b in zip(after, before, strict=True))
    asked = ">= 10" if native_precision() == "bfloat16" else ">= 2 without AMX (10 with)"
    each = f"{median(before) * 1000:.0f} against {median(after) * 1000:.0f} ms an image"
    yield "`add` with vgg16-fc2 against the reference script, times as fast", f"{ratio:.1f} ({each})", asked


def notebook_network(weights: Path):
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras
    from keras.applications.vgg16 import VGG16, preprocess_input

    keras.utils.set_random_seed(0)
    whole = VGG16(weights=None, include_top=True)
    whole.save_weights(weights)
    cut = keras.Model(whole.inputs, whole.get_layer("fc2").output)
    return lambda batch: cut.predict(preprocess_input(batch.astype("float32")), verbose=0)[0]
