"""Each operation, killed or failed by the kernel at chosen system calls (strace): nothing of a person's is lost.

Whatever happens, every content that was there is there, the index holds what it held or what it was to hold, a second
try ends well, and what was put away comes back.
"""

import hashlib
import os
import random
import re
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from imgindex import ImageIndex
from imgindex.decoding import decoder
from tests.conftest import write_picture
from tests.support import ATTACK
from tests.support.decoding import InlineDecoder
from tests.support.embedders import FakeEmbedder
from tests.support.processes import Adders, Job

KILLS, ERRORS = (45, 56) if ATTACK else (2, 2)  # of each of 20 operations
CHANGES = [  # calls that change what is on a disk, or bring it there
    *("write", "pwrite64", "writev", "ftruncate", "fallocate", "fsync", "fdatasync", "sendfile", "copy_file_range"),
    *(
        "mkdir",
        "mkdirat",
        "rmdir",
        "link",
        "linkat",
        "symlink",
        "unlink",
        "unlinkat",
        "rename",
        "renameat",
        "renameat2",
    ),
    *("utimensat", "fchmod", "fchmodat", "openat"),
]
READS = ["read", "pread64", "openat", "getdents64"]
PHOTOS = 30
FITTED = 205  # photos: the compare space is fitted at 200
UPLOADS = 3

pytestmark = [
    pytest.mark.attack,
    pytest.mark.skipif(not shutil.which("strace"), reason="strace is not here (Debian: sudo apt install strace)"),
]


