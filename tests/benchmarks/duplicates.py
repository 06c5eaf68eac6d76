"""Are copies found, and nothing else? On edits of photos, and on copies found in the wild among photos."""

import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from imgindex import ImageIndex
from imgindex.duplicates.records import Duplicates, Group
from tests.benchmarks.peers import Pairs, pairs, rates, true_pairs
from tests.benchmarks.photos import FOLDER, photos

SHARED = FOLDER.parents[1]
ROOMS_AND_ANIMALS = ("cats", "dogs", "house_*", "panda")
KINDS = ("natural_near", "natural_exact", "caltech_resize", "imagededup", "jih", "exif")  # of the groups in the wild
SHOWN = 10  # false pairs by name


def rows() -> Iterator[tuple[str, ...]]:
    photos()  # or a sentence
    for what, classes, options, asked in (
        ("280 photos and 5 edits of each", ROOMS_AND_ANIMALS, [], ">= .99, >= .999"),
        ("100 of these and 12 heavy edits", ROOMS_AND_ANIMALS, ["--hard", "--originals", "100"], ">= .88, >= .995"),
        ("100 groceries and 5 edits of each", ("grocery_*",), ["--originals", "100"], ">= .99, >= .98"),
    ):
        with tempfile.TemporaryDirectory() as scratch:
            yield from _transformed(what, classes, options, asked, Path(scratch))
    with tempfile.TemporaryDirectory() as scratch:
        yield from _wild(Path(scratch))


def _transformed(
    what: str, classes: Sequence[str], options: list[str], asked: str, scratch: Path
) -> Iterator[tuple[str, ...]]:
    source, made = scratch / "source", scratch / "made"
    source.mkdir()
    for folder in (folder for pattern in classes for folder in FOLDER.glob(pattern)):
        (source / folder.name).symlink_to(folder)
    tool = SHARED / "tools" / "transformed.py"
    subprocess.run([sys.executable, tool, "make", source, made, *options], check=True, capture_output=True)
    everything, seconds = _found([made], scratch / "index")
    labels = {str(path): path.name.split("_")[0] for path in made.iterdir()}
    truth, found = true_pairs(labels), _pairs(everything)
    yield from _rates(what, found, truth, everything.groups, asked)
    every, right = (Counter(map(_edits, some)) for some in (truth, found & truth))
    worst = min(every, key=lambda edits: (right[edits] / every[edits], edits))
    yield (
        f"{what}: worst kind of pair",
        f"{worst}, {right[worst] / every[worst]:.3f}",
        ">= .95" if len(every) == 15 else "-",
    )
    yield f"{what}: add and duplicates of {len(labels):,} files", f"{seconds:.0f} s", "-"


def _wild(scratch: Path) -> Iterator[tuple[str, ...]]:
    copies = [path for path in (SHARED / "data" / "groups").glob("*/*") if path.is_file()]
    labels = {str(path): path.parent.name for path in copies} | {str(path): str(path) for path in photos()}
    everything, _ = _found([Path(path) for path in labels], scratch / "index")
    truth, found = true_pairs(labels), _pairs(everything)
    what = f"{len(copies)} copies in the wild among {len(photos())} photos"
    yield from _rates(what, found, truth, everything.groups, ">= .95, 1")
    for kind in KINDS:
        asked = {pair for pair in truth if labels[pair[0]].startswith(kind)}
        yield f"{what}: recall of {kind}", f"{rates(found, asked)[1]:.3f} of {len(asked)} pairs", ">= .95"


def _found(paths: Sequence[Path], folder: Path) -> tuple[Duplicates, float]:
    """What is found of these files, and seconds."""
    began = time.perf_counter()
    with ImageIndex(folder, model="vgg16-gem") as index:
        index.add(paths)
        found = index.duplicates.find()
    return found, time.perf_counter() - began


def _pairs(found: Duplicates) -> Pairs:
    """Of files in a group, and of pictures of which one is edited out of the other, or a part of it."""
    related = ([one.a.path, one.b.path] for one in found.related if one.kind != "alike")
    return pairs([*([file.path for file in group.files] for group in found.groups), *related])


def _rates(what: str, found: Pairs, truth: Pairs, groups: Sequence[Group], asked: str) -> Iterator[tuple[str, ...]]:
    precision, recall = rates(found, truth)
    yield f"{what}: recall, precision over groups and related", f"{recall:.4f}, {precision:.4f}", asked
    false = sorted(" ~ ".join("/".join(Path(path).parts[-2:]) for path in pair) for pair in found - truth)
    more = [f"and {len(false) - SHOWN} more"] if len(false) > SHOWN else []
    yield f"{what}: false pairs", "; ".join(false[:SHOWN] + more) or "none", "none"
    yield f"{what}: groups, loose ones", f"{len(groups)}, {sum(group.loose for group in groups)}", "-"


def _edits(pair: tuple[str, str]) -> str:
    """How the two files of a pair were made."""
    return "-".join(sorted(Path(path).stem.split("_")[1] for path in pair))
