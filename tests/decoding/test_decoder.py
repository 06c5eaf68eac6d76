"""Pictures of every kind that a collection holds, and what must not stop it."""

import io
import os
import signal
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from imgindex.decoding.decoder import Decoder
from imgindex.errors import ImgindexError, UnreadablePictureError, UsageError
from imgindex.records import Decoded

SIZE = 64
Pixels = npt.NDArray[np.uint8]

# Four quarters of one colour each: red, green / blue, white. Their order tells the orientation.
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
QUARTERS = [RED, GREEN, BLUE, WHITE]


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(SIZE, workers=1) as one:
        yield one


def quarters(width: int = 96, height: int = 64) -> Pixels:
    tile = np.array(QUARTERS, np.uint8).reshape(2, 2, 3)
    return tile.repeat(height // 2, 0).repeat(width // 2, 1)


def encode(suffix: str, rgb: npt.NDArray[Any], *options: int) -> bytes:
    bgr = rgb if rgb.ndim == 2 else rgb[..., [2, 1, 0, 3][: rgb.shape[2]]]
    done, data = cv2.imencode(suffix, np.ascontiguousarray(bgr), options)
    assert done
    return data.tobytes()


def save(rgb: npt.NDArray[Any], kind: str, mode: str | None = None, **options: Any) -> bytes:
    image = pytest.importorskip("PIL.Image").fromarray(rgb)
    file = io.BytesIO()
    (image.convert(mode) if mode else image).save(file, kind, **options)
    return file.getvalue()


def seen(picture: Decoded) -> list[tuple[int, ...]]:
    """The colours at the centres of the quarters, rounded to what a lossy format keeps."""
    at = (SIZE // 4, SIZE * 3 // 4)
    near = [picture.pixels[y, x].astype(int) for y in at for x in at]
    return [tuple(int(round(v / 51) * 51) for v in colour) for colour in near]


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".avif", ".gif", ".tiff", ".bmp", ".jp2", ".ppm"])
def test_decodes_each_format_to_upright_rgb(decoder: Decoder, suffix: str) -> None:
    picture = decoder.decode(encode(suffix, quarters()))
    assert picture.pixels.shape == (SIZE, SIZE, 3)
    assert picture.pixels.dtype == np.uint8
    assert (picture.width, picture.height) == (96, 64)
    assert seen(picture) == QUARTERS


def test_heic(decoder: Decoder) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    image = pytest.importorskip("PIL.Image").fromarray(quarters())
    file = io.BytesIO()
    pillow_heif.from_pillow(image).save(file, quality=95)
    picture = decoder.decode(file.getvalue())
    assert (picture.width, picture.height) == (96, 64)
    assert seen(picture) == QUARTERS


def test_exact_size_is_passed_through(decoder: Decoder) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    assert np.array_equal(decoder.decode(encode(".png", pixels)).pixels, pixels)


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".pgm", ".jp2"])
def test_grey_16_bit_is_scaled(decoder: Decoder, suffix: str) -> None:
    deep = np.full((40, 40), 0x4040, np.uint16)
    assert np.all(decoder.decode(encode(suffix, deep)).pixels == 0x40)


@pytest.mark.parametrize(("depth", "white"), [(10, 1023), (12, 4095)])
def test_avif_of_more_bits_is_scaled(decoder: Decoder, depth: int, white: int) -> None:
    deep = (quarters().astype(np.uint16) // 255) * np.uint16(white)
    data = encode(".avif", deep, cv2.IMWRITE_AVIF_DEPTH, depth)
    assert seen(decoder.decode(data)) == QUARTERS


def test_pnm_is_scaled_by_its_own_white(decoder: Decoder) -> None:
    data = b"P2\n# a comment\n2 1\n1000\n500 500\n"
    assert abs(int(decoder.decode(data).pixels.mean()) - 127) <= 1


def test_float_tiff_of_0_to_1(decoder: Decoder) -> None:
    assert np.all(decoder.decode(encode(".tiff", np.full((40, 40, 3), 0.2, np.float32))).pixels == 51)


def test_wide_values_are_stretched(decoder: Decoder) -> None:
    ramp = np.linspace(0, 40_000, 128, dtype=np.float32)[None].repeat(128, 0)
    pixels = decoder.decode(encode(".tiff", ramp)).pixels
    assert pixels.min() < 5
    assert pixels.max() > 250


def test_hdr_keeps_mid_grey_visible(decoder: Decoder) -> None:
    pixels = decoder.decode(encode(".hdr", np.full((40, 40, 3), 0.18, np.float32))).pixels
    assert 100 < pixels.mean() < 130


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "AVIF", "JPEG2000"])
def test_alpha_is_laid_over_white(decoder: Decoder, kind: str) -> None:
    clear = np.dstack([np.zeros((40, 40, 3), np.uint8), np.full((40, 40), 64, np.uint8)])
    options = {"lossless": True} if kind == "WEBP" else {}
    assert abs(int(decoder.decode(save(clear, kind, **options)).pixels.mean()) - 191) <= 1


