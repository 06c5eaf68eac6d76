"""A look at two files, in the worker: what it tells, and what it survives."""

import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import astuple
from typing import Any

import cv2
import numpy as np
import pytest

from imgindex.comparison.second_look import SIDE
from imgindex.decoding.child import Child, Reply
from imgindex.decoding.decoder import LARGEST_FILE, Decoder, Decoders
from imgindex.errors import DecodingStoppedError, UnreadablePictureError, UsageError
from imgindex.types import Pixels
from tests.decoding.test_decoder import busy, children, needs_proc
from tests.decoding.test_facts import scene

SAME = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
LEFT_HALF = (0.5, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)  # of b, where a is


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(64, workers=1) as one:
        yield one


def encode(suffix: str, rgb: Pixels, *options: int) -> bytes:
    """(H, W, 3) RGB or (H, W, 4) RGBA."""
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGBA2BGRA if rgb.shape[2] == 4 else cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(suffix, bgr, list(options))
    assert done
    return data.tobytes()


def test_a_smaller_copy_is_a_version_with_less_detail(decoder: Decoder) -> None:
    large = scene(960, 720)
    small = cv2.resize(large, (480, 360), interpolation=cv2.INTER_AREA)
    seen = decoder.look(encode(".png", large), encode(".jpg", small, cv2.IMWRITE_JPEG_QUALITY, 90), SAME)
    assert (seen.kind, seen.share_a, seen.share_b) == ("version", 1, 1)
    assert seen.finer > 0.5
    back = decoder.look(encode(".jpg", small, cv2.IMWRITE_JPEG_QUALITY, 90), encode(".png", large), SAME)
    assert (back.kind, back.finer) == ("version", -seen.finer)


def test_half_of_a_picture_is_a_part(decoder: Decoder) -> None:
    whole = scene(960, 720)
    seen = decoder.look(encode(".png", whole[:, :480]), encode(".png", whole), LEFT_HALF)
    assert seen.share_a > 0.97
    assert 0.4 < seen.share_b < 0.6
    assert np.allclose(seen.transform, LEFT_HALF, atol=0.01)


def test_what_was_painted_over_is_told_with_its_place(decoder: Decoder) -> None:
    one, other = scene(960, 720), scene(960, 720)
    cv2.rectangle(other, (200, 300), (320, 420), (250, 240, 20), -1)
    seen = decoder.look(encode(".png", one), encode(".png", other), SAME)
    assert seen.kind == "edited"
    box = seen.where[0]
    assert box.x < 260 / 960 < box.x + box.w
    assert box.y < 360 / 720 < box.y + box.h


def long_strip() -> Pixels:
    """40 : 1."""
    return np.ascontiguousarray(np.hstack([np.roll(scene(480, 360), 40 * turn, axis=1) for turn in range(30)]))


def test_a_smaller_copy_of_a_strip_is_a_version(decoder: Decoder) -> None:
    image = long_strip()
    half = cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    seen = decoder.look(encode(".png", image), encode(".jpg", half, cv2.IMWRITE_JPEG_QUALITY, 85), SAME)
    assert seen.kind == "version"
    assert min(seen.share_a, seen.share_b) > 0.99


def test_what_was_painted_over_in_a_strip_is_seen_however_long_it_is(decoder: Decoder) -> None:
    image = long_strip()
    painted = image.copy()
    cv2.circle(painted, (9000, 180), 30, (255, 0, 0), -1)  # .0006 of the strip
    seen = decoder.look(encode(".png", image), encode(".png", painted), SAME)
    assert seen.kind == "edited"
    assert abs(seen.where[0].x + seen.where[0].w / 2 - 9000 / 14400) < 0.01


def test_a_spot_on_a_thumbnail_is_seen(decoder: Decoder) -> None:
    small = cv2.resize(scene(480, 360), (43, 32), interpolation=cv2.INTER_AREA)
    spotted = small.copy()
    spotted[12:16, 20:24] = (255, 0, 0)
    copy = encode(".jpg", small, cv2.IMWRITE_JPEG_QUALITY, 90)
    assert decoder.look(encode(".png", small), copy, SAME).kind == "version"
    assert decoder.look(encode(".png", small), encode(".png", spotted), SAME).kind == "edited"


def test_both_are_turned_upright_and_shrunk(decoder: Decoder) -> None:
    image = pytest.importorskip("PIL.Image")
    large = scene(2 * SIDE + 200, 1200)
    exif = image.Exif()
    exif[0x0112] = 3
    path = encode(".jpg", large[::-1, ::-1], cv2.IMWRITE_JPEG_QUALITY, 95)
    turned = path[:2] + b"\xff\xe1" + (len(exif.tobytes()) + 2).to_bytes(2, "big") + exif.tobytes() + path[2:]
    assert decoder.look(encode(".png", large), turned, SAME).kind == "version"


