"""Which files have the same digest, and what in them is not compared."""

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from imgindex.decoding.decoder import Decoder

Image = pytest.importorskip("PIL.Image")
NOT_COMPARED = bytes(32)


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(64, workers=1) as one:
        yield one


def save(pixels: np.ndarray, kind: str = "JPEG", **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def large(*, sign: int = 1) -> np.ndarray:
    """(1200, 1600, 3): a wave that is grey once it is reduced, whichever half of it is light."""
    wave = np.cos((2 * np.arange(8) + 1) * 4 * np.pi / 16)
    tile = 128 + sign * 100 * np.outer(wave, wave)
    return np.repeat(np.tile(tile.round().astype(np.uint8), (150, 200))[..., None], 3, axis=2)


def test_large_jpegs_that_look_the_same_once_they_are_reduced_are_not_the_same(decoder: Decoder) -> None:
    one, other = (decoder.decode(save(large(sign=sign), quality=75)) for sign in (1, -1))
    assert (one.pixels == other.pixels).all()
    assert one.digest != other.digest
    assert NOT_COMPARED not in (one.digest, other.digest)


def test_a_large_jpeg_stays_the_same_when_only_its_metadata_is_edited(decoder: Decoder) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Acme"
    plain, told = (save(large(), quality=75, **more) for more in ({}, {"exif": exif.tobytes(), "comment": b"mine"}))
    assert decoder.decode(told).digest == decoder.decode(plain).digest
    exif[0x0112] = 6
    assert decoder.decode(save(large(), quality=75, exif=exif.tobytes())).digest != decoder.decode(plain).digest


def test_adobes_mark_says_which_colours_a_large_jpeg_has(decoder: Decoder) -> None:
    data = save(large(), quality=75)
    adobe = b"\xff\xee\x00\x0eAdobe\0\x64\0\0\0\0\0"
    assert decoder.decode(data[:20] + adobe + data[20:]).digest != decoder.decode(data).digest
