"""Does what stays hold what goes? On sets of edits as the shared script makes and scores them, and on lesser copies."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks import keepers
from tests.benchmarks.commands import PROGRAM
from tests.benchmarks.photos import FOLDER, photos
from tests.benchmarks.relations import load

TOOL = FOLDER.parents[1] / "tools" / "transformed.py"
SEED = "5"
SETS = (  # what, originals, option, recall and originals that stay, at least
    ("60 photos and 5 edits of each", 60, [], 0.99, 0.97),
    ("30 photos and 12 heavy edits", 30, ["--hard"], 0.97, 0.97),
    ("60 photos and 15 wild edits", 60, ["--wild"], 0.62, 0.95),
)
LOST = 5  # files by name for which an original went
SIZES = 12  # photos of which copies are made that add nothing
ADD_NOTHING = ("jpeg", "half", "quarter", "crop", "hflip")  # steps of `keepers` that their original holds


def rows() -> Iterator[tuple[str, ...]]:
    photos()  # or a sentence
    for what, originals, options, recall, kept in SETS:
        with tempfile.TemporaryDirectory() as scratch:
            yield from _scored(what, ["--originals", str(originals), *options], recall, kept, Path(scratch))
    yield from _that_add_nothing()


def _scored(what: str, options: list[str], recall: float, kept: float, scratch: Path) -> Iterator[tuple[str, ...]]:
    made, found = scratch / "made", scratch / "found.json"
    _run([sys.executable, TOOL, "make", FOLDER, made, "--seed", SEED, *options])
    began = time.perf_counter()
    _run([PROGRAM, "add", made, "--index", scratch / "index", "--model", "vgg16-gem"])
    found.write_text(_run([PROGRAM, "duplicates", "--json", "--index", scratch / "index"]))
    seconds = time.perf_counter() - began
    score = json.loads(_run([sys.executable, TOOL, "score", made, found, "--json"]))
    files = sum(1 for _ in made.iterdir())
    yield (
        f"{what}: recall, precision over groups and related",
        f"{score['recall']:.4f}, {score['precision']:.4f}",
        f">= {recall:g}, >= .999",
    )
    yield f"{what}: the original stays", f"{score['kept']:.3f} ({score['originals_lost']} go)", f">= {kept:g}"
    yield f"{what}: redundant files", f"{score['redundant']} of {files}", "-"
    yield f"{what}: an original went for", "; ".join(lost(json.loads(found.read_text()))[:LOST]) or "none", "none"
    yield f"{what}: add and duplicates", f"{seconds:.0f} s", "-"


def lost(found: dict) -> list[str]:
    """Each original that does not stay, with what holds it, by `duplicates --json`."""
    groups = [{file["image"]: file for file in group["files"]} for group in found["groups"]]
    return [
        f"{Path(file['path']).stem} for {Path(group[file['held_by']]['path']).stem}"
        for group in groups
        for file in group.values()
        if file["path"].endswith("_orig.jpg") and not file["stays"]
    ]


def _that_add_nothing() -> Iterator[tuple[str, ...]]:
    """Copies of a photo that hold less than it, so that staying is not bought by keeping everything."""
    taken = load(FOLDER, SIZES, int(SEED))
    judged = list(keepers.judged(taken, "sizes", int(SEED)))
    gone = [
        not decision.stays
        for edits, decisions in judged
        for decision in decisions
        if edits.steps[decision.file.image].startswith(ADD_NOTHING)
    ]
    what = f"{SIZES} photos: re-encodings, sizes, mirrored and cropped ones that are redundant"
    yield what, f"{sum(gone) / max(1, len(gone)):.3f} of {len(gone)}", ">= .9"
    stay = [sum(decision.stays for decision in decisions) for _, decisions in judged]
    yield f"{SIZES} photos, these copies: files that stay, of a group", f"{sum(stay) / max(1, len(stay)):.2f}", "-"


def _run(command: list) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