def test_alpha_of_16_bit(decoder: Decoder) -> None:
    clear = np.full((40, 40, 4), 0, np.uint16)
    clear[..., 3] = 0x4040
    assert np.all(decoder.decode(encode(".png", clear)).pixels == 191)


def test_grey_with_alpha(decoder: Decoder) -> None:
    clear = np.dstack([np.zeros((40, 40, 3), np.uint8), np.full((40, 40), 64, np.uint8)])
    assert np.all(decoder.decode(save(clear, "PNG", "LA")).pixels == 191)


def test_transparent_palette_entry(decoder: Decoder) -> None:
    entries = np.zeros((40, 40), np.uint8)
    image = pytest.importorskip("PIL.Image").fromarray(entries).convert("P")
    for kind in ("PNG", "GIF"):
        file = io.BytesIO()
        image.save(file, kind, transparency=0)
        assert np.all(decoder.decode(file.getvalue()).pixels == 255)


def test_colour_of_invisible_pixels_does_not_bleed(decoder: Decoder) -> None:
    stripes = np.zeros((4 * SIZE, 4 * SIZE, 4), np.uint8)
    stripes[..., 0] = 255  # red everywhere, half of it invisible
    stripes[::2, :, 3] = 255
    stripes[::2, :, :3] = 0
    colour = decoder.decode(encode(".png", stripes)).pixels.mean(axis=(0, 1))
    assert np.ptp(colour) < 1


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk(decoder: Decoder, kind: str) -> None:
    assert seen(decoder.decode(save(quarters(), kind, "CMYK"))) == QUARTERS  # Pillow's JPEG is inverted as Adobe's


def upside(rgb: Pixels, orientation: int) -> Pixels:
    """What a camera stores so that EXIF's `orientation` shows `rgb`."""
    stored: dict[int, Pixels] = {
        1: rgb,
        2: np.fliplr(rgb),
        3: np.rot90(rgb, 2),
        4: np.flipud(rgb),
        5: rgb.transpose(1, 0, 2),
        6: np.rot90(rgb, 1),
        7: np.rot90(rgb, 2).transpose(1, 0, 2),
        8: np.rot90(rgb, 3),
    }
    return np.ascontiguousarray(stored[orientation])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_upright_by_exif(decoder: Decoder, kind: str, orientation: int) -> None:
    exif = pytest.importorskip("PIL.Image").Exif()
    exif[0x0112] = orientation
    data = save(upside(quarters(), orientation), kind, exif=exif, quality=95)
    picture = decoder.decode(data)
    assert seen(picture) == QUARTERS
    assert (picture.width, picture.height) == (96, 64)


def test_upright_by_exif_with_alpha(decoder: Decoder) -> None:
    exif = pytest.importorskip("PIL.Image").Exif()
    exif[0x0112] = 6
    data = save(upside(quarters(), 6), "PNG", "RGBA", exif=exif)
    assert seen(decoder.decode(data)) == QUARTERS


@pytest.mark.parametrize("orientation", [1, 6])
def test_large_jpeg_is_reduced_but_tells_its_full_size(decoder: Decoder, orientation: int) -> None:
    exif = pytest.importorskip("PIL.Image").Exif()
    exif[0x0112] = orientation
    picture = decoder.decode(save(upside(quarters(2002, 1502), orientation), "JPEG", exif=exif))
    assert (picture.width, picture.height) == (2002, 1502)
    assert seen(picture) == QUARTERS


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("side", [3 * SIZE + 5, 20 * SIZE])
def test_shrinking_averages_areas(decoder: Decoder, suffix: str, side: int) -> None:
    board = (np.indices((side, side)).sum(0) % 2 * 255).astype(np.uint8)
    pixels = decoder.decode(encode(suffix, board, *((1, 100) if suffix == ".jpg" else ()))).pixels
    assert 115 < pixels.min() <= pixels.max() < 140