class Place:
    """Photos, an index of them, a trash and a quarantine, at one path: as they began, or as an operation left them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.photos, self.index, self.away = root / "photos", root / "index", root / "away"
        self._begin = root.with_name(root.name + ".begin")

    def open(self) -> ImageIndex:
        return ImageIndex(self.index, embedder=FakeEmbedder())

    def keep(self) -> None:
        """This is how it begins."""
        shutil.copytree(self.root, self._begin, symlinks=True)

    def begin(self) -> None:
        shutil.rmtree(self.root)
        shutil.copytree(self._begin, self.root, symlinks=True)

    def contents(self) -> Counter[str]:
        """The SHA-256 of each picture, wherever it lies, and how many files hold it."""
        pictures = [path for path in self.root.rglob("*") if path.suffix in (".png", ".jpg") and path.is_file()]
        return Counter(hashlib.sha256(path.read_bytes()).hexdigest() for path in pictures)

    def paths(self) -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in self.photos.rglob("*.png")}


@dataclass(frozen=True)
class Operation:
    """A job of tests/support/adder.py: its arguments, and what comes before it."""

    job: str
    arguments: Callable[[Place], dict[str, Any]]
    before: Callable[[Place], None] = lambda _: None
    loses: Callable[["Place"], set[str]] = lambda _: set()  # contents that it is to delete
    done: str = "\0"  # what it says when there is nothing left to do


def line(*words: str) -> Callable[[Place], dict[str, Any]]:
    """A command line; {photos} and the like are folders of the place."""
    return lambda place: {
        "arguments": [*(word.format_map(vars(place)) for word in words), "--index", str(place.index)],
    }


def many(place: Place) -> None:
    shutil.rmtree(place.index)
    for seed in range(PHOTOS, FITTED):
        write_picture(place.photos / "many" / f"{seed}.png", 3000 + seed)


def more(place: Place) -> None:
    for seed in range(12):
        write_picture(place.photos / "more" / f"{seed}.png", 1000 + seed)
    shutil.copy(place.photos / "003.png", place.photos / "more" / "copy.png")


def changed(place: Place) -> None:
    for seed in range(4):
        write_picture(place.photos / f"{seed:03}.png", 2000 + seed)
        os.rename(place.photos / f"{10 + seed:03}.png", place.photos / f"renamed {seed}.png")
    os.unlink(place.photos / "020.png")


def decided(place: Place) -> None:
    with place.open() as index:
        index.duplicates.prove()
        index.themes.recluster(clusters=4)


def first_upload(place: Place) -> set[str]:
    with place.open() as index:
        return {Path(index.images.get(PHOTOS + 1).paths[0]).stem}


def damaged(place: Place) -> None:
    os.truncate(place.index / "vectors.faiss", 100)
    os.unlink(place.index / "copies.faiss")


def planned(how: str) -> Callable[[Place], None]:
    def plan(place: Place) -> None:
        with place.open() as index:
            (place.index / "clean.json").write_text(index.cleanup.plan(how).to_json())

    return plan


def cleaned(how: str) -> Callable[[Place], None]:
    def clean(place: Place) -> None:
        with place.open() as index:
            away = {"quarantine": str(place.away)} if how == "quarantine" else {}
            assert len(index.cleanup.apply(index.cleanup.plan(how), **away).done) == 6

    return clean


OPERATIONS = {
    "add": Operation("command", line("add", "{photos}"), many),
    "add more": Operation("command", line("add", "{photos}/more"), more),
    "add what changed": Operation("command", line("add", "{photos}"), changed),
    "sync": Operation("command", line("sync"), changed),
    "upload": Operation(
        "upload", lambda place: {"index": place.index, "paths": sorted((place.photos / "more").iterdir())}, more
    ),
    "remove a folder": Operation("command", line("remove", "{photos}/copies"), done="is not in the index"),
    "remove an upload": Operation(
        "command", line("remove", str(PHOTOS + 1)), loses=first_upload, done="There is no image"
    ),
    "duplicates": Operation("command", line("duplicates", "--json")),
    "keep": Operation("command", line("keep", "{photos}/copies/002.png"), decided),
    "different": Operation("command", line("different", "3", "4"), decided),
    "policy": Operation("command", line("policy", "--protect", "{photos}/copies")),
    "recluster": Operation("command", line("recluster", "--clusters", "5"), decided),
    "report": Operation("command", line("report", "--json"), decided),
    "repair": Operation("command", line("check", "--repair"), damaged),
    "clean to the trash": Operation("command", line("clean", "--apply"), planned("trash"), done="There is no plan"),
    "clean to a quarantine": Operation(
        "command", line("clean", "--apply", "--quarantine", "{away}"), planned("quarantine"), done="There is no plan"
    ),
    "clean to hard links": Operation("command", line("clean", "--apply"), planned("hardlink"), done="There is no plan"),
    "undo from the trash": Operation("command", line("clean", "--undo"), cleaned("trash")),
    "undo from a quarantine": Operation("command", line("clean", "--undo"), cleaned("quarantine")),
    "undo hard links": Operation("command", line("clean", "--undo"), cleaned("hardlink")),
}  # fmt: skip


FEW = ["add more", "upload", "clean to the trash", "undo from the trash"]


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoder, "Decoder", InlineDecoder)
        yield built(tmp_path_factory)


def built(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("place") / "place")
    for seed in range(PHOTOS):
        write_picture(place.photos / f"{seed:03}.png", seed)
    for seed in range(6):
        (place.photos / "copies").mkdir(exist_ok=True)
        shutil.copy2(place.photos / f"{seed:03}.png", place.photos / "copies" / f"{seed:03}.png")
    with place.open() as index:
        assert not index.add([place.photos]).failed
        files = [write_picture(place.root / "given" / f"{seed}.png", 500 + seed) for seed in range(UPLOADS)]
        new = [index.uploads.decode(file.read_bytes()) for file in files]
        index.uploads.add(new, index.uploads.embed(new))
    shutil.rmtree(place.root / "given")
    return place


@pytest.fixture
def place(origin: Place, name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """As the operation of that name finds it."""
    monkeypatch.setenv("XDG_DATA_HOME", str(origin.root / "data"))
    here = Place(origin.root)
    kept = origin.root.with_name("origin")
    shutil.copytree(origin.root, kept, symlinks=True)
    OPERATIONS[name].before(here)
    here.keep()
    yield here
    shutil.rmtree(here._begin)
    shutil.rmtree(here.root)
    os.rename(kept, origin.root)


@dataclass(frozen=True)
class Before:
    """What there was, and of it may go."""

    contents: Counter[str]
    paths: dict[str, bytes]  # that an undo brings back; when undoing, they are not there yet
    may_go: set[str]

    @classmethod
    def of(cls, name: str, place: Place) -> "Before":
        paths = {} if "undo" in name else place.paths()
        return cls(place.contents(), paths, OPERATIONS[name].loses(place))


def traced(adders: Adders, name: str, place: Place, *options: str) -> tuple[Job, str]:
    """Do an operation under strace; returns the job and what strace wrote of it."""
    operation, log = OPERATIONS[name], place.root.with_name("strace.log")
    job = adders.start(operation.job, awaited=True, home=place.root / "data", **operation.arguments(place))
    tracer = subprocess.Popen(
        ["strace", "-f", "-qq", "-o", log, *options, "-p", str(job.pid)], stderr=subprocess.PIPE, text=True
    )
    job.wait()
    _, said = tracer.communicate()
    assert tracer.returncode in (0, -signal.SIGKILL), said
    return job, log.read_text(errors="replace")


def own(place: Place) -> list[str]:
    """What makes strace look at calls for our files alone: an import that fails is no matter of ours."""
    names = ("index.db", "index.db-wal", "index.db-shm", "vectors.faiss.part", "copies.faiss.part", "clean.json")
    index = [str(place.index / name) for name in names]
    return [f"-P{path}" for path in (*index, *map(str, place.root.rglob("*")))]


def calls(adders: Adders, name: str, place: Place, which: list[str], *options: str) -> list[tuple[str, int]]:
    """Each call that the operation makes, by its number among its kind in its thread, with no thread twice."""
    job, log = traced(adders, name, place, "-e", f"trace={','.join(which)}", *options)
    assert job.code == 0, job.errors
    made = Counter(re.findall(r"^(\d+) +(\w+)\(", log, re.MULTILINE))
    most: Counter[str] = Counter()
    for (_, call), count in made.items():
        most[call] = max(most[call], count)
    return [(call, number) for call, count in sorted(most.items()) for number in range(1, count + 1)]


def settled(adders: Adders, name: str, place: Place, was: "Before") -> None:
    """Nothing is lost, the index is whole once it is repaired, and the operation ends well."""
    operation = OPERATIONS[name]
    assert (was.contents - place.contents()).keys() <= was.may_go
    if (place.index / "index.db").exists():
        with place.open() as index:
            index.repair()
            assert index.check() == []
    again = adders.start(operation.job, home=place.root / "data", **operation.arguments(place))
    again.wait()
    assert again.code == 0 or operation.done in again.errors, again.errors
    assert (was.contents - place.contents()).keys() <= was.may_go
    with place.open() as index:
        assert index.check() == []
        if "clean" in name or "undo" in name:
            for _ in range(2):  # what was interrupted, and what the second try did, are two runs
                assert index.cleanup.undo().failed == ()
            assert place.paths().items() >= was.paths.items()


@pytest.mark.parametrize("name", OPERATIONS if ATTACK else FEW)
def test_killed_at_any_call_that_changes_something(adders, place, name):
    dice = random.Random(name)
    was = Before.of(name, place)
    points = calls(adders, name, place, CHANGES)
    assert len(points) > 20
    killed = 0
    for call, number in dice.sample(points, min(KILLS, len(points))):
        place.begin()
        job, _ = traced(adders, name, place, "-e", f"trace={call}", "-e", f"inject={call}:signal=SIGKILL:when={number}")
        killed += job.code == -signal.SIGKILL
        # 0: threads shared the calls in another way; 1: a decoder was killed, and that was told.
        assert job.code in (0, 1, -signal.SIGKILL), job.errors
        assert "Traceback" not in job.errors
        settled(adders, name, place, was)
    assert killed >= min(KILLS, len(points)) / 2


@pytest.mark.parametrize("name", OPERATIONS if ATTACK else FEW)
def test_whatever_the_kernel_refuses_is_a_sentence(adders, place, name):
    """ENOSPC and EDQUOT where it writes, once or from then on; EIO and ENOMEM where it reads as well."""
    dice = random.Random(name)
    was = Before.of(name, place)
    changes = calls(adders, name, place, CHANGES[1:-1])
    place.begin()
    changes += calls(adders, name, place, ["write"], *own(place))
    writes = [(*point, error) for point in changes for error in ("ENOSPC", "EIO", "EDQUOT")]
    place.begin()
    reads = [(*point, error) for point in calls(adders, name, place, READS, *own(place)) for error in ("EIO", "ENOMEM")]
    assert len(writes) > 20
    assert len(reads) > 20
    injected = 0
    for call, number, error in [*dice.sample(writes, min(ERRORS // 2, len(writes))), *dice.sample(reads, ERRORS // 2)]:
        place.begin()
        only = own(place) if call in (*READS, "write") else []
        when = f"{number}+" if call in CHANGES[:-1] and dice.random() < 0.5 else number
        inject = f"inject={call}:error={error}:when={when}"
        job, log = traced(adders, name, place, "-e", f"trace={call}", "-e", inject, *only)
        injected += "(INJECTED)" in log
        print(name, inject, job.code, job.errors)
        assert job.code in (0, 1, 2), job.errors
        assert "Traceback" not in job.errors
        settled(adders, name, place, was)
    assert injected >= ERRORS / 2  # threads may share the calls in another way
