"""The contract of a model: every row of the registry holds it.

A model is run where its weights are available without a download; VGG16 runs on seeded ones, too.
"""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from imgindex.errors import UsageError, WeightsError
from imgindex.models import vgg16
from imgindex.models.base import BatchEmbedder, Embedder, Model
from imgindex.models.registry import MODELS, available_models, load_embedder
from imgindex.models.weights import Source
from imgindex.records import ModelInfo
from imgindex.types import Floats, Pixels


def tiny() -> Embedder:
    """The smallest model there can be: mean colours, in batches of two."""
    info = ModelInfo("tiny", "mean", "mean", 8, "none", "1" * 64, 3)
    return BatchEmbedder(info, lambda pixels: pixels.mean(axis=(1, 2), dtype=np.float32), batch=2)


def seeded() -> Embedder:
    """A row of VGG16 without the real weights."""
    rng = np.random.default_rng(16)
    tensors: list[Floats] = []
    for shape in vgg16.GEM.file.layers.values():
        scale = np.float32(np.sqrt(24 / np.prod(shape[:-1])))  # keeps activations at one scale (He)
        tensors += [(rng.random(shape, np.float32) - np.float32(0.5)) * scale, rng.random(shape[-1], np.float32)]
    return vgg16.GEM.embedder(tensors, "2" * 64, "float32")


HERE = [row for row in MODELS.values() if row.find(None).kind in ("cache", "wheel")]  # without a download
EMBEDDERS: dict[str, Callable[[], Embedder]] = {
    "tiny": tiny,
    "seeded vgg16-gem": seeded,
    **{row.name: partial(load_embedder, row.name, precision="float32") for row in HERE},
}


@pytest.fixture(scope="module", params=EMBEDDERS.values(), ids=EMBEDDERS)
def embedder(request: pytest.FixtureRequest) -> Embedder:
    made: Embedder = request.param()
    return made


@pytest.fixture(scope="module")
def pixels(embedder: Embedder) -> Pixels:
    """Five different pictures of the model's own size."""
    size = embedder.info.input_size
    return np.random.default_rng(0).integers(0, 256, (5, size, size, 3), np.uint8)


def near(a: Floats, b: Floats) -> bool:
    return bool(np.abs(a - b).max() <= 1e-4 * np.abs(b).max())


def test_a_picture_becomes_one_row_of_finite_float32(embedder: Embedder, pixels: Pixels) -> None:
    vectors = embedder.embed(pixels)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(pixels), embedder.info.dimension)
    assert np.isfinite(vectors).all()
    assert embedder.embed(pixels[:0]).shape == (0, embedder.info.dimension)


def test_the_same_pictures_give_the_same_and_others_others(embedder: Embedder, pixels: Pixels) -> None:
    vectors = embedder.embed(pixels)
    np.testing.assert_array_equal(embedder.embed(pixels), vectors)
    assert not near(vectors[0], vectors[1])


def test_a_vector_does_not_depend_on_what_else_is_in_the_batch(embedder: Embedder, pixels: Pixels) -> None:
    vectors = embedder.embed(pixels)
    for picture, vector in zip(pixels, vectors, strict=True):
        assert near(embedder.embed(picture[None])[0], vector)
    assert near(embedder.embed(pixels[::-1])[::-1], vectors)


def test_pictures_stay_as_they_are(embedder: Embedder, pixels: Pixels) -> None:
    before = pixels.copy()
    embedder.embed(pixels)
    np.testing.assert_array_equal(pixels, before)


def test_info_says_what_makes_vectors_comparable(embedder: Embedder) -> None:
    info = embedder.info
    assert info.name
    assert info.dimension > 0
    assert info.input_size > 0
    assert re.fullmatch("[0-9a-f]{64}", info.weights)
    assert embedder.info == info


def test_another_size_or_type_is_refused(embedder: Embedder, pixels: Pixels) -> None:
    for wrong in (pixels[0], pixels[:, :-1], pixels.astype(np.float32)):
        with pytest.raises(UsageError, match=rf"^{embedder.info.name} embeds uint8 pictures of shape \(N, "):
            embedder.embed(wrong)


# Rows


@pytest.mark.parametrize("row", MODELS.values(), ids=lambda row: row.name)
class TestRow:
    def test_it_tells_where_its_weights_are_or_would_go(
        self, row: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert row.name in {model.name for model in available_models()}
        assert str(row.find(None))
        assert row.find(tmp_path / "mine") == Source("given", tmp_path / "mine")
        monkeypatch.setenv("IMGINDEX_WEIGHTS", str(tmp_path / "theirs"))
        assert row.find(None).path == tmp_path / "theirs"
        assert not row.find(None).ready

    def test_what_is_no_weights_file_does_not_fit_and_is_refused_in_a_sentence(
        self, row: Model, tmp_path: Path
    ) -> None:
        (tmp_path / "text").write_text("no weights")
        for path in (tmp_path / "text", tmp_path / "none", tmp_path):
            assert not row.fits(path)
            with pytest.raises(WeightsError, match=rf"{re.escape(str(path))} .*\.$"):
                row.load(row.find(path), "float32")


@pytest.mark.parametrize("row", HERE, ids=lambda row: row.name)
def test_loading_gives_what_the_row_says(row: Model) -> None:
    info = row.load(row.find(None), "float32").info
    assert (info.name, info.dimension) == (row.name, row.dimension)
