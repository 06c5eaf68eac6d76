"""Which files have the same digest, and what in them is not compared."""

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from imgindex.decoding.decoder import Decoder
from imgindex.facts import Facts

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


def small(seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (48, 64, 3), np.uint8)


def told(decoder: Decoder, data: bytes) -> Facts:
    found = decoder.decode(data).facts
    assert found is not None
    return found


@pytest.mark.parametrize("pixels", [small(), large()], ids=["small", "large"])
def test_what_lies_behind_a_jpegs_end_is_known_and_compared(decoder: Decoder, pixels: np.ndarray) -> None:
    data = save(pixels)
    films = [data + bytes([n]) * 5000 for n in (1, 2)]
    assert [told(decoder, film).extra for film in films] == [True, True]
    assert len({decoder.decode(each).digest for each in (data, *films)}) == 3
    for end in (b"", b"stray", bytes(5000)):
        assert not told(decoder, data + end).extra
        assert decoder.decode(data + end).digest == decoder.decode(data).digest


def test_further_pictures_of_a_camera_are_known_and_compared(decoder: Decoder) -> None:
    def both(second: int) -> bytes:
        return save(small(), "MPO", save_all=True, append_images=[Image.fromarray(small(second))])

    assert told(decoder, both(2)).extra
    assert len({decoder.decode(each).digest for each in (both(2), both(3), save(small()))}) == 3


def test_further_pictures_and_bits_of_a_heic_are_known() -> None:
    heif = pytest.importorskip("pillow_heif")

    def heic(*pictures: np.ndarray) -> bytes:
        file, made = io.BytesIO(), heif.HeifFile()
        for each in pictures:
            wide = each.dtype == np.uint16
            made.add_frombytes("RGB;16" if wide else "RGB", each.shape[1::-1], each.tobytes())
        made.save(file, quality=-1)
        return file.getvalue()

    deep = small().astype(np.uint16) << 8
    with Decoder(64, workers=1) as decoder:
        assert (told(decoder, heic(small())).extra, told(decoder, heic(small(), small(2))).extra) == (False, True)
        assert decoder.decode(heic(small())).digest != NOT_COMPARED
        assert decoder.decode(heic(small(), small(2))).digest == NOT_COMPARED
        assert (told(decoder, heic(small())).bits, told(decoder, heic(deep)).bits) == (8, 10)
        assert decoder.decode(heic(deep)).digest != decoder.decode(heic(small())).digest


def test_colours_that_are_wholly_transparent_can_be_brought_back(decoder: Decoder) -> None:
    seen = np.dstack([small(), np.full((48, 64), 255, np.uint8)])
    gone = np.dstack([small(), np.zeros((48, 64), np.uint8)])
    assert decoder.decode(save(seen, "PNG")).digest != NOT_COMPARED
    assert decoder.decode(save(gone, "PNG")).digest == NOT_COMPARED
