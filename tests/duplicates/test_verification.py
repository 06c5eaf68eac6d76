"""Geometry: edits of a picture are proven copies of it; what merely looks alike is not."""

import itertools
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from skimage import data
from sklearn.datasets import load_sample_image

from imgindex.decoding.local_features import LIMIT, describe, parse
from imgindex.duplicates.verification import Proof, prove
from tests.conftest import SHARED

Picture = npt.NDArray[np.uint8]


@cache
def photo(name: str) -> Picture:
    return np.asarray(load_sample_image(name) if name.endswith(".jpg") else getattr(data, name)())


def jpeg(image: Picture, quality: int) -> Picture:
    return np.asarray(cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 1), np.uint8)


def resized(image: Picture, width: int, height: int) -> Picture:
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def turned(image: Picture, degrees: float) -> Picture:
    h, w = image.shape[:2]
    return np.asarray(cv2.warpAffine(image, cv2.getRotationMatrix2D((w / 2, h / 2), degrees, 1), (w, h)), np.uint8)


def tilted(image: Picture) -> Picture:
    h, w = image.shape[:2]
    square = np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float32)
    moved = square + np.array([[0.1 * w, 0.05 * h], [-0.02 * w, 0.1 * h], [-0.1 * w, 0], [0, -0.08 * h]], np.float32)
    return np.asarray(cv2.warpPerspective(image, cv2.getPerspectiveTransform(square, moved), (w, h)), np.uint8)


