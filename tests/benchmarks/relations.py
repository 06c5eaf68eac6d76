"""How pairs of known relation are judged by the second look: pairs made from any folder of photos, seeds given.

`python -m tests.benchmarks.relations [FOLDER] [--photos 12] [--seed 5]` prints one row for each kind of pair.
"""

import argparse
import collections
import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import cv2
import numpy as np

from imgindex.comparison.second_look import SIDE, Relation, look
from imgindex.decoding.local_features import Array, describe
from imgindex.duplicates.verification import prove
from tests.benchmarks.photos import FOLDER

EDGE = 200  # pixels of the shorter side, at least
PASTED = (0.005, 0.01, 0.02, 0.05, 0.15)  # shares of the area
OVERLAPS = (90, 70, 50, 30)  # per cent
JPEGS = (30, 50, 70, 85, 95)
PHOTOS, SEED = 12, 5
APART = (  # what, how its steps begin, and how many may be in a group, for `make bench`
    ("frames that overlap by 90 to 30%", ("overlap",), 0),
    ("another photo over 0.5% of the area", ("pasted 0.5%",), 2),
    ("another photo over 1 to 15% of the area", ("pasted 1", "pasted 2", "pasted 5"), 0),
    ("captions, words, stickers and retouches", ("caption", "words", "sticker", "retouched"), 0),
    ("somebody walked in", ("walked", "tripod"), 0),
    ("collages, screenshots, pictures in pictures", ("in a", "before", "on a", "picture in"), 0),
    ("garments and cars in other hues of the same grey", ("garment on", "car, other"), 0),
)
SAME = (  # and what are versions
    ("JPEG of quality 30 to 95", ("jpeg 30", "jpeg 50", "jpeg 70", "jpeg 85", "jpeg 95")),
    ("half and quarter size", ("half", "quarter")),
    ("grey, gamma, contrast, tint, tone", ("grey", "gamma", "contrast", "warm", "tint", "saturated", "toned")),
    ("garments and cars, smaller or toned as a whole", ("garment,", "car, toned")),
    ("crops, mirrored, turned and squeezed ones", ("crop", "hflip", "vflip", "turned", "squeezed", "rot90")),
)


@dataclass(frozen=True, eq=False)
class Pair:
    """Two pictures, (H, W, 3) uint8 RGB, and what they are to each other."""

    step: str
    wanted: str
    a: Array
    b: Array


def read(path: Path) -> Array | None:
    image = cv2.imread(str(path))
    return None if image is None else np.ascontiguousarray(image[..., ::-1])