@pytest.mark.parametrize("order", [1, -1])
def test_cut_outs_stand_on_the_same_ground(decoder: Decoder, order: int) -> None:
    """A drawing in white alone stands on black; what is the same drawing but for its colour's shade, on that, too."""
    drawing = np.zeros((400, 400, 4), np.uint8)
    cv2.circle(drawing, (200, 200), 120, (255, 255, 255, 255), 30)
    cv2.rectangle(drawing, (60, 60), (140, 110), (255, 255, 255, 255), -1)
    greyer = drawing.copy()
    greyer[..., :3][drawing[..., 3] > 0] = 205  # which would stand on white
    one, other = [encode(".png", picture) for picture in (drawing, greyer)][::order]
    assert decoder.look(one, other, SAME).kind == "version"


def test_a_view_is_kept_for_the_next_look(decoder: Decoder) -> None:
    pictures = [encode(".png", scene(480, 360, seed)) for seed in range(6)]
    first = [astuple(decoder.look(one, pictures[0], SAME)) for one in pictures]
    assert [astuple(decoder.look(one, pictures[0], SAME)) for one in pictures] == first
    assert [kind for kind, *_ in first][:2] != ["version", "version"]


@pytest.mark.parametrize("bad", [b"a letter, not a picture", encode(".jpg", scene(64, 48))[:-400]])
def test_the_one_that_cannot_be_read_is_named_and_the_next_look_works(decoder: Decoder, bad: bytes) -> None:
    good = encode(".png", scene())
    with pytest.raises(UnreadablePictureError, match="the first of the two: "):
        decoder.look(bad, good, SAME)
    with pytest.raises(UnreadablePictureError, match="the second of the two: "):
        decoder.look(good, bad, SAME)
    assert decoder.look(good, good, SAME).kind == "version"
    assert decoder.decode(good).width == 480


def test_an_empty_and_a_too_large_file_are_refused_before_they_are_sent(decoder: Decoder) -> None:
    good = encode(".png", scene())
    with pytest.raises(UnreadablePictureError, match="empty"):
        decoder.look(good, b"", SAME)
    with pytest.raises(UnreadablePictureError, match="larger than"):
        decoder.look(bytes(LARGEST_FILE + 1), good, SAME)


def test_a_closed_decoder_does_not_look() -> None:
    closed = Decoder(64, workers=1)
    closed.close()
    with pytest.raises(UsageError, match="closed"):
        closed.look(encode(".png", scene()), encode(".png", scene()), SAME)


def test_decoders_look_with_the_decoder_that_there_is() -> None:
    good = encode(".png", scene())
    decoders = Decoders()
    before = children()
    decoders.decode(good, 32)
    assert decoders.look(good, good, SAME).kind == "version"
    assert len(children() - before) == 1
    decoders.close()


