"""Which file of a set of edits stays: photos of any folder, their edits, the proofs and looks of all pairs of them.

`python -m tests.benchmarks.keepers [FOLDER] [--photos 12] [--seed 5] [--steps plain|hard|sizes]` prints of the groups
that hold the original in how many it stays and stands first, and of each edit how often it is redundant. The names of
the files say nothing.
"""

import argparse
import collections
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np

from imgindex.comparison.second_look import look
from imgindex.decoding.inspection import facts_of
from imgindex.decoding.local_features import Array, describe
from imgindex.decoding.reading import File as Bytes
from imgindex.decoding.reading import decode
from imgindex.duplicates.verification import Proof, prove
from imgindex.facts import Facts
from imgindex.retention.holding import Decision, decide
from imgindex.retention.relations import Relation
from imgindex.retention.units import File
from tests.benchmarks import relations
from tests.benchmarks.photos import FOLDER

ORIGINAL = "original"
QUALITY = 95
FULL = 1 << 20  # pixels that no photo is reduced to
STEPS = {
    "plain": ("crop 7/8", "hflip", "vflip", "turned, black corners", "squeezed"),
    "hard": (
        *("grey", "gamma and contrast, clipped", "blur", "noise", "jpeg 10", "crop half the area", "rot90", "tilt"),
        *("tint and vignette", "caption on a band", "sticker 3%", "on a blurred other"),
    ),
    "sizes": ("jpeg 30", "jpeg 50", "jpeg 70", "jpeg 85", "half size", "quarter size", "crop 7/8", "hflip"),
}


@dataclass(frozen=True, eq=False)
class Edits:
    """Of one photo: what is known of them, by image, and what each was made by."""

    steps: dict[int, str]
    files: list[File]
    facts: dict[int, Facts]
    relations: list[Relation]

    def grouped(self) -> list[File]:
        """The files that versions join to the original."""
        images = {next(image for image, step in self.steps.items() if step == ORIGINAL)}
        joins = [{one.a, one.b} for one in self.relations if one.kind in ("same", "version")]
        while more := set().union(*(pair for pair in joins if pair & images)) - images:
            images |= more
        return [file for file in self.files if file.image in images]


def made(photos: list[Array], number: int, seed: int, wanted: tuple[str, ...]) -> Iterator[tuple[str, Array]]:
    image, rng = photos[number], random.Random(seed * 1000 + number)
    others = [photos[(number + step) % len(photos)] for step in range(1, 7)]
    yield ORIGINAL, image
    for edits in (
        relations.versions(image, rng),
        relations.parts(image, others, rng),
        relations.edits(image, others, rng),
    ):
        yield from ((step, edit) for step, edit in edits if step in wanted)


def edits_of(photos: list[Array], number: int, seed: int, wanted: tuple[str, ...]) -> Edits:
    found, pictures = Edits({}, [], {}, []), {}
    names, seen = random.Random(seed * 1000 + number + 500), set()
    for step, edit in made(photos, number, seed, wanted):
        packed = cv2.imencode(".jpg", edit[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, qualities(step)])[1].ravel()
        if packed.tobytes() in seen:
            continue  # a square photo is squeezed already
        seen.add(packed.tobytes())
        image = len(found.steps)
        picture = decode(Bytes(packed, ""), FULL)
        width, height = picture.size
        found.steps[image] = step
        found.facts[image] = facts_of(packed.data, picture)
        found.files.append(File(f"/photos/{names.random():.9f}.jpg", image, width, height, len(packed), 0, 0, 0))
        pictures[image] = relations.seen(picture.rgb(width, height))
    described = {image: describe(picture) for image, picture in pictures.items()}
    for a, b in combinations(pictures, 2):
        proof = prove(described[a], described[b])
        if proof is not None:
            found.relations.append(related(a, b, proof, look(pictures[a], pictures[b], proof.transform)))
    return found


def related(a: int, b: int, proof: Proof, seen: relations.Relation) -> Relation:
    values = {name: value for name, value in vars(seen).items() if name != "where"}
    values["kind"] = seen.kind if proof.kind == "copy" else "alike"
    return Relation(a, b, score=proof.score, mirrored=proof.mirrored, **values)


def qualities(step: str) -> int:
    """Of the file: the edit's own, where that is a quality."""
    return int(step.split()[1]) if step.startswith("jpeg") else QUALITY


def judged(photos: list[Array], steps: str, seed: int) -> Iterator[tuple[Edits, tuple[Decision, ...]]]:
    """The edits of each photo that has any in its group, and what becomes of them."""
    for number in range(len(photos)):
        edits = edits_of(photos, number, seed, STEPS[steps])
        if len(edits.grouped()) > 1:
            yield edits, decide(edits.grouped(), edits.facts, edits.relations)


def table(judged: list[tuple[Edits, tuple[Decision, ...]]]) -> Iterator[str]:
    stays, first, files = 0, 0, 0
    redundant: dict[str, list[bool]] = collections.defaultdict(list)
    lost: dict[str, int] = collections.Counter()
    for edits, decisions in judged:
        first += edits.steps[decisions[0].file.image] == ORIGINAL
        files += sum(each.stays for each in decisions)
        for each in decisions:
            step = edits.steps[each.file.image]
            redundant[step].append(not each.stays)
            if step == ORIGINAL:
                stays += each.stays
                if each.held_by is not None:
                    lost[edits.steps[each.held_by]] += 1
    yield f"{len(judged)} groups: the original stays in {stays}, first in {first}; {files / len(judged):.2f} files stay"
    yield from (f"The original went for: {step}, {count} times." for step, count in lost.items())
    yield "| edit | in a group | redundant |"
    yield "|---|---|---|"
    for step, gone in redundant.items():
        yield f"| {step} | {len(gone)} | {np.mean(gone):.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER)
    parser.add_argument("--photos", type=int, default=12)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--steps", choices=STEPS, default="plain")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    photos = relations.load(given.folder, given.photos, given.seed)
    print("\n".join(table(list(judged(photos, given.steps, given.seed)))))


if __name__ == "__main__":
    main()