def load(folder: Path, count: int, seed: int) -> list[Array]:
    """So many photos, in an order drawn by the seed."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    random.Random(seed).shuffle(paths)
    found: list[Array] = []
    for path in paths:
        image = read(path)
        if image is not None and min(image.shape[:2]) >= EDGE:
            found.append(image)
        if len(found) == count:
            break
    if not found:
        raise SystemExit(f"This benchmark needs photos in {folder}.")
    return found


def jpeg(image: Array, quality: int) -> Array:
    packed = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.ascontiguousarray(cv2.imdecode(packed, cv2.IMREAD_COLOR)[..., ::-1])


def clipped(values: Array) -> Array:
    return np.uint8(np.clip(values, 0, 255))


def scaled(image: Array, factor: float) -> Array:
    size = tuple(max(8, round(side * factor)) for side in image.shape[1::-1])
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)


def fitted(image: Array, width: int, height: int) -> Array:
    """Cut to the shape, and shrunk to the size, as an application does that makes collages."""
    h, w = image.shape[:2]
    factor = max(width / w, height / h)
    cw, ch = min(w, round(width / factor)), min(h, round(height / factor))
    y, x = (h - ch) // 2, (w - cw) // 2
    return cv2.resize(image[y : y + ch, x : x + cw], (width, height), interpolation=cv2.INTER_AREA)


def window(image: Array, across: float, down: float, rng: random.Random) -> Array:
    h, w = image.shape[:2]
    ch, cw = int(h * down), int(w * across)
    y, x = rng.randint(0, h - ch), rng.randint(0, w - cw)
    return image[y : y + ch, x : x + cw]


def turned(image: Array, degrees: float, colour: int = 0) -> Array:
    h, w = image.shape[:2]
    turn = cv2.getRotationMatrix2D((w / 2, h / 2), degrees, 1)
    return cv2.warpAffine(image, turn, (w, h), borderValue=(colour,) * 3)


def tilted(image: Array, rng: random.Random) -> Array:
    h, w = image.shape[:2]
    corners = np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float32)
    inward = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) * (w, h)
    moved = corners + np.float32([[rng.uniform(0, 0.12), rng.uniform(0, 0.12)] for _ in corners] * inward)
    return cv2.warpPerspective(image, cv2.getPerspectiveTransform(corners, moved), (w, h))


def toned(image: Array, tone: tuple[float, float, float]) -> Array:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return clipped(grey[..., None] * np.array(tone))


def vignette(image: Array) -> Array:
    h, w = image.shape[:2]
    yy, xx = np.mgrid[-1 : 1 : h * 1j, -1 : 1 : w * 1j]
    return np.clip(1.15 - 0.5 * (xx**2 + yy**2), 0, 1)[..., None]


def bordered(image: Array, share: float, fill: Array | int) -> Array:
    """With bars left and right, or above and below, of one colour or cut from a picture of that size."""
    h, w = image.shape[:2]
    size = (h, int(w * share)) if h > w else (int(h * share), w)
    canvas = fitted(fill, size[1], size[0]) if isinstance(fill, np.ndarray) else np.full((*size, 3), fill, np.uint8)
    canvas = cv2.GaussianBlur(canvas, (0, 0), max(size) / 30)
    y, x = (size[0] - h) // 2, (size[1] - w) // 2
    canvas[y : y + h, x : x + w] = image
    return canvas


def versions(image: Array, rng: random.Random) -> Iterator[tuple[str, Array]]:
    h, w = image.shape[:2]
    noise = np.random.default_rng(rng.randrange(2**32))
    for quality in JPEGS:
        yield f"jpeg {quality}", jpeg(image, quality)
    yield "half size", jpeg(scaled(image, 0.5), 90)
    yield "quarter size", jpeg(scaled(image, 0.25), 90)
    yield "twice the size", jpeg(scaled(image, 2), 90)
    yield "grey", np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], 3, 2)
    yield "gamma 0.7", clipped(255 * (image / 255) ** 0.7)
    yield "gamma 1.4", clipped(255 * (image / 255) ** 1.4)
    yield "contrast 1.4", clipped((image - 128.0) * 1.4 + 128)
    yield "contrast 0.6", clipped((image - 128.0) * 0.6 + 128)
    yield "gamma and contrast, clipped", clipped(255 * (((image / 255) ** 0.7 - 0.4) * 1.4 + 0.5))
    yield "warm", clipped(image * [1.12, 1, 0.82])
    yield "tint and vignette", clipped(image * vignette(image) * [1.15, 1, 0.75])
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None]
    yield "saturated", clipped(grey + (image - 1.0 * grey) * 1.5)
    yield "toned brown", toned(image, (1.15, 1, 0.7))
    yield "toned blue", toned(image, (0.7, 0.9, 1.2))
    yield "crop 7/8", window(image, 7 / 8, 7 / 8, rng)
    yield "crop half the area", window(image, 0.5**0.5, 0.5**0.5, rng)
    yield "crop half, small, jpeg 50", jpeg(scaled(window(image, 0.7, 0.7, rng), 0.6), 50)
    yield "hflip", image[:, ::-1]
    yield "vflip", image[::-1]
    yield "turned, black corners", turned(image, 25)
    yield "turned, white corners", turned(image, -11, 255)
    yield "squeezed", cv2.resize(image, (min(h, w), min(h, w)), interpolation=cv2.INTER_AREA)
    yield "blur", cv2.GaussianBlur(image, (0, 0), max(h, w) / 200)
    yield "noise", clipped(image + noise.normal(0, 20, image.shape))
    yield "jpeg 10", jpeg(image, 10)
    yield "rot90", np.rot90(image)
    yield "tilt", tilted(image, rng)
    yield "letterbox", jpeg(bordered(image, 1.4, 0), 85)
    yield "white bars, small", jpeg(scaled(bordered(image, 1.6, 255), 0.6), 80)
    yield "blurred echo", jpeg(bordered(image, 1.6, image), 85)
    small = scaled(image, 64 / max(h, w))
    yield "64 pixels, enlarged", cv2.resize(small, (w, h), interpolation=cv2.INTER_CUBIC)


def screenshot(image: Array, rng: random.Random) -> Array:
    w = image.shape[1]
    page = np.full((int(1.9 * w) + 40, w + 40, 3), rng.choice((255, 24)), np.uint8)
    ink = 255 - int(page[0, 0, 0])
    shown = scaled(image, 0.9)
    top = max(0, page.shape[0] - len(shown)) // 3
    shown = shown[: len(page) - top]
    page[top : top + len(shown), 20 : 20 + shown.shape[1]] = shown
    for line in [top // 2, *range(top + len(shown) + w // 12, len(page) - w // 20, w // 12)]:
        words = " ".join(rng.sample(["holiday", "look", "sunday", "the", "best", "day", "where", "with", "new"], 4))
        cv2.putText(page, words, (20, line), cv2.FONT_HERSHEY_SIMPLEX, w / 640, (ink,) * 3, 1, cv2.LINE_AA)
    return jpeg(page, 90)


def parts(image: Array, others: list[Array], rng: random.Random) -> Iterator[tuple[str, Array]]:
    h, w = image.shape[:2]
    yield "in a screenshot", screenshot(image, rng)
    cells = [fitted(one, w // 2, h // 2) for one in (image, *others[:3])]
    rng.shuffle(cells)
    yield "in a collage", np.vstack([np.hstack(cells[:2]), np.hstack(cells[2:])])
    white = [cv2.copyMakeBorder(cell, 5, 5, 5, 5, cv2.BORDER_CONSTANT, value=(255,) * 3) for cell in cells]
    yield "in a collage, white gutters", jpeg(np.vstack([np.hstack(white[:2]), np.hstack(white[2:])]), 90)
    beside = [fitted(one, w, h) for one in (image, others[0])]
    rng.shuffle(beside)
    yield "before and after", np.hstack(beside)
    frame = cv2.GaussianBlur(fitted(others[1], w, h), (0, 0), w / 25)
    fw, fh = int(w * 0.6), int(h * 0.6)
    x, y = rng.randint(0, w - fw), rng.randint(0, h - fh)
    frame[y : y + fh, x : x + fw] = cv2.resize(image, (fw, fh), interpolation=cv2.INTER_AREA)
    yield "on a blurred other", frame
    back = fitted(others[2], w, h)
    x, y = rng.randint(0, w - w // 2), rng.randint(0, h - h // 2)
    back[y : y + h // 2, x : x + w // 2] = cv2.resize(image, (w // 2, h // 2), interpolation=cv2.INTER_AREA)
    yield "picture in picture", back


def frames(image: Array) -> Iterator[tuple[str, Array, Array]]:
    """Two windows of a photo that overlap by so many per cent."""
    w = image.shape[1]
    for overlap in OVERLAPS:
        wide = int(w / (2 - overlap / 100))
        yield f"overlap {overlap}%", image[:, :wide], jpeg(image[:, w - wide :], 90)


def pasted(image: Array, other: Array, share: float, rng: random.Random) -> Array:
    h, w = image.shape[:2]
    ph, pw = max(2, int(h * share**0.5)), max(2, int(w * share**0.5))
    y, x = rng.randint(0, h - ph), rng.randint(0, w - pw)
    done = image.copy()
    done[y : y + ph, x : x + pw] = fitted(other, pw, ph)
    return done


def walked_in(image: Array, other: Array, share: float, rng: random.Random) -> Array:
    """Something with soft edges, that stands before the scene."""
    h, w = image.shape[:2]
    mask = np.zeros((h, w), np.uint8)
    rh, rw = int(h * (share / 2) ** 0.5), int(w * (share / 5) ** 0.5)
    centre = rng.randint(rw, w - rw), rng.randint(rh, h - rh)
    cv2.ellipse(mask, centre, (rw, rh), rng.uniform(-30, 30), 0, 360, 255, -1)
    soft = cv2.GaussianBlur(mask, (0, 0), 1.5)[..., None] / 255
    return clipped(image * (1 - soft) + fitted(other, w, h) * soft)


def edits(image: Array, others: list[Array], rng: random.Random) -> Iterator[tuple[str, Array]]:
    h, w = image.shape[:2]
    for share, other in zip(PASTED, others, strict=False):
        yield f"pasted {share:.1%}", pasted(image, other, share, rng)
    text = image.copy()
    cv2.rectangle(text, (0, int(h * 0.78)), (w, int(h * 0.95)), (20, 20, 20), -1)
    cv2.putText(
        text, "see you on sunday", (w // 20, int(h * 0.9)), cv2.FONT_HERSHEY_DUPLEX, w / 400, (255,) * 3, 2, cv2.LINE_AA
    )
    yield "caption on a band", jpeg(text, 90)
    words = image.copy()
    at = (w // 20, int(h * rng.uniform(0.2, 0.9)))
    cv2.putText(words, "Lisbon 2019", at, cv2.FONT_HERSHEY_DUPLEX, w / 500, (255,) * 3, 2, cv2.LINE_AA)
    yield "words", jpeg(scaled(words, 0.7), 80)
    sticker, r = image.copy(), int((0.03 * h * w / np.pi) ** 0.5)
    centre = rng.randint(r, w - r), rng.randint(r, h - r)
    cv2.circle(sticker, centre, r, [rng.randrange(256) for _ in "rgb"], -1)
    yield "sticker 3%", jpeg(sticker, 85)
    mask = np.zeros((h, w), np.uint8)
    cv2.circle(mask, (rng.randint(r, w - r), rng.randint(r, h - r)), r, 255, -1)
    yield "retouched 3% (inpainted)", cv2.inpaint(image, mask, 5, cv2.INPAINT_TELEA)
    yield "walked in 3%", jpeg(walked_in(image, others[0], 0.03, rng), 88)
    warm = clipped(walked_in(image, others[1], 0.03, rng) * [1.12, 1, 0.82])
    yield "walked in 3%, warm, half size", jpeg(scaled(warm, 0.5), 80)


def of_grey(hue: float, grey: float) -> Array:
    """(3,) a strong colour of that hue (0 to 180) and that grey value."""
    colour = cv2.cvtColor(np.uint8([[[hue, 215, 255]]]), cv2.COLOR_HSV2RGB)[0, 0].astype(float)
    colour *= grey / (colour @ (0.299, 0.587, 0.114))
    return np.clip(colour, 0, 255)


def garment(colour: Array, ground: tuple[int, int, int], seed: int) -> Array:
    noise = np.random.default_rng(seed)
    shade = cv2.resize(
        noise.uniform(0.75, 1.25, (12, 10)).astype(np.float32), (480, 600), interpolation=cv2.INTER_CUBIC
    )
    mask = np.zeros((600, 480), np.uint8)
    outline = [(150, 90), (200, 115), (280, 115), (330, 90), (450, 200), (400, 260), (350, 220), (360, 540)]
    outline += [(120, 540), (130, 220), (85, 260), (30, 200)]
    cv2.fillPoly(mask, [np.array(outline)], 255)
    mask = cv2.GaussianBlur(mask, (0, 0), 1.2)[..., None] / 255
    body = clipped(shade[..., None] * colour)
    for line in range(6):
        cv2.line(body, (165, 400 + 10 * line), (315, 395 + 14 * line), (245, 245, 245), 4)
    cv2.putText(body, "OSLO", (160, 340), cv2.FONT_HERSHEY_DUPLEX, 2, (245, 245, 245), 5, cv2.LINE_AA)
    return clipped(np.array(ground) * (1 - mask) + body * mask + np.random.default_rng().normal(0, 1.2, (600, 480, 1)))


def car(colour: Array, seed: int) -> Array:
    """A car before a wall on a street, both grey."""
    noise = np.random.default_rng(seed)
    wall = cv2.resize(noise.uniform(110, 190, (30, 40)).astype(np.float32), (640, 420), interpolation=cv2.INTER_CUBIC)
    picture = np.repeat(wall[..., None], 3, 2)
    picture[300:] *= 0.6
    body = np.zeros((420, 640), np.uint8)
    shape = [(60, 320), (70, 250), (180, 230), (240, 160), (430, 160), (500, 235), (590, 255), (600, 320)]
    cv2.fillPoly(body, [np.array(shape)], 255)
    light = np.linspace(1.15, 0.7, 420, dtype=np.float32)[:, None, None]
    mask = cv2.GaussianBlur(body, (0, 0), 1)[..., None] / 255
    picture = picture * (1 - mask) + light * colour * mask
    picture = clipped(picture)
    for left in (250, 345):
        cv2.rectangle(picture, (left, 175), (left + 80, 228), (60, 70, 75), -1)
    for centre in (170, 490):
        cv2.circle(picture, (centre, 325), 42, (25, 25, 25), -1)
        cv2.circle(picture, (centre, 325), 20, (170, 170, 175), -1)
    return clipped(picture + np.random.default_rng().normal(0, 1.5, (420, 640, 1)))


def colours(count: int) -> Iterator[Pair]:
    """Things of which the colour alone is another, of the same grey; and the whole picture toned."""
    for seed in range(count):
        rng = random.Random(seed)
        one, other = rng.sample(range(0, 180, 25), 2)
        grey = rng.uniform(70, 110)
        grounds = {"white": (250, 250, 250), "grey": (190, 190, 190), "beige": (225, 205, 175)}
        for name, ground in grounds.items():
            first, second = (garment(of_grey(hue, grey), ground, seed) for hue in (one, other))
            yield Pair(f"garment on {name}, other hue", "edited", first, jpeg(second, 92))
            if name == "white":
                yield Pair("garment, small", "version", first, jpeg(scaled(first, 0.5), 80))
                yield Pair("garment, warm", "version", first, clipped(first * [1.0, 0.95, 0.8]))
                yield Pair("garment, darker", "version", first, clipped(255 * (first / 255) ** 1.4))
        first, second = (car(of_grey(hue, grey), seed) for hue in (one, other))
        yield Pair("car, other hue", "edited", first, jpeg(second, 92))
        yield Pair("car, toned", "version", first, jpeg(toned(first, (1.15, 1, 0.7)), 90))


def pairs(photos: list[Array], seed: int) -> Iterator[Pair]:
    for number, image in enumerate(photos):
        rng = random.Random(seed * 1000 + number)
        others = [photos[(number + step) % len(photos)] for step in range(1, 7)]
        made: list[tuple[str, Callable[[], Iterator[tuple[str, Array]]]]] = [
            ("version", lambda image=image, rng=rng: versions(image, rng)),
            ("part", lambda image=image, rng=rng, others=others: parts(image, others, rng)),
            ("edited", lambda image=image, rng=rng, others=others: edits(image, others, rng)),
        ]
        for wanted, make in made:
            for step, edit in make():
                yield Pair(step, wanted, image, np.ascontiguousarray(edit))
        for step, left, right in frames(image):
            yield Pair(step, "part", np.ascontiguousarray(left), right)
    yield from colours(len(photos))


def seen(image: Array) -> Array:
    """At most SIDE pixels a side."""
    return scaled(image, SIDE / max(image.shape)) if max(image.shape) > SIDE else image


def judged(pair: Pair) -> tuple[Relation, float] | None:
    """The relation and the seconds it took; None where the proof finds no map."""
    proof = prove(describe(pair.a), describe(pair.b))
    if proof is None:
        return None
    a, b = seen(pair.a), seen(pair.b)
    start = perf_counter()
    return look(a, b, proof.transform), perf_counter() - start


def table(found: list[tuple[Pair, Relation | None]]) -> Iterator[str]:
    steps: dict[tuple[str, str], list[Relation | None]] = collections.defaultdict(list)
    for pair, relation in found:
        steps[pair.wanted, pair.step].append(relation)
    yield "| pair | wanted | pairs | version | part | edited | alike | no map | shares | least and most place | finer |"
    yield "|---|---|---|---|---|---|---|---|---|---|---|"
    for (wanted, step), relations in steps.items():
        known = [relation for relation in relations if relation is not None]
        counts = collections.Counter(relation.kind for relation in known)
        kinds = " | ".join(str(counts.get(kind, "")) for kind in ("version", "part", "edited", "alike"))
        if known:
            places = [min(relation.place_ab, relation.place_ba) for relation in known]
            shares = [f"{np.median([getattr(one, name) for one in known]):.2f}" for name in ("share_a", "share_b")]
            finer = f"{np.median([one.finer for one in known]):+.1f}"
            yield (
                f"| {step} | {wanted} | {len(relations)} | {kinds} | {len(relations) - len(known) or ''} | "
                f"{' / '.join(shares)} | {min(places):.4f} {max(places):.4f} | {finer} |"
            )
        else:
            yield f"| {step} | {wanted} | {len(relations)} | {kinds} | {len(relations)} | | | |"


def rows() -> Iterator[tuple[str, ...]]:
    """One row for each width that pairs are made of."""
    cv2.setNumThreads(1)
    photos = load(FOLDER, PHOTOS, SEED)
    found: dict[str, list[Relation | None]] = collections.defaultdict(list)
    for pair in itertools.chain(pairs(photos, SEED), tripod(photos, SEED)):
        result = judged(pair)
        found[pair.step].append(result and result[0])
    kinds = {step: [one.kind if one else "no map" for one in relations] for step, relations in found.items()}
    for what, starts, most in APART:
        groups = [kind for step, some in kinds.items() if step.startswith(starts) for kind in some]
        yield f"{what}: in a group", f"{groups.count('version')} of {len(groups)}", f"<= {most}"
    for what, starts in SAME:
        mapped = [kind for step, some in kinds.items() if step.startswith(starts) for kind in some if kind != "no map"]
        share = mapped.count("version") / max(1, len(mapped))
        yield (
            f"{what}: version, edited",
            f"{share:.3f}, {mapped.count('edited')} of {len(mapped)}",
            ">= .98, 0",
        )


def tripod(photos: list[Array], seed: int) -> Iterator[Pair]:
    """Two frames of one scene, each with noise of its own, in the second of which something walked in."""
    for number, image in enumerate(photos):
        rng = random.Random(seed * 1000 + number + 700)
        noise = np.random.default_rng(rng.randrange(2**32))
        first = clipped(image + noise.normal(0, 4, image.shape))
        second = clipped(
            walked_in(image, photos[(number + 1) % len(photos)], 0.03, rng) + noise.normal(0, 4, image.shape)
        )
        yield Pair("tripod frame, something walked in", "edited", first, jpeg(second, 92))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER)
    parser.add_argument("--photos", type=int, default=PHOTOS)
    parser.add_argument("--seed", type=int, default=SEED)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    found, seconds = [], []
    for pair in pairs(load(given.folder, given.photos, given.seed), given.seed):
        result = judged(pair)
        found.append((pair, result and result[0]))
        seconds += [result[1]] if result else []
    print("\n".join(table(found)))
    middle, late = np.percentile(seconds, (50, 95)) * 1000
    print(f"\n{len(seconds)} looks: {middle:.0f} ms in the middle, {late:.0f} ms at the 95th percentile.")


if __name__ == "__main__":
    main()