@needs_proc
class TestLimits:
    def test_a_killed_child_is_replaced_and_the_look_is_tried_again(self) -> None:
        good = encode(".png", scene())
        before = children()
        with Decoder(64, workers=1) as decoder:
            decoder.decode(good)
            (pid,) = children() - before
            threading.Timer(0.2, os.kill, (pid, signal.SIGKILL)).start()
            os.kill(pid, signal.SIGSTOP)  # so that it is surely at it
            assert decoder.look(good, good, SAME).kind == "version"
            assert pid not in children()

    def test_one_that_is_killed_again_and_again_stops(self, monkeypatch: pytest.MonkeyPatch) -> None:
        good = encode(".png", scene())
        ask = Child.ask

        def killed(child: Child, *request: bytes, **options: Any) -> Reply:
            child._process.kill()
            return ask(child, *request, **options)

        monkeypatch.setattr(Child, "ask", killed)
        with Decoder(64, workers=1) as decoder, pytest.raises(DecodingStoppedError, match="killed on it twice"):
            decoder.look(good, good, SAME)

    def test_a_look_that_spins_is_ended_by_the_clock_of_the_processor(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("imgindex.decoding.child.CPU_SECONDS", 0.1)
        monkeypatch.setattr("imgindex.decoding.decoder.CPU_SECONDS", 0.1)
        with Decoder(64, workers=1) as decoder, pytest.raises(DecodingStoppedError, match=r"comparing .* 0\.3 seconds"):
            decoder.look(busy(), busy(), SAME)

    def test_a_look_that_does_not_answer_is_ended(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("imgindex.decoding.child.WALL_SECONDS", 2)
        good = encode(".png", scene())
        before = children()
        with Decoder(64, workers=1) as decoder:
            decoder.decode(good)
            (pid,) = children() - before
            os.kill(pid, signal.SIGSTOP)
            with pytest.raises(DecodingStoppedError, match="comparing takes longer than 2 seconds"):
                decoder.look(good, good, SAME)
            assert pid not in children()

    def test_a_look_may_not_take_more_memory_than_a_picture(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("imgindex.decoding.child.MEMORY", 400_000_000)
        large = encode(".png", np.zeros((11_000, 11_000, 3), np.uint8))
        good = encode(".png", scene())
        with Decoder(64, workers=1) as decoder:
            with pytest.raises(UnreadablePictureError, match="the second of the two: it needs more memory"):
                decoder.look(good, large, SAME)
            assert decoder.look(good, good, SAME).kind == "version"


def icon(rng: np.random.Generator, width: int, height: int) -> Pixels:
    """A few shapes on a plain or sloping ground, and a badge without a number."""
    slope = np.linspace(0, int(rng.integers(0, 60)), width)[None, :, None]
    image = np.clip(rng.integers(60, 250, 3) - slope + np.zeros((height, width, 1)), 0, 255).astype(np.uint8)
    for _ in range(int(rng.integers(3, 9))):
        place = tuple(int(rng.integers(0, side)) for side in (width, height))
        colour = tuple(int(value) for value in rng.integers(0, 256, 3))
        cv2.circle(image, place, int(rng.integers(2, max(3, min(width, height) // 3))), colour, -1, cv2.LINE_AA)
    return image


def numbered(image: Pixels, words: str, size: float) -> Pixels:
    """With words in its corner."""
    out = image.copy()
    place = (2, image.shape[0] - 4)
    return np.asarray(cv2.putText(out, words, place, cv2.FONT_HERSHEY_SIMPLEX, size, (250, 30, 30), 1, cv2.LINE_AA))


SIDES = [(32, 32), (48, 48), (64, 48), (96, 96), (128, 160), (192, 192)]


@pytest.mark.parametrize("sides", SIDES, ids=str)
def test_an_icon_with_another_digit_is_no_version_of_it(decoder: Decoder, sides: tuple[int, int]) -> None:
    rng = np.random.default_rng(sides)
    for _ in range(6):
        image = icon(rng, *sides)
        one, other = (numbered(image, word, 0.35) for word in ("3", "8"))
        spotted = image.copy()
        x, y = (int(rng.integers(0, side - 3)) for side in sides)
        spotted[y : y + 3, x : x + 3] ^= 60
        for a, b, ends in ((one, other, (".png", ".bmp")), (image, spotted, (".png", ".tiff"))):
            seen = decoder.look(encode(ends[0], a), encode(ends[1], b), SAME)
            assert seen.kind in ("edited", "part", "alike")
            back = decoder.look(encode(ends[1], b), encode(ends[0], a), SAME)
            assert back.kind == seen.kind
        if seen.kind == "edited":
            assert any(
                box.x <= (x + 1) / sides[0] <= box.x + box.w and box.y <= (y + 1) / sides[1] <= box.y + box.h
                for box in seen.where
            )


def test_a_page_with_another_digit_is_no_version_of_it(decoder: Decoder) -> None:
    page = np.full((2400, 1700, 3), 255, np.uint8)
    for line in range(40):
        cv2.putText(page, f"No. {line}: {line * 7919 % 997} items", (90, 90 + 56 * line), 0, 0.9, (20, 20, 20), 2)
    other = page.copy()
    cv2.putText(other, "3", (1400, 1210), 0, 0.5, (20, 20, 20), 1)
    cv2.putText(page, "8", (1400, 1210), 0, 0.5, (20, 20, 20), 1)
    assert decoder.look(encode(".png", page), encode(".png", other), SAME).kind == "edited"


@pytest.mark.parametrize("sides", [*SIDES, (900, 700)], ids=str)
def test_the_same_pixels_in_two_lossless_formats_are_versions(decoder: Decoder, sides: tuple[int, int]) -> None:
    rng = np.random.default_rng(sides)
    webp = (".webp", cv2.IMWRITE_WEBP_QUALITY, 101)
    image = numbered(icon(rng, *sides), "7", 0.4)
    files = [encode(".png", image), encode(".bmp", image), encode(".tiff", image), encode(".ppm", image)]
    files.append(encode(webp[0], image, *webp[1:]))
    for one, other in zip(files, files[1:] + files[:1], strict=True):
        assert decoder.look(one, other, SAME).kind == "version"


def test_a_brighter_lossless_copy_of_a_picture_is_a_version_as_ever(decoder: Decoder) -> None:
    image = scene(480, 360)
    brighter = cv2.convertScaleAbs(image, alpha=0.9, beta=20)
    assert decoder.look(encode(".png", image), encode(".png", brighter), SAME).kind == "version"


def test_a_lossless_picture_saved_from_a_jpeg_is_a_version_as_ever(decoder: Decoder) -> None:
    image = scene(480, 360)
    jpeg = encode(".jpg", image, cv2.IMWRITE_JPEG_QUALITY, 85)
    saved = cv2.cvtColor(cv2.imdecode(np.frombuffer(jpeg, np.uint8), 1), cv2.COLOR_BGR2RGB)
    assert decoder.look(encode(".png", image), encode(".png", saved), SAME).kind == "version"
