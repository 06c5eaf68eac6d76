"""What a file holds: made files, and bytes that lie."""

import io
import json
import struct
import time
import zlib
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from imgindex.decoding import coding, containers, raw
from imgindex.decoding.decoder import Decoder
from imgindex.decoding.fineness import detail_and_noise, has_colour
from imgindex.errors import UnreadablePictureError
from imgindex.facts import Facts, from_json
from imgindex.types import Pixels
from tests.conftest import SHARED

Image = pytest.importorskip("PIL.Image")


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(64, workers=1) as one:
        yield one


def scene(width: int = 480, height: int = 360, seed: int = 1) -> Pixels:
    """(H, W, 3), with the spectrum of a photo: discs of all sizes that cover each other."""
    rng = np.random.default_rng(seed)
    big = np.zeros((4 * height, 4 * width, 3), np.uint8)
    for size in np.sort(rng.pareto(1.2, 4000) * 8 + 8)[::-1]:
        at = (int(rng.integers(4 * width)), int(rng.integers(4 * height)))
        cv2.circle(big, at, int(min(size, width)), [int(v) for v in rng.integers(0, 256, 3)], -1)
    return cv2.resize(big, (width, height), interpolation=cv2.INTER_AREA)


def save(image: Any, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(file, kind, **options)
    return file.getvalue()


def facts(decoder: Decoder, data: bytes) -> Facts:
    found = decoder.decode(data).facts
    assert found is not None
    return found


def digest(decoder: Decoder, data: bytes) -> bytes:
    return decoder.decode(data).digest


@pytest.mark.parametrize("quality", [5, 10, 30, 50, 75, 90, 95, 100])
def test_quality_is_read_from_the_tables(quality: int) -> None:
    assert coding.jpeg_quality(save(scene(64, 64), "JPEG", quality=quality)) == quality


@pytest.mark.parametrize(("setting", "name"), [(0, "4:4:4"), (1, "4:2:2"), (2, "4:2:0")])
def test_subsampling_is_read(setting: int, name: str) -> None:
    assert coding.jpeg_subsampling(save(scene(64, 64), "JPEG", subsampling=setting)) == name


def test_a_lossless_file_has_no_quality(decoder: Decoder) -> None:
    found = facts(decoder, save(scene(), "PNG"))
    assert (found.format, found.quality, found.subsampling, found.bits, found.frames) == ("png", None, None, 8, 1)
    assert not found.raw


def test_a_grey_picture_stored_as_colours_has_no_colour(decoder: Decoder) -> None:
    grey = np.repeat(cv2.cvtColor(scene(), cv2.COLOR_RGB2GRAY)[..., None], 3, 2)
    assert not facts(decoder, save(grey, "PNG")).colour
    assert not facts(decoder, save(grey, "JPEG", quality=40)).colour
    assert facts(decoder, save(scene(), "JPEG", quality=40)).colour


def test_a_red_stamp_on_a_grey_page_is_colour() -> None:
    page = np.full((1200, 900, 3), 255, np.uint8)
    cv2.putText(page, "Received", (600, 100), cv2.FONT_HERSHEY_SIMPLEX, 2, (30, 30, 200), 5)
    assert has_colour(page)


def test_bits_that_only_repeat_others_do_not_count(decoder: Decoder) -> None:
    wide = scene().astype(np.uint16)
    bits = [
        facts(decoder, cv2.imencode(".png", data)[1].tobytes()).bits for data in (wide * 257, wide * 256, wide * 250)
    ]
    assert bits == [8, 8, 16]
    assert facts(decoder, save(Image.fromarray(scene()).convert("1"), "PNG")).bits == 1


def test_a_single_pixel_says_that_all_bits_are_used(decoder: Decoder) -> None:
    line = np.zeros((2500, 2500), np.uint8)
    assert facts(decoder, save(line, "PNG")).bits == 1
    line[0, 0] = 7
    assert facts(decoder, save(line, "PNG")).bits == 8
    wide = np.full((2500, 2500), 257 * 90, np.uint16)
    assert facts(decoder, cv2.imencode(".png", wide)[1].tobytes()).bits == 8
    wide[-1, -1] = 256 * 90  # of 8 bits in another way
    assert facts(decoder, cv2.imencode(".png", wide)[1].tobytes()).bits == 16


def test_alpha_is_used_only_where_something_is_seen_through(decoder: Decoder) -> None:
    cut = np.dstack([scene(), np.full((360, 480), 255, np.uint8)])
    idle = cut.copy()
    cut[:100, :, 3] = 0
    few = idle.copy()
    few[:30, :30, 3] = 254
    few[0, 0, 3] = 0
    assert [facts(decoder, save(data, "PNG")).alpha for data in (cut, idle, few)] == [True, False, False]


def test_an_idle_alpha_channel_changes_no_pixels_but_a_used_one_does(decoder: Decoder) -> None:
    plain, idle = scene(), np.dstack([scene(), np.full((360, 480), 255, np.uint8)])
    cut = idle.copy()
    cut[:100, :, 3] = 128
    white = np.asarray(Image.alpha_composite(Image.new("RGBA", (480, 360), "white"), Image.fromarray(cut)))[..., :3]
    assert digest(decoder, save(plain, "PNG")) == digest(decoder, save(idle, "PNG"))
    assert len({digest(decoder, save(data, "PNG")) for data in (plain, cut, np.ascontiguousarray(white))}) == 3


def test_what_cannot_be_seen_does_not_count(decoder: Decoder) -> None:
    one = np.dstack([scene(seed=1), np.zeros((360, 480), np.uint8)])
    one[100:200, 100:200, 3] = 255
    two = one.copy()
    two[:50, :50, :3] = 77
    assert digest(decoder, save(one, "PNG")) == digest(decoder, save(two, "PNG"))


def test_drawings_in_white_do_not_vanish(decoder: Decoder) -> None:
    drawings = []
    for centre in (30, 70):
        drawing = np.full((100, 100, 4), (255, 255, 255, 0), np.uint8)
        cv2.circle(drawing, (centre, 50), 20, (255, 255, 255, 255), -1, cv2.LINE_AA)
        drawings.append(decoder.decode(save(drawing, "PNG")).pixels.astype(int))
    assert np.abs(drawings[0] - drawings[1]).mean() > 20


def test_a_cut_out_photo_stands_on_white(decoder: Decoder) -> None:
    cut = np.dstack([scene(), np.zeros((360, 480), np.uint8)])
    cut[100:200, 100:200, 3] = 255
    assert (decoder.decode(save(cut, "PNG")).pixels[0] == 255).all()


FORMATS = [("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {})]


def animated(kind: str, seeds: tuple[int, ...], **options: Any) -> bytes:
    frames = [Image.fromarray(scene(120, 90, seed)).quantize(64).convert("RGB") for seed in seeds]
    return save(frames[0], kind, save_all=True, append_images=frames[1:], duration=100, loop=0, **options)


@pytest.mark.parametrize(("kind", "options"), FORMATS)
def test_all_frames_take_part_in_the_same_picture(decoder: Decoder, kind: str, options: dict[str, Any]) -> None:
    one, again, other = (animated(kind, seeds, **options) for seeds in ((1, 2, 3), (1, 2, 3), (1, 2, 4)))
    assert facts(decoder, one).frames == 3
    assert digest(decoder, one) == digest(decoder, again) != digest(decoder, other)
    assert any(digest(decoder, one))


def test_an_animation_is_the_same_in_another_lossless_format(decoder: Decoder) -> None:
    assert digest(decoder, animated("PNG", (1, 2))) == digest(decoder, animated("WEBP", (1, 2), lossless=True))


def test_a_long_animation_is_the_same_only_as_bytes(decoder: Decoder) -> None:
    still = Image.new("RGB", (2000, 2000))
    frames = [Image.new("RGB", (2000, 2000), (n, n, n)) for n in range(1, 8)]
    found = decoder.decode(save(still, "PNG", save_all=True, append_images=frames, duration=100))
    assert found.digest == bytes(32)
    assert found.facts is not None
    assert found.facts.frames == 8


def test_all_pages_take_part_in_the_same_picture(decoder: Decoder) -> None:
    def document(*seeds: int) -> bytes:
        pages = [Image.fromarray(scene(120, 90, seed)) for seed in seeds]
        return save(pages[0], "TIFF", save_all=True, append_images=pages[1:])

    found = decoder.decode(document(1, 2, 3))
    assert found.facts is not None
    assert (found.facts.format, found.facts.frames) == ("tiff", 3)
    assert found.digest != digest(decoder, document(1, 2, 4))
    assert found.digest != digest(decoder, document(1))


def broken_off(image: Pixels, kind: str) -> Pixels:
    height, width = image.shape[:2]
    match kind:
        case "enlarged":
            small = cv2.resize(image, (width // 4, height // 4), interpolation=cv2.INTER_AREA)
            return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
        case "blurred":
            return cv2.GaussianBlur(image, (0, 0), 2)
        case _:
            return image


@pytest.mark.parametrize("kind", ["enlarged", "blurred"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_an_enlargement_and_a_blur_have_less_detail_than_they_claim(decoder: Decoder, kind: str, seed: int) -> None:
    image = scene(seed=seed)
    whole, less = (facts(decoder, save(data, "PNG")).detail for data in (image, broken_off(image, kind)))
    assert less < 0.35 * whole


def test_strong_compression_has_less_detail_than_it_claims(decoder: Decoder) -> None:
    strong, weak = (facts(decoder, save(scene(), "JPEG", quality=q)).detail for q in (10, 90))
    assert strong < 0.5 * weak


@pytest.mark.parametrize("progressive", [False, True])
def test_an_enlargement_is_told_though_a_large_jpeg_is_reduced_as_it_is_read(
    decoder: Decoder, progressive: bool
) -> None:
    image = scene(1600, 1200)
    half = cv2.resize(cv2.resize(image, (800, 600), interpolation=cv2.INTER_AREA), (1600, 1200))
    whole, less = (
        facts(decoder, save(data, "JPEG", quality=90, progressive=progressive)).detail for data in (image, half)
    )
    assert whole > 1.5
    assert less < 0.6 * whole


def test_half_the_size_has_a_quarter_of_the_detail(decoder: Decoder) -> None:
    image = scene(960, 720)
    half = cv2.resize(image, (480, 360), interpolation=cv2.INTER_AREA)
    whole, quarter = (facts(decoder, save(data, "PNG")).detail for data in (image, half))
    assert quarter == pytest.approx(whole / 4, rel=0.1)


@pytest.mark.parametrize("sigma", [5, 15])
def test_noise_is_told_and_is_no_detail(sigma: int) -> None:
    image = cv2.cvtColor(scene(), cv2.COLOR_RGB2GRAY)
    noisy = np.clip(image + np.random.default_rng(1).normal(0, sigma, image.shape), 0, 255).astype(np.uint8)
    (share, before), (noisy_share, found) = detail_and_noise(image), detail_and_noise(noisy)
    assert found == pytest.approx(np.hypot(sigma, before), rel=0.25)
    assert noisy_share <= share * 1.05


def test_a_jpeg_without_its_end_marker_is_whole(decoder: Decoder) -> None:
    data = save(scene(), "JPEG", quality=90)
    assert data.endswith(b"\xff\xd9")
    whole = decoder.decode(data)
    for cut in (data[:-2], data[:-1], data[:-2] + b"\0\0Trailer"):
        found = decoder.decode(cut)
        assert found.digest == whole.digest


def test_the_end_of_a_thumbnail_is_not_the_end_of_the_picture(decoder: Decoder) -> None:
    thumbnail = save(scene(64, 48), "JPEG")
    data = save(scene(), "JPEG", quality=90, exif=b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0" + thumbnail)
    assert decoder.decode(data[:-2]).digest == decoder.decode(data).digest


@pytest.mark.parametrize("end", [b"", b"\xff\xd9", bytes(20_000) + b"\xff\xd9"])
@pytest.mark.parametrize("progressive", [False, True])
def test_half_a_jpeg_is_refused_however_it_ends(decoder: Decoder, end: bytes, progressive: bool) -> None:
    data = save(scene(), "JPEG", quality=90, progressive=progressive)
    with pytest.raises(UnreadablePictureError, match="damaged or cut short"):
        decoder.decode(data[: len(data) // 2] + end)


@pytest.mark.parametrize(("kind", "options"), [("WEBP", {"quality": 90}), ("BMP", {})])
def test_room_that_was_never_filled_is_refused(decoder: Decoder, kind: str, options: dict[str, Any]) -> None:
    data = save(scene(481), kind, **options)
    kept = len(data) * 6 // 10 + 300
    with pytest.raises(UnreadablePictureError, match="damaged or cut short"):
        decoder.decode(data[:kept] + bytes(len(data) - kept))


def test_a_bitmap_with_black_bars_is_whole(decoder: Decoder) -> None:
    image = scene()
    image[:60] = image[-60:] = 0
    assert decoder.decode(save(image, "BMP")).width == 480


def dng(small: Pixels, full: Pixels, *, preview: bytes = b"") -> bytes:
    """A raw file whose first directory is a thumbnail, and which may hold a preview as JPEG."""
    height, width = (side // 2 * 2 for side in full.shape[:2])
    mosaic = np.zeros((height, width), "<u2")
    light = ((full[:height, :width] / 255.0) ** 2.2 * 4095).astype("<u2")
    for y, x, channel in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2)):
        mosaic[y::2, x::2] = light[y::2, x::2, channel]
    thumb, sensor = small.tobytes(), mosaic.tobytes()
    first = {254: 1, 256: small.shape[1], 257: small.shape[0], 258: 8, 259: 1, 262: 2, 273: 4096, 277: 3,
             278: small.shape[0], 279: len(thumb), 330: 1024, 50706: 0x00000401}  # fmt: skip
    second = {254: 0, 256: width, 257: height, 258: 16, 259: 1, 262: 32803, 273: 4096 + len(thumb), 277: 1,
              278: height, 279: len(sensor), 33421: 0x00020002, 33422: 0x02010100, 50717: 4095}  # fmt: skip

    def directory(entries: dict[int, int]) -> bytes:
        kinds = {50706: (1, 4), 33421: (3, 2), 33422: (1, 4)}
        body = [struct.pack("<HHII", tag, *kinds.get(tag, (4, 1)), value) for tag, value in sorted(entries.items())]
        return struct.pack("<H", len(entries)) + b"".join(body) + bytes(4)

    data = (b"II*\0\x08\0\0\0" + directory(first)).ljust(1024, b"\0")
    return (data + directory(second)).ljust(4096, b"\0") + thumb + sensor + preview


def test_a_raw_file_is_never_shown_by_its_thumbnail(decoder: Decoder) -> None:
    full = scene(640, 480)
    data = dng(scene(128, 96, seed=9), full)
    try:
        found = decoder.decode(data)
    except UnreadablePictureError as error:
        assert "imgindex[raw]" in str(error)  # noqa: PT017 - what is right depends on what is installed
        return
    assert (found.width, found.height) == (640, 480)
    assert found.facts is not None
    assert (found.facts.format, found.facts.raw, found.facts.bits) == ("dng", True, 16)
    assert found.digest != digest(decoder, save(full, "PNG"))


def test_a_full_preview_stands_for_a_raw_file_and_a_small_one_does_not(decoder: Decoder) -> None:
    full, thumb = scene(640, 480), scene(128, 96, seed=9)
    jpeg = save(full, "JPEG", quality=95)
    found = decoder.decode(dng(thumb, full, preview=jpeg + bytes(range(256)) * 2))
    assert found.facts is not None
    assert (found.width, found.height, found.facts.raw, found.facts.extra) == (640, 480, True, False)
    assert np.abs(found.pixels.astype(int) - decoder.decode(jpeg).pixels).mean() < 1
    assert found.digest != digest(decoder, jpeg)
    assert raw.preview(dng(thumb, full, preview=save(thumb, "JPEG")), "dng") is None


def test_a_preview_behind_the_tiles_of_raw_data_is_found() -> None:
    full = scene(640, 480)
    tile = b"\xff\xd8\xff\xc3\0\x0b\x10\1\0\1\0\1\1\x11\0\xff\xda\0\2" + bytes(200)
    data = dng(scene(128, 96, seed=9), full, preview=1600 * tile + save(full, "JPEG"))
    found = raw.preview(data, "dng")
    assert found is not None
    assert (found.width, found.height) == (640, 480)


@pytest.mark.parametrize("start", [b"\xff\xd8\xff", b"\xff\xd8\xff\xd0"])
def test_many_starts_of_pictures_end_soon(start: bytes) -> None:
    began = time.process_time()
    assert raw.preview(start * (1 << 20), "raf") is None
    assert time.process_time() - began < 1


def test_a_tiff_picture_is_no_raw_file() -> None:
    assert raw.kind_of(save(scene(64, 48), "TIFF")) == ""


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"FUJIFILMCCD-RAW 0201", "raf"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "cr3"),
        (b"IIRO\x08\0\0\0" + bytes(16), "orf"),
        (b"IIU\0\x18\0\0\0" + bytes(16), "rw2"),
        (b"II*\0\x10\0\0\0CR\2\0" + bytes(16), "cr2"),
    ],
)
def test_raw_files_are_told_by_their_content(head: bytes, kind: str) -> None:
    assert raw.kind_of(head) == kind


values = {
    "format": st.text(max_size=20),
    "frames": st.integers(1, 10_000),
    "bits": st.integers(1, 32),
    "alpha": st.booleans(),
    "colour": st.booleans(),
    "raw": st.booleans(),
    "quality": st.none() | st.integers(1, 100),
    "detail": st.floats(0, 1000),
    "noise": st.floats(0, 255),
    "captured": st.none() | st.text(max_size=40),
    "latitude": st.none() | st.floats(-90, 90),
    "rating": st.none() | st.integers(-1, 5),
}


@given(st.fixed_dictionaries(values))
def test_facts_come_back_from_json_as_they_were(made: dict[str, Any]) -> None:
    assert from_json(Facts(**made).to_json()) == Facts(**made)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=200),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([field.name for field in fields(Facts)]), json_values))
def test_damaged_json_gives_facts_of_the_right_kinds_or_none(held: dict[str, Any]) -> None:
    found = from_json(json.dumps(held))
    if found is not None:
        assert isinstance(found.frames, int)
        assert isinstance(found.detail, int | float)
        assert found.quality is None or isinstance(found.quality, int)
        assert isinstance(found.to_json(), str)


@given(st.binary(max_size=300) | st.text(max_size=300))
@example("[" * 100_000)
@example('{"format":"jpeg"')
@example('["format"]')
@example('{"format":1}')
def test_what_is_no_json_gives_no_facts(text: bytes | str) -> None:
    assert from_json(text) is None


def test_usual_facts_are_short_and_tell_their_version() -> None:
    assert Facts("jpeg", detail=1.5).to_json() == '{"v":1,"format":"jpeg","detail":1.5}'


small = scene(48, 36)
whole_files = [
    save(small, "JPEG"), save(small, "PNG"), save(small, "WEBP"), save(small, "TIFF"), save(small, "GIF"),
    animated("GIF", (1, 2)), animated("PNG", (1, 2)), animated("WEBP", (1, 2)), dng(scene(32, 24), scene(64, 48)),
]  # fmt: skip


@settings(max_examples=300)
@given(st.sampled_from(whole_files), st.integers(0, 400), st.binary(min_size=1, max_size=8), st.integers(1, 2000))
def test_headers_of_damaged_files_never_raise(data: bytes, at: int, noise: bytes, end: int) -> None:
    damaged = (data[:at] + noise + data[at + len(noise) :])[:end]
    for kind in ("JPEG", "PNG", "WebP", "TIFF", "GIF", "AVIF"):
        assert 1 <= coding.frames(damaged, kind) <= 1 << 20
    assert coding.jpeg_quality(damaged) in {None, *range(1, 101)}
    coding.jpeg_subsampling(damaged)
    coding.webp_lossless(damaged)
    camera = raw.kind_of(damaged)
    raw.preview(damaged, camera)
    assert raw.bits(damaged) >= 8
    assert len(containers.directories(damaged)) <= 256


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the measuring data in ../shared")
def test_photos_have_most_of_the_detail_that_they_claim(decoder: Decoder) -> None:
    found = [decoder.decode(photo.read_bytes()) for photo in sorted((SHARED / "photos").glob("*/*"))[::40]]
    shares = [one.facts.detail / (one.width * one.height / 1e6) for one in found if one.facts]
    assert np.median(shares) > 0.9
    assert min(shares) > 0.15


def planar(image: Pixels, photometric: int, *, compressed: bool = False) -> bytes:
    """A TIFF of 16 bits that keeps its channels apart, or a grey one."""
    height, width = image.shape[:2]
    channels = np.atleast_3d(image).transpose(2, 0, 1).astype("<u2") * 257
    strips = [zlib.compress(one.tobytes()) if compressed else one.tobytes() for one in channels]
    count = len(strips)
    starts = np.cumsum([400, *(len(strip) for strip in strips)])[:-1]
    numbers = {256: [width], 257: [height], 258: [16] * count, 259: [8 if compressed else 1], 262: [photometric],
               273: list(starts), 277: [count], 278: [height], 279: [len(strip) for strip in strips],
               284: [2 if count > 1 else 1]}  # fmt: skip
    body, more, behind = struct.pack("<H", len(numbers)), b"", 8 + 2 + 12 * len(numbers) + 4
    for tag, values in numbers.items():
        packed = struct.pack(f"<{len(values)}I", *values)
        body += struct.pack("<HHI", tag, 4, len(values))
        body += packed if len(values) == 1 else struct.pack("<I", behind + len(more))
        more += packed if len(values) > 1 else b""
    return (b"II*\0\x08\0\0\0" + body + bytes(4) + more).ljust(400, b"\0") + b"".join(strips)


@pytest.mark.parametrize("compressed", [False, True])
def test_a_tiff_of_planes_is_the_picture_that_it_is_in_a_png(decoder: Decoder, compressed: bool) -> None:
    image = scene()
    wide = cv2.imencode(".png", (image[..., ::-1].astype(np.uint16) * 257))[1].tobytes()
    found = decoder.decode(planar(image, 2, compressed=compressed))
    assert found.digest == decoder.decode(wide).digest
    assert found.facts is not None
    assert (found.facts.format, found.facts.bits, found.facts.colour) == ("tiff", 8, True)


def test_a_tiff_of_planes_of_another_kind_is_refused_in_a_sentence(decoder: Decoder) -> None:
    with pytest.raises(UnreadablePictureError, match="planes"):
        decoder.decode(planar(np.dstack([scene(), scene()[..., 0]]), 8))


def inks(image: Pixels) -> Pixels:
    """(H, W, 4) cyan, magenta, yellow and black."""
    missing = 255 - image.astype(int)
    black = missing.min(2, keepdims=True)
    colours = (missing - black) * 255 // np.maximum(1, 255 - black)
    return np.concatenate([colours, black], axis=2).astype(np.uint8)


def chunky(image: npt.NDArray[Any], photometric: int, bits: int, largest: int | None = None) -> bytes:
    """A TIFF of one strip, with all channels of a pixel beside each other; it may tell its largest value."""
    data = image.astype("<u2" if bits == 16 else np.uint8).tobytes()
    height, width, count = np.atleast_3d(image).shape
    numbers = {256: width, 257: height, 258: bits, 259: 1, 262: photometric, 273: 200, 277: count, 278: height}
    entries = [struct.pack("<HHII", tag, 4, 1, value) for tag, value in numbers.items()]
    if count > 1:
        entries[2] = struct.pack("<HHII", 258, 3, count, 180)
    entries.append(struct.pack("<HHII", 279, 4, 1, len(data)))
    entries += [struct.pack("<HHII", 281, 3, 1, largest)] if largest else []
    head = b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
    return head.ljust(180, b"\0") + struct.pack(f"<{count}H", *[bits] * count).ljust(20, b"\0") + data


def test_inks_of_16_bits_look_as_those_of_8_do_together_and_apart(decoder: Decoder) -> None:
    image = inks(scene())
    plain = decoder.decode(chunky(image, 5, 8)).pixels.astype(int)
    for data in (chunky(image.astype(np.uint16) * 257, 5, 16), planar(image, 5)):
        assert np.abs(decoder.decode(data).pixels - plain).max() <= 1


def test_little_ink_of_16_bits_looks_as_light_as_of_8(decoder: Decoder) -> None:
    image = inks(scene()) // 5
    plain = decoder.decode(chunky(image, 5, 8)).pixels.astype(int)
    deep = image.astype(np.uint16) * 257
    deep[..., 0] += np.random.default_rng(1).integers(0, 100, deep.shape[:2], np.uint16)  # as no 8 bits have it
    for data in (chunky(deep, 5, 16), planar(image, 5)):
        assert np.abs(decoder.decode(data).pixels - plain).max() <= 2


def test_a_light_picture_whose_white_is_zero_is_light(decoder: Decoder) -> None:
    grey = 255 - cv2.cvtColor(scene(), cv2.COLOR_RGB2GRAY) // 5
    plain = decoder.decode(save(grey, "PNG")).pixels.astype(int)
    dust = np.random.default_rng(1).integers(0, 256, grey.shape)
    dark = (255 - grey.astype(int)) * 256 + dust
    for data in (chunky(dark, 0, 16), chunky(dark, 0, 16, 65535), chunky(dark // 16, 0, 16, 4095)):
        assert np.abs(decoder.decode(data).pixels - plain).max() <= 2


def low(grey: Pixels, bits: int) -> npt.NDArray[np.uint16]:
    """Grey values with detail of so many bits, in the low ones of 16."""
    white = (1 << bits) - 1
    dust = np.random.default_rng(bits).integers(0, 1 << (bits - 8), grey.shape)
    return np.clip(grey.astype(int) * (white // 255) + dust, 0, white).astype(np.uint16)


@pytest.mark.parametrize("bits", [10, 12, 13, 14])
def test_what_uses_the_low_bits_of_16_looks_as_its_export_of_8_does(decoder: Decoder, bits: int) -> None:
    grey = cv2.cvtColor(scene(), cv2.COLOR_RGB2GRAY)
    grey[0, 0] = 255
    deep, white = low(grey, bits), (1 << bits) - 1
    plain = decoder.decode(save(grey, "PNG")).pixels.astype(int)
    files = {"PNG": cv2.imencode(".png", deep)[1].tobytes(), "TIFF": chunky(deep, 1, 16)}
    files |= {"negative": chunky(white - deep, 0, 16, white), "negative of 16 bits": chunky(65535 - deep, 0, 16)}
    for name, data in files.items():
        found = decoder.decode(data)
        assert np.abs(found.pixels - plain).max() <= 4, name
        assert found.facts.bits == bits, name


def test_a_dark_picture_of_8_bits_in_16_stays_dark(decoder: Decoder) -> None:
    grey = cv2.cvtColor(scene(), cv2.COLOR_RGB2GRAY) // 8
    plain = decoder.decode(save(grey, "PNG"))
    for factor in (256, 257):
        found = decoder.decode(cv2.imencode(".png", grey.astype(np.uint16) * factor)[1].tobytes())
        assert np.abs(found.pixels.astype(int) - plain.pixels).max() <= 1
        assert found.facts.bits == 8


def test_white_may_be_zero_at_16_bits(decoder: Decoder) -> None:
    grey = cv2.cvtColor(scene(), cv2.COLOR_RGB2GRAY)
    negative, positive = (decoder.decode(planar(data, kind)) for data, kind in ((255 - grey, 0), (grey, 1)))
    assert negative.digest == positive.digest


def icc_profile(columns: tuple[tuple[float, float, float], ...], gamma: float) -> bytes:
    """A version 2 profile of three primaries and a gamma, as a curve of 1,024 numbers."""

    def fixed(values: tuple[float, ...]) -> bytes:
        return b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    numbers = (np.linspace(0, 1, 1024) ** gamma * 65535).round().astype(">u2")
    curve = b"curv\0\0\0\0" + struct.pack(">I", len(numbers)) + numbers.tobytes()
    tags = [(b"desc", b"desc\0\0\0\0\0\0\0\5made\0" + bytes(79)), (b"cprt", b"text\0\0\0\0none\0"),
            (b"wtpt", b"XYZ \0\0\0\0" + fixed((0.9642, 1, 0.8249)))]  # fmt: skip
    for name, column in zip((b"r", b"g", b"b"), columns, strict=True):
        tags += [(name + b"XYZ", b"XYZ \0\0\0\0" + fixed(column)), (name + b"TRC", curve)]
    at, table, data = 132 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, body in tags:
        padded = body + bytes(-len(body) % 4)
        table += name + struct.pack(">II", at + len(data), len(padded))
        data += padded
    head = bytearray(128)
    head[8:24], head[36:40] = b"\x02\x10\0\0mntrRGB XYZ ", b"acsp"
    head[68:80] = fixed((0.9642, 1, 0.8249))
    head[:4] = struct.pack(">I", at + len(data))
    return bytes(head) + table + data


SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))
DISPLAY_P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_colours_are_shown_as_their_profile_means_them(decoder: Decoder, kind: str) -> None:
    swapped = icc_profile(SRGB[1:] + SRGB[:1], 2.2)
    image = cv2.GaussianBlur(scene(), (0, 0), 4)
    options = {"lossless": True} if kind == "WEBP" else {"quality": 95} if kind == "JPEG" else {}
    meant = decoder.decode(save(image, "PNG"))
    found = decoder.decode(save(np.ascontiguousarray(image[..., [1, 2, 0]]), kind, icc_profile=swapped, **options))
    assert np.abs(found.pixels.astype(int) - meant.pixels).mean() < 4
    assert found.digest != decoder.decode(save(np.ascontiguousarray(image[..., [1, 2, 0]]), kind, **options)).digest


def srgb_profile() -> bytes:
    cms = pytest.importorskip("PIL.ImageCms")
    return cms.ImageCmsProfile(cms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize("icc", [srgb_profile(), b"", b"no profile at all" * 20, srgb_profile()[:200]])
def test_a_profile_of_srgb_or_of_nonsense_changes_nothing(decoder: Decoder, icc: bytes) -> None:
    with_icc = decoder.decode(save(scene(), "PNG", **({"icc_profile": icc} if icc else {})))
    assert (with_icc.pixels == decoder.decode(save(scene(), "PNG")).pixels).all()


@pytest.mark.parametrize(("columns", "gamma"), [(SRGB, 1.8), (SRGB, 2.2), (DISPLAY_P3, 2.2)])
def test_a_profile_with_another_curve_or_other_primaries_is_not_srgbs(
    decoder: Decoder, columns: tuple[tuple[float, float, float], ...], gamma: float
) -> None:
    plain = decoder.decode(save(scene(), "PNG"))
    own, other = (
        decoder.decode(save(scene(), "PNG", icc_profile=icc)) for icc in (srgb_profile(), icc_profile(columns, gamma))
    )
    assert own.digest == plain.digest != other.digest
    assert (other.pixels != plain.pixels).any()
