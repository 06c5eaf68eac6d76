"""What each limit of a proof is worth: moved by a fifth down and up, how many copies are lost and strangers let in.

`python -m tests.benchmarks.limits` prints the table; it takes some minutes on one core.
"""

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import itertools
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2

from imgindex.decoding.local_features import Described, describe, parse
from imgindex.duplicates import alignment, overlap, verification
from tests.benchmarks.photos import FOLDER, photos

SHARED = FOLDER.parents[1]
ORIGINALS = ((24, []), (8, ["--hard"]))  # photos, and options of the tool that edits them
MODULES = (verification, overlap, alignment)
EVERY = 8  # copies one in so many: 153 pairs
SHOTS = 20  # photos of each class that are strangers to each other
FIFTH = 0.2
SHARE = 0.8  # what is above, and below 1, has its distance to 1 moved by a fifth
LIMIT = re.compile(r"_?[A-Z][A-Z_]+")
Pair = tuple[Described, Described]


def described(path: Path) -> Described:
    return parse(describe(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)))


def within(groups: Sequence[Sequence[Path]]) -> list[Pair]:
    """All pairs of each group."""
    return [pair for group in groups for pair in itertools.combinations(list(map(described, group)), 2)]


def copies() -> list[Pair]:
    """Pairs of edits of one photo, and of copies found in the wild."""
    groups = [sorted(folder.iterdir()) for folder in sorted((SHARED / "data" / "groups").iterdir())]
    pairs = within([[path for path in group if path.suffix != ".webp"] for group in groups])
    for count, options in ORIGINALS:
        with tempfile.TemporaryDirectory() as made:
            tool = [sys.executable, SHARED / "tools" / "transformed.py", "make", FOLDER, made]
            subprocess.run([*tool, "--originals", str(count), *options], check=True, capture_output=True)
            files = sorted(Path(made).glob("*.jpg"))
            pairs += within(
                [list(group) for _, group in itertools.groupby(files, lambda path: path.name.split("_")[0])]
            )
    return pairs[::EVERY]


def strangers() -> list[Pair]:
    """Different photos of one class: those that are called alike (shots of the same products), and some that align."""
    pairs = within([sorted(folder.iterdir())[:SHOTS] for folder in sorted(FOLDER.iterdir())])
    aligned = [pair for pair in pairs if alignment.align(*sorted(pair, key=lambda one: one.blob))]
    alike = [pair for pair in aligned if verification.prove(*pair)]
    return alike + [pair for pair in aligned if not verification.prove(*pair)][::EVERY]


def counted(pairs: Sequence[Pair]) -> Counter[str]:
    """How many pairs are called what."""
    return Counter(proof.kind if (proof := verification.prove(*pair)) else "none" for pair in pairs)


def limits(module: ModuleType) -> dict[str, Any]:
    """The numbers that stand at the top of a module."""
    found = {name: value for name, value in vars(module).items() if LIMIT.fullmatch(name)}
    taken = {name for other in MODULES[MODULES.index(module) + 1 :] for name in vars(other)}
    return {name: value for name, value in found.items() if name not in taken or name.startswith("_")}


def moved(value: Any, up: bool) -> Any:
    if isinstance(value, tuple):
        return tuple(moved(one, up) for one in value)
    sign = 1 if up else -1
    if isinstance(value, int):
        return value + sign * max(1, round(FIFTH * value))
    return 1 - (1 - value) * (1 - sign * FIFTH) if SHARE < value < 1 else value * (1 + sign * FIFTH)


@contextmanager
def setting(module: ModuleType, name: str, value: Any) -> Iterator[None]:
    """A limit has another value meanwhile, also where it was imported to."""
    before = getattr(module, name)
    holders = [other for other in MODULES if getattr(other, name, None) is before or other is module]
    try:
        for holder in holders if not name.startswith("_") else [module]:
            setattr(holder, name, value)
        yield
    finally:
        for holder in holders if not name.startswith("_") else [module]:
            setattr(holder, name, before)


def main() -> None:
    photos()  # or a sentence
    cv2.setNumThreads(1)
    true, false = copies(), strangers()
    found, wrong = counted(true), counted(false)
    print(f"{len(true)} pairs of copies: {found['copy']} copies, {found['alike']} alike; "
          f"{len(false)} of strangers: {wrong['copy']} copies, {wrong['alike']} alike.\n")  # fmt: skip
    print("| limit | a fifth less: copies, false ones, alike | a fifth more |\n|---|---|---|")
    for module in MODULES:
        for name, value in limits(module).items():
            cells = [f"{module.__name__.split('.')[-1]}.{name} = {value}"]
            for up in (False, True):
                with setting(module, name, moved(value, up)):
                    now, let_in = counted(true), counted(false)
                cells.append(
                    f"{now['copy'] - found['copy']:+}, {let_in['copy'] - wrong['copy']:+}, "
                    f"{let_in['alike'] - wrong['alike']:+}"
                )
            print("|", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()