@pytest.mark.parametrize(("width", "height"), [(1, 1), (8, 6), (400, 8), (8, 400), (2000, 1)])
def test_small_and_thin_pictures_grow(decoder: Decoder, width: int, height: int) -> None:
    grey = np.full((height, width, 3), 77, np.uint8)
    picture = decoder.decode(encode(".png", grey))
    assert np.all(picture.pixels == 77)
    assert (picture.width, picture.height) == (width, height)


def png_claiming(width: int, height: int, rows: bytes = b"") -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"a letter, not a picture", "not a picture"),
        (b"\0" * 5000, "not a picture"),
        (b"\xff\xd8\xff", "JPEG"),
        (png_claiming(30_000, 30_000), "memory"),
        (png_claiming(100_000, 100_000), "pixels"),
        (b"BM" + b"\xff" * 200, "BMP"),
    ],
    ids=["empty", "text", "zeros", "jpeg-start", "huge", "beyond-huge", "bmp-noise"],
)
def test_the_reason_is_told(decoder: Decoder, data: bytes, reason: str) -> None:
    with pytest.raises(UnreadablePictureError, match=reason):
        decoder.decode(data)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".gif", ".tiff", ".bmp", ".jp2", ".avif", ".ppm"])
def test_a_cut_short_file_is_refused(decoder: Decoder, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (90, 90, 3), np.uint8)
    data = encode(suffix, noise)
    with pytest.raises(UnreadablePictureError, match="cut short"):
        decoder.decode(data[: len(data) // 2])
    decoder.decode(data)


def busy() -> bytes:
    """A progressive JPEG whose last, empty scan is repeated: kilobytes that keep a decoder busy."""
    data = save(np.zeros((4000, 4000), np.uint8), "JPEG", progressive=True)
    scan = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + scan * 1000 + data[-2:]


def test_processor_time_is_limited(decoder: Decoder) -> None:
    data = busy()
    began = time.monotonic()
    with pytest.raises(UnreadablePictureError, match="2 seconds of processor time"):
        decoder.decode(data)
    assert time.monotonic() - began < 20
    assert seen(decoder.decode(encode(".png", quarters()))) == QUARTERS


def children() -> set[int]:
    found = set()
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
            command = (entry.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if int(fields[1]) == os.getpid() and (b"decoding/worker" in command or fields[0] == "Z"):
            found.add(int(entry.parent.name))
    return found


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="counts processes by /proc")


@needs_proc
class TestProcesses:
    def test_a_killed_child_is_replaced(self) -> None:
        before = children()
        with Decoder(SIZE, workers=1) as decoder:
            for _ in range(3):
                decoder.decode(encode(".png", quarters()))
                (pid,) = children() - before
                os.kill(pid, signal.SIGKILL)
                assert seen(decoder.decode(encode(".png", quarters()))) == QUARTERS

    def test_a_child_is_kept_from_picture_to_picture(self) -> None:
        before = children()
        with Decoder(SIZE, workers=1) as decoder:
            decoder.decode(encode(".png", quarters()))
            first = children() - before
            with pytest.raises(UnreadablePictureError):
                decoder.decode(b"no picture")
            decoder.decode(encode(".png", quarters()))
            assert children() - before == first

    def test_threads_share_a_decoder(self) -> None:
        before = children()
        greys = [encode(".png", np.full((50 + n, 50, 3), n, np.uint8)) for n in range(120)]
        with Decoder(SIZE, workers=2) as decoder:
            with ThreadPoolExecutor(6) as pool:
                pictures = list(pool.map(decoder.decode, greys))
            assert 1 <= len(children() - before) <= 2
        for n, picture in enumerate(pictures):
            assert np.all(picture.pixels == n)
            assert picture.height == 50 + n

    def test_close_leaves_no_process(self) -> None:
        before = children()
        decoder = Decoder(SIZE, workers=2)
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(decoder.decode, [encode(".png", quarters())] * 8))
        assert children() - before
        decoder.close()
        decoder.close()
        assert children() == before
        with pytest.raises(UsageError, match="closed"):
            decoder.decode(encode(".png", quarters()))

    def test_a_forgotten_decoder_leaves_no_process(self) -> None:
        before = children()
        Decoder(SIZE).decode(encode(".png", quarters()))
        assert children() == before

    def test_children_die_with_a_killed_parent(self) -> None:
        script = (
            "import sys, time; from imgindex.decoding.decoder import Decoder; d = Decoder(8, workers=1)\n"
            "d.decode(sys.stdin.buffer.read()); print('ready', flush=True); time.sleep(60)"
        )
        with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
            assert parent.stdin
            assert parent.stdout
            parent.stdin.write(encode(".png", quarters()))
            parent.stdin.close()
            assert parent.stdout.readline() == b"ready\n"
            offspring = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
            assert offspring
            parent.kill()
        until = time.monotonic() + 10
        while any(alive(int(pid)) for pid in offspring):
            assert time.monotonic() < until
            time.sleep(0.02)

    def test_ctrl_c_is_the_parents_affair(self) -> None:
        before = children()
        with Decoder(SIZE, workers=1) as decoder:
            decoder.decode(encode(".png", quarters()))
            (pid,) = children() - before
            os.kill(pid, signal.SIGINT)
            decoder.decode(encode(".png", quarters()))
            assert children() - before == {pid}

    def test_a_child_that_does_not_answer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("imgindex.decoding.child.WALL_SECONDS", 2)
        before = children()
        with Decoder(SIZE, workers=1) as decoder:
            decoder.decode(encode(".png", quarters()))
            (pid,) = children() - before
            os.kill(pid, signal.SIGSTOP)
            with pytest.raises(UnreadablePictureError, match=r"longer than 2 seconds"):
                decoder.decode(encode(".png", quarters()))
            assert pid not in children()

    def test_a_crash_names_the_signal(self) -> None:
        before = children()
        with Decoder(SIZE, workers=1) as decoder:
            decoder.decode(encode(".png", quarters()))
            (pid,) = children() - before
            data = busy()
            threading.Timer(0.3, os.kill, (pid, signal.SIGSEGV)).start()
            with pytest.raises(UnreadablePictureError, match=r"crashed on it \(SIGSEGV\)"):
                decoder.decode(data)
            assert seen(decoder.decode(encode(".png", quarters()))) == QUARTERS


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_decoder_that_cannot_start_names_the_cause(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "cv2.py").write_text("raise ImportError('libGL.so.1: cannot open shared object file')")
    monkeypatch.syspath_prepend(tmp_path)
    with Decoder(SIZE) as decoder, pytest.raises(ImgindexError, match="libGL") as caught:
        decoder.decode(encode(".png", quarters()))
    assert not isinstance(caught.value, UnreadablePictureError)


def test_heic_without_the_extra_names_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "pillow_heif.py").write_text("raise ImportError('not installed')")
    monkeypatch.syspath_prepend(tmp_path)
    with Decoder(SIZE) as decoder, pytest.raises(UnreadablePictureError, match=r"pip install 'imgindex\[heif\]'"):
        decoder.decode(b"\0\0\0\x18ftypheic" + bytes(40))


def test_a_python_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with Decoder(SIZE) as decoder, pytest.raises(ImgindexError, match="cannot start"):
        decoder.decode(encode(".png", quarters()))


def test_many_threads_wait_for_one_child(decoder: Decoder) -> None:
    results: list[Decoded] = []
    threads = [
        threading.Thread(target=lambda: results.append(decoder.decode(encode(".png", quarters())))) for _ in range(10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [seen(picture) for picture in results] == [QUARTERS] * 10


@pytest.mark.parametrize("progressive", [False, True])
def test_a_100_megapixel_jpeg(decoder: Decoder, progressive: bool) -> None:
    data = save(quarters(12_000, 8_400), "JPEG", progressive=progressive, quality=50)
    picture = decoder.decode(data)
    assert (picture.width, picture.height) == (12_000, 8_400)
    assert seen(picture) == QUARTERS