def captioned(image: Picture, words: str = "see you on sunday") -> Picture:
    h, w = image.shape[:2]
    out = image.copy()
    cv2.rectangle(out, (0, int(h * 0.78)), (w, int(h * 0.95)), (20, 20, 20), -1)
    cv2.putText(out, words, (w // 20, int(h * 0.9)), cv2.FONT_HERSHEY_DUPLEX, w / 400, (255, 255, 255), 2, cv2.LINE_AA)
    return out


def stickered(image: Picture) -> Picture:
    h, w = image.shape[:2]
    return np.asarray(cv2.circle(image.copy(), (w // 3, h // 2), int((0.15 * h * w / np.pi) ** 0.5), (200, 30, 90), -1))


def inset(image: Picture) -> Picture:
    h, w = image.shape[:2]
    out = np.ascontiguousarray(cv2.GaussianBlur(resized(photo("flower.jpg"), w, h), (0, 0), w / 25), np.uint8)
    out[h // 4 : h // 4 + int(h * 0.6), w // 8 : w // 8 + int(w * 0.6)] = resized(image, int(w * 0.6), int(h * 0.6))
    return out


def framed(image: Picture) -> Picture:
    """A rich border, the same for every picture."""
    border = resized(photo("brick")[..., None].repeat(3, axis=2), 480, 360)
    border[50:310, 60:420] = resized(image, 360, 260)
    return border


def branded(image: Picture) -> Picture:
    """A logo in the corner, the same for every picture."""
    out = resized(image, 480, 360)
    out[20:140, 20:140] = resized(photo("logo")[..., :3], 120, 120)
    return out


def watermarked(image: Picture) -> Picture:
    """Translucent words all over, the same for every picture."""
    out = resized(image, 480, 360)
    words = np.zeros_like(out)
    for line in range(-200, 500, 70):
        for column in range(-60, 480, 190):
            place = (column, line + column // 2)
            cv2.putText(words, "(c) Example", place, cv2.FONT_HERSHEY_DUPLEX, 0.9, (255, 255, 255), 2, cv2.LINE_AA)
    return np.asarray(cv2.addWeighted(out, 0.75, words, 0.25, 0), np.uint8)


def windowed(image: Picture) -> Picture:
    """A screenshot: a title bar, a menu and a list at the side, the same for every picture."""
    out = np.full((600, 800, 3), 240, np.uint8)
    cv2.rectangle(out, (0, 0), (800, 36), (60, 60, 70), -1)
    for column in (730, 755, 780):
        cv2.circle(out, (column, 18), 8, (200, 80, 60), -1)
    for column, word in enumerate(("File", "Edit", "View", "Help")):
        cv2.putText(out, word, (12 + 70 * column, 60), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    for line in range(16):
        text = f"{('Invoice', 'Letter', 'Holiday', 'Budget')[line % 4]} {line}"
        cv2.putText(out, text, (12, 100 + 30 * line), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (40, 40, 40), 1, cv2.LINE_AA)
    out[80:590, 190:790] = resized(image, 600, 510)
    return out


def noisy(image: Picture, spread: float = 20, seed: int = 1) -> Picture:
    return np.uint8(np.clip(image + np.random.default_rng(seed).normal(0, spread, image.shape), 0, 255))  # type: ignore[return-value]


EDITS: dict[str, Callable[[Picture], Any]] = {
    "crop": lambda image: image[image.shape[0] // 9 :, : image.shape[1] * 7 // 8],
    "half": lambda image: image[image.shape[0] // 5 : image.shape[0] * 9 // 10, : image.shape[1] * 7 // 10],
    "mirror": lambda image: image[:, ::-1],
    "upside down": lambda image: image[::-1],
    "quarter turn": np.rot90,
    "turn": lambda image: turned(image, 25),
    "squeeze": lambda image: resized(image, min(image.shape[:2]), min(image.shape[:2])),
    "half size": lambda image: jpeg(resized(image, image.shape[1] // 2, image.shape[0] // 2), 60),
    "smaller": lambda image: resized(image, 160, 160 * image.shape[0] // image.shape[1]),
    "grey": lambda image: image.mean(axis=2, keepdims=True).repeat(3, axis=2),
    "tint": lambda image: image * [1.15, 1, 0.75],
    "bright": lambda image: 255 * (((image / 255) ** 0.7 - 0.4) * 1.4 + 0.5),
    "blur": lambda image: cv2.GaussianBlur(image, (0, 0), max(image.shape) / 200),
    "noise": noisy,
    "jpeg": lambda image: jpeg(image, 10),
    "tilt": tilted,
    "caption": captioned,
    "sticker": stickered,
    "inset": inset,
}
PHOTOS = ("china.jpg", "chelsea", "coffee", "astronaut", "flower.jpg")


@cache
def edited(name: str, edit: str | None) -> bytes:
    image = photo(name)
    return describe(np.uint8(np.clip(EDITS[edit](image), 0, 255)) if edit else image)


def corners(proof: Proof) -> npt.NDArray[np.float64]:
    """Where the corners of the first picture lie in the second."""
    square = np.array([[0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]]) @ np.reshape(proof.transform, (3, 3)).T
    return square[:, :2] / square[:, 2:]


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_is_a_copy(edit: str) -> None:
    proofs = {name: prove(edited(name, None), edited(name, edit)) for name in PHOTOS}
    assert {name: proof.kind for name, proof in proofs.items() if proof} == dict.fromkeys(PHOTOS, "copy")
    assert all(proof.mirrored == (edit in ("mirror", "upside down")) for proof in proofs.values() if proof)


def test_the_transform_leads_from_the_first_to_the_second() -> None:
    for edit, expected in {
        "mirror": [[1, 0], [0, 0], [0, 1], [1, 1]],
        "quarter turn": [[0, 1], [0, 0], [1, 0], [1, 1]],
        "squeeze": [[0, 0], [1, 0], [1, 1], [0, 1]],
        "inset": [[0.125, 0.25], [0.725, 0.25], [0.725, 0.85], [0.125, 0.85]],
    }.items():
        proof = prove(edited("china.jpg", None), edited("china.jpg", edit))
        assert proof is not None
        assert np.abs(corners(proof) - expected).max() < 0.01


def rotation(image: Picture, degrees: float) -> list[list[float]]:
    """Where the corners go in `turned`."""
    h, w = image.shape[:2]
    square = np.array([[0, 0, 1], [w, 0, 1], [w, h, 1], [0, h, 1]])
    moved = square @ cv2.getRotationMatrix2D((w / 2, h / 2), degrees, 1).T
    return (moved / (w, h)).tolist()  # type: ignore[no-any-return]


SAME = [[0, 0], [1, 0], [1, 1], [0, 1]]
PLACES: dict[str, Callable[[Picture], Any]] = {
    "half size": lambda _: SAME,
    "crop": lambda image: [[x * 8 / 7, (y - top(image)) / (1 - top(image))] for x, y in SAME],
    "mirror": lambda _: [[1, 0], [0, 0], [0, 1], [1, 1]],
    "quarter turn": lambda _: [[0, 1], [0, 0], [1, 0], [1, 1]],
    "turn": lambda image: rotation(image, 25),
    "grey": lambda _: SAME,
    "caption": lambda _: SAME,
    "sticker": lambda _: SAME,
}


def top(image: Picture) -> float:
    """What the edit "crop" cuts from the top, as a share."""
    return image.shape[0] // 9 / image.shape[0]


@pytest.mark.parametrize("edit", PLACES)
def test_the_transform_puts_corners_where_the_edit_did(edit: str) -> None:
    for name in PHOTOS:
        proof = prove(edited(name, None), edited(name, edit))
        assert proof is not None, name
        assert np.abs(corners(proof) - PLACES[edit](photo(name))).max() < 0.02, name


def test_the_overlap_is_a_share_of_the_smaller() -> None:
    for edit, expected in {"half": 1, "inset": 1, "turn": 0.85}.items():
        proof = prove(edited("china.jpg", None), edited("china.jpg", edit))
        assert proof is not None
        assert proof.overlap == pytest.approx(expected, abs=0.05)


def test_either_order_decides_the_same() -> None:
    for edit in EDITS:
        a, b = edited("coffee", None), edited("coffee", edit)
        one, other = prove(a, b), prove(b, a)
        assert one is not None
        assert other is not None
        assert (one.kind, one.score, one.inliers, one.mirrored) == (
            other.kind,
            other.score,
            other.inliers,
            other.mirrored,
        )
        there, back = np.reshape(one.transform, (3, 3)), np.reshape(other.transform, (3, 3))
        assert np.allclose(there @ back / (there @ back)[2, 2], np.eye(3), atol=1e-6)


def test_the_same_again_gives_the_same() -> None:
    assert describe(photo("coffee")) == edited("coffee", None)
    a, b = edited("coffee", None), edited("coffee", "tilt")
    assert prove(a, b) == prove(a, b) == prove(parse(a), parse(b))


SHAPES = [(1, 1), (2, 3), (1, 900), (900, 1), (20_000, 10), (10, 20_000), (48, 12_000), (144, 192), (300, 400)]


@pytest.mark.parametrize("shape", SHAPES)
def test_any_picture_is_described_in_16_kb_and_a_strip_in_five_times_that(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    h, w = shape
    blocks = np.kron(rng.integers(0, 2, (h // 2 + 1, w // 2 + 1)), np.ones((2, 2)))[:h, :w]
    images = {
        "black": np.zeros((*shape, 3)),
        "noise": rng.integers(0, 256, (*shape, 3)),
        "blocks": 255 * blocks[..., None].repeat(3, axis=2),
        "stripes": 255 * blocks[:1, :, None].repeat(3, axis=2).repeat(shape[0], axis=0),
        "slope": np.linspace(0, 255, shape[1])[None, :, None] + np.zeros((*shape, 3)),
        "photo": resized(photo("coffee"), shape[1], shape[0]),
    }
    blobs = {name: describe(image.astype(np.uint8)) for name, image in images.items()}
    for blob in blobs.values():
        larger = parse(blob).small.size / (192 * 144)  # of the small picture that all but strips have
        assert len(blob) <= LIMIT * (larger if larger > 1.05 else 1)
        assert larger <= (5.4 if max(shape) > 4 * min(shape) else 1.05)
    for one, other in itertools.combinations_with_replacement(blobs, 2):
        assert prove(blobs[one], blobs[other]) is None or one == other, (one, other)


def test_a_view_of_an_array_is_described_as_its_copy() -> None:
    mirrored = photo("coffee")[:, ::-1]
    assert describe(mirrored) == describe(np.ascontiguousarray(mirrored))


def test_different_photos_are_nothing_to_each_other() -> None:
    every = [edited(name, edit) for name in PHOTOS for edit in (None, "mirror", "jpeg")]
    for (i, a), (j, b) in itertools.combinations(enumerate(every), 2):
        assert i // 3 == j // 3 or prove(a, b) is None


@pytest.mark.parametrize("mark", [captioned, framed, branded, watermarked, windowed])
def test_what_is_put_on_many_pictures_proves_nothing(mark: Callable[[Picture], Picture]) -> None:
    marked = [describe(mark(photo(name))) for name in (*PHOTOS, "rocket")]
    assert not [pair for pair in itertools.combinations(marked, 2) if prove(*pair) is not None]


def test_skies_with_the_same_caption_are_not_proven() -> None:
    slopes = [np.linspace(low, high, 300)[:, None, None] for low, high in ((120, 220), (90, 250), (140, 180))]
    skies = [np.uint8(slope * [0.6, 0.8, 1] + np.zeros((300, 400, 1))) for slope in slopes]
    grainy = [noisy(sky, seed + 2, seed) for seed, sky in enumerate(skies)]
    for images in (skies, grainy, [captioned(sky) for sky in skies]):
        blobs = [describe(image) for image in images]
        assert not [pair for pair in itertools.combinations(blobs, 2) if prove(*pair) is not None]


@pytest.mark.parametrize("mark", [framed, windowed, branded])
def test_plain_pictures_in_the_same_surroundings_are_not_copies(mark: Callable[[Picture], Picture]) -> None:
    slope = np.uint8(np.linspace(60, 250, 400)[:, None, None] * [0.6, 0.8, 1] + np.zeros((1, 300, 1)))
    plain = [slope, slope[::-1], slope // 4, np.full_like(slope, 128), np.full_like(slope, 255)]
    blobs = [describe(mark(np.ascontiguousarray(image))) for image in plain]
    assert not [pair for pair in itertools.combinations(blobs, 2) if (proof := prove(*pair)) and proof.kind == "copy"]


def document(seed: int) -> Picture:
    rng = np.random.default_rng(seed)
    page = np.full((700, 500, 3), 255, np.uint8)
    cv2.putText(page, "ACME Inc. - Annual report", (40, 50), cv2.FONT_HERSHEY_DUPLEX, 0.9, (0, 0, 0), 2, cv2.LINE_AA)
    for line in range(90, 670, 22):
        words = " ".join("".join(rng.choice(list("etaoinshrdlu"), rng.integers(2, 9))) for _ in range(7))
        cv2.putText(page, words[:42], (40, line), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (30, 30, 30), 1, cv2.LINE_AA)
    return page


def test_documents_of_different_text_are_not_copies() -> None:
    pages = [describe(document(seed)) for seed in range(5)]
    assert not [pair for pair in itertools.combinations(pages, 2) if (proof := prove(*pair)) and proof.kind == "copy"]


def test_a_document_is_a_copy_of_its_scan() -> None:
    proof = prove(describe(document(1)), describe(jpeg(turned(document(1), 3), 50)))
    assert proof is not None
    assert proof.kind == "copy"


def test_another_view_of_a_scene_is_not_a_copy() -> None:
    left, right, _ = data.stereo_motorcycle()
    proof = prove(describe(left), describe(right))
    assert proof is None or proof.kind == "alike"


def test_nothing_to_see_proves_nothing() -> None:
    rng = np.random.default_rng(0)
    static = rng.integers(0, 256, (300, 400, 3), np.uint8)
    slope = np.uint8(np.linspace(0, 255, 400)[None, :, None] * [0.5, 0.8, 1] + np.zeros((300, 1, 1)))
    pairs = {
        "gradient": [
            slope,
            slope[:, ::-1],
            np.rot90(slope),
            resized(slope, 200, 150),
            noisy(slope, 3),
            noisy(slope, 2),
        ],
        "blank": [np.zeros((300, 400, 3), np.uint8), np.full((200, 200, 3), 255, np.uint8)],
        "one colour": [np.full((300, 400, 3), (90, 10, 200), np.uint8)] * 2,
        "noise": [static, jpeg(static, 70), resized(static, 200, 150), static[:, ::-1], static[20:, 30:]],
        "tiny": [resized(photo("coffee"), 32, 24), resized(photo("coffee"), 24, 18), photo("coffee")[:1, :1]],
    }
    for name, images in pairs.items():
        blobs = [describe(np.ascontiguousarray(image)) for image in images]
        assert not [pair for pair in itertools.combinations(blobs, 2) if prove(*pair) is not None], name


def strip(ratio: int, first: int = 0, height: int = 96) -> Picture:
    """Photos beside each other, each flipped otherwise whenever it comes again."""
    tiles, width = [], 0
    while width < ratio * height:
        image = photo(PHOTOS[(first + len(tiles)) % len(PHOTOS)])
        turn = (first + len(tiles)) // len(PHOTOS)
        image = resized(image, round(image.shape[1] * height / image.shape[0]), height)
        cut = image[:, 17 * turn % 50 :]
        tiles.append([cut, cut[:, ::-1], cut[::-1], cut[::-1, ::-1]][turn % 4] // (1 + turn // 4) + 10 * (turn // 4))
        width += tiles[-1].shape[1]
    return np.ascontiguousarray(np.hstack(tiles)[:, : ratio * height], np.uint8)


@pytest.mark.parametrize("ratio", [14, 24, 40, 60])
def test_a_copy_of_a_strip_is_proven_however_long_it_is(ratio: int) -> None:
    image = strip(ratio)
    blob = describe(image)
    for name in ("half size", "quarter turn", "bright"):
        edited = describe(np.ascontiguousarray(np.clip(EDITS[name](image), 0, 255), np.uint8))
        proof = prove(blob, edited)
        assert proof is not None, name
        assert proof.kind == "copy", name
        assert len(edited) <= 6 * LIMIT


def test_a_strip_of_the_same_photos_in_another_order_is_no_copy() -> None:
    image = strip(40)
    pieces = np.split(image, 40, axis=1)
    half = np.hstack([image[:, : 20 * 96], *pieces[:19:-1]])
    for other in (np.hstack([pieces[at] for at in np.random.default_rng(1).permutation(40)]), half):
        proof = prove(describe(image), describe(np.ascontiguousarray(other)))
        assert proof is None or proof.kind == "alike"


def thumbnail(name: str, side: int) -> Picture:
    image = photo(name)
    factor = side / min(image.shape[:2])
    return resized(image, round(image.shape[1] * factor), round(image.shape[0] * factor))


@pytest.mark.parametrize("side", [32, 40, 56])
@pytest.mark.parametrize("name", ["china.jpg", "chelsea", "coffee", "astronaut"])
def test_a_copy_of_a_thumbnail_is_proven(name: str, side: int) -> None:
    small = thumbnail(name, side)
    double = np.asarray(cv2.resize(small, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC), np.uint8)
    for copy in (jpeg(small, 60), jpeg(small, 85), double, photo(name)):
        proof = prove(describe(small), describe(copy))
        assert proof is not None
        assert proof.kind == "copy"


def test_thumbnails_of_other_pictures_are_no_copies() -> None:
    blobs = [describe(thumbnail(name, 32)) for name in PHOTOS] + [describe(photo(name)) for name in PHOTOS]
    pairs = [(a, b) for (i, a), (j, b) in itertools.combinations(enumerate(blobs), 2) if (j - i) % len(PHOTOS)]
    assert not [pair for pair in pairs if prove(*pair) is not None]


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared")
def test_copies_found_in_the_wild() -> None:
    groups = sorted(path for path in (SHARED / "groups").iterdir() if not path.name.startswith("exif"))[:12]
    described = {group: [edited_file(file) for file in sorted(group.iterdir())[:4]] for group in groups}
    for group, blobs in described.items():
        for a, b in itertools.combinations(blobs, 2):
            proof = prove(a, b)
            assert proof is not None, group
            assert proof.kind == "copy", group


def edited_file(path: Path) -> bytes:
    image: Any = cv2.imread(str(path))
    return describe(np.ascontiguousarray(image[..., ::-1]))
