"""The contract of a picture format: every row of the table holds it. A new row brings a way to write a file of it."""

import io
import struct
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import cv2
import numpy as np
import pytest

from imgindex import files
from imgindex.decoding.decoder import Decoder, Decoders, decoder_versions
from imgindex.decoding.formats import FORMATS, HEAD, UNKNOWN, Format, extension, format_of, kind, media_type
from imgindex.decoding.reading import READERS
from imgindex.decoding.thumbnails import THUMBNAIL, sample, thumbnail
from imgindex.errors import UnreadablePictureError
from imgindex.types import Pixels

SIZE = 32


def picture() -> Pixels:
    """(48, 72, 3) RGB: red, green / blue, white."""
    quarters = np.array([[(255, 0, 0), (0, 255, 0)], [(0, 0, 255), (255, 255, 255)]], np.uint8)
    return quarters.repeat(24, 0).repeat(36, 1)


def opencv(suffix: str) -> bytes:
    pixels = picture()[..., ::-1]
    done, data = cv2.imencode(suffix, pixels.astype(np.float32) / 255 if suffix == ".hdr" else pixels)
    assert done
    return data.tobytes()


def heic() -> bytes:
    pillow_heif = pytest.importorskip("pillow_heif")
    file = io.BytesIO()
    pillow_heif.from_pillow(pytest.importorskip("PIL.Image").fromarray(picture())).save(file, quality=95)
    return file.getvalue()


def pam() -> bytes:
    return b"P7\nWIDTH 72\nHEIGHT 48\nDEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\n" + picture().tobytes()


def raw(head: bytes) -> bytes:
    """A camera's file that begins so, with a preview as large as its sensor."""
    return head.ljust(HEAD, b"\0") + opencv(".jpg")


WRITERS: dict[str, Callable[[], bytes]] = {
    "JPEG": lambda: opencv(".jpg"),
    "PNG": lambda: opencv(".png"),
    "GIF": lambda: opencv(".gif"),
    "WebP": lambda: opencv(".webp"),
    "CR2": lambda: raw(b"II*\0\x10\0\0\0CR\2\0"),
    "CR3": lambda: raw(b"\0\0\0\x18ftypcrx \0\0\0\1crx isom"),
    "ORF": lambda: raw(b"IIRO\x08\0\0\0"),
    "RAF": lambda: raw(b"FUJIFILMCCD-RAW 0201"),
    "RW2": lambda: raw(b"IIU\0\x18\0\0\0"),
    "TIFF": lambda: opencv(".tif"),
    "BMP": lambda: opencv(".bmp"),
    "JPEG 2000": lambda: opencv(".jp2"),
    "AVIF": lambda: opencv(".avif"),
    "HEIC": heic,
    "HDR": lambda: opencv(".hdr"),
    "PAM": pam,
    "PNM": lambda: opencv(".ppm"),
}

LOSSLESS = {"PNG", "TIFF", "WebP", "BMP", "JPEG 2000", "PAM", "PNM"}  # as they are written here

each_format = pytest.mark.parametrize("row", FORMATS, ids=lambda row: row.name)


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(SIZE, workers=1) as one:
        yield one


@each_format
def test_a_file_is_told_by_its_content(row: Format) -> None:
    head = WRITERS[row.name]()[:HEAD]
    assert format_of(head) is row
    assert (kind(head), media_type(head), extension(head)) == (row.name, row.media_type, row.extension)


@each_format
def test_its_reader_gives_the_picture_upright(decoder: Decoder, row: Format) -> None:
    decoded = decoder.decode(WRITERS[row.name]())
    assert (decoded.width, decoded.height) == (72, 48)
    at = (SIZE // 4, SIZE * 3 // 4)
    found = np.array([[decoded.pixels[y, x] for x in at] for y in at], int)
    assert np.abs(found - picture()[[12, 36]][:, [18, 54]]).max() <= 26


@each_format
def test_the_same_pixels_have_the_same_digest_in_every_lossless_format(decoder: Decoder, row: Format) -> None:
    data = WRITERS[row.name]()
    assert decoder.decode(data).digest == decoder.decode(data).digest != bytes(32)
    assert (decoder.decode(data).digest == decoder.decode(opencv(".png")).digest) == (row.name in LOSSLESS)


@each_format
def test_half_a_file_is_refused_with_a_reason(decoder: Decoder, row: Format) -> None:
    data = WRITERS[row.name]()
    with pytest.raises(UnreadablePictureError) as refused:
        decoder.decode(data[: len(data) // 2])
    assert str(refused.value)
    assert decoder.decode(data).width == 72  # the next one is read


@each_format
def test_a_row_is_complete_and_unlike_the_others(row: Format) -> None:
    assert row.reader in READERS
    assert row.media_type.startswith("image/")
    assert row.extension.startswith(".")
    assert row.distributions
    assert [other.name for other in FORMATS if row.name == other.name or row.extension == other.extension] == [row.name]


def test_what_is_no_picture_is_of_no_format() -> None:
    for head in (b"", b"%PDF-1.7", b"PK\x03\x04", struct.pack(">I", 32) + b"ftypisom" + bytes(52)):
        assert format_of(head) is UNKNOWN
    assert (kind(b""), media_type(b""), extension(b"")) == ("", "application/octet-stream", "")


def test_the_installed_packages_that_read_are_named_with_their_versions() -> None:
    opencv = next(name for name in FORMATS[0].distributions if f"{name} " in decoder_versions())
    assert f"{opencv} {metadata.version(opencv)}" in decoder_versions()
    readers = {name for row in FORMATS for name in row.distributions}
    named = {name.lower().replace("_", "-") for name in decoder_versions().split()[::2]}
    assert named <= readers


def test_thumbnails_and_samples_have_the_shape_of_the_picture(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(opencv(".png"))
    content = files.read(str(path), 10**6)
    decoders = Decoders()
    small = thumbnail(str(path), content.sha256, decoders)
    assert small is not None
    assert cv2.imdecode(np.frombuffer(small, np.uint8), cv2.IMREAD_COLOR).shape == (213, THUMBNAIL, 3)
    part = sample(str(path), SIZE, decoders)
    assert part is not None
    assert part.shape == (SIZE, SIZE * 3 // 2, 3)
    assert thumbnail(str(path), bytes(32), decoders) is None  # it has changed
    path.write_bytes(b"no picture")
    assert sample(str(path), SIZE, decoders) is None
    path.unlink()
    assert thumbnail(str(path), content.sha256, decoders) is None
    decoders.close()


def test_decoders_start_one_for_each_size_and_close_them_all() -> None:
    started: list[int] = []
    closed: list[int] = []

    class Fake:
        def __init__(self, size: int) -> None:
            started.append(size)
            self.size = size

        def decode(self, data: bytes):
            return data * self.size

        def close(self) -> None:
            closed.append(self.size)

    decoders = Decoders(Fake)
    assert [decoders.decode(b"a", size) for size in (1, 2, 1)] == [b"a", b"aa", b"a"]
    decoders.close()
    assert (started, closed) == ([1, 2], [1, 2])
