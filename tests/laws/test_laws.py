"""What holds whatever happened before."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from imgindex import ImageIndex
from imgindex.storage.storage import Storage
from tests.conftest import FakeEmbedder, write_picture

pytestmark = pytest.mark.usefixtures("inline")

NAMES = st.sampled_from([f"{folder}{name}.png" for folder in ("", "sub/", "sub/deep/") for name in "abcdefg"])
SEEDS = st.integers(0, 5)


def contents(folder: Path) -> tuple[dict[str, bytes], set[bytes]]:
    """The content of each recorded path, and all contents that have a vector."""
    store = Storage.open(folder / "index.db")
    images = {int(image): store.images.get(int(image)) for image in store.embeddings.ids()}
    hashes = {number: image.sha256 for number, image in images.items() if image}
    files = {file.path: hashes[file.image] for file in store.images.files_below("/")}
    store.close()
    return files, set(hashes.values())


class Collection(RuleBasedStateMachine):
    """An index that follows a folder while files come, go, move, swap and change is as one made at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.photos, self.clock = self.root / "photos", 0
        self.photos.mkdir()
        self.index = ImageIndex(self.root / "index", embedder=FakeEmbedder())

    def teardown(self) -> None:
        self.index.close()
        shutil.rmtree(self.root)

    def path(self, name: str) -> Path:
        path = self.photos / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    @initialize(pictures=st.dictionaries(NAMES, SEEDS, max_size=6))
    def begin(self, pictures: dict[str, int]) -> None:
        for name, seed in pictures.items():
            self.write(name, seed)
        self.index.add([self.photos])

    @rule(name=NAMES, seed=SEEDS)
    def write(self, name: str, seed: int) -> None:
        self.clock += 1
        path = write_picture(self.path(name), seed)
        os.utime(path, ns=(self.clock, self.clock))

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        self.path(name).unlink(missing_ok=True)

    @rule(one=NAMES, other=NAMES)
    def swap_or_rename(self, one: str, other: str) -> None:
        aside = self.root / "aside"
        for source, target in (self.path(one), aside), (self.path(other), self.path(one)), (aside, self.path(other)):
            if source.exists():
                source.rename(target)

    @rule(one=NAMES, other=NAMES)
    def copy(self, one: str, other: str) -> None:
        if one != other and self.path(one).exists():
            shutil.copy2(self.path(one), self.path(other))

    @rule()
    def sync(self) -> None:
        assert self.index.sync().failed == []

    @precondition(lambda self: (self.photos / "sub").exists())
    @rule()
    def add_part(self) -> None:
        assert self.index.add([self.photos / "sub"]).failed == []

    @rule(name=NAMES)
    def forget(self, name: str) -> None:
        store = Storage.open(self.root / "index" / "index.db")
        known = store.images.files_at([str(self.photos / name)])
        store.close()
        if known:
            assert self.index.remove([self.photos / name]).removed == 1

    @rule()
    def reopen(self) -> None:
        self.index.close()
        self.index = ImageIndex(self.root / "index", embedder=FakeEmbedder())

    @rule()
    def end_is_as_fresh(self) -> None:
        first = self.index.sync()
        assert first.failed == []
        self.index.remove(self.index.missing())
        again = self.index.sync()
        assert (again.added, again.moved, again.failed, again.unchanged) == (0, 0, [], again.files)
        files = {str(path): hashlib.sha256(path.read_bytes()).digest() for path in self.photos.rglob("*.png")}
        assert contents(self.root / "index") == (files, set(files.values()))
        for path in list(files)[:2]:
            results = self.index.similar(path, k=50).results
            assert len(results) == len(set(files.values())) - 1

    @invariant()
    def is_whole(self) -> None:
        assert self.index.check() == []


@pytest.fixture
def quick() -> Iterator[settings]:
    return settings(
        max_examples=60,
        stateful_step_count=25,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=True,
    )


def test_following_is_as_fresh(quick):
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(Collection, settings=quick)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pictures=st.dictionaries(NAMES, SEEDS), orders=st.data())
def test_the_order_of_adding_changes_nothing(tmp_path_factory, pictures, orders):
    root = tmp_path_factory.mktemp("order")
    paths = [write_picture(root / "photos" / name, seed) for name, seed in pictures.items()]
    both = []
    for number in range(2):
        order = orders.draw(st.permutations(paths))
        cut = orders.draw(st.integers(0, len(paths)))
        with ImageIndex(root / f"index{number}", embedder=FakeEmbedder()) as index:
            for part in order[:cut], order[cut:], order:
                assert index.add(part).failed == []
        both.append(contents(root / f"index{number}"))
    assert both[0] == both[1]
    assert set(both[0][0]) == set(map(str, paths))


def test_swapped_names_are_taken(tmp_path):
    one, other = (write_picture(tmp_path / "photos" / f"{seed}.png", seed) for seed in range(2))
    with ImageIndex(tmp_path / "index", embedder=FakeEmbedder()) as index:
        index.add([tmp_path / "photos"])
        one.rename(tmp_path / "aside")
        other.rename(one)
        (tmp_path / "aside").rename(other)
        os.utime(one)
        assert index.sync().failed == []
    files = {str(path): hashlib.sha256(path.read_bytes()).digest() for path in (one, other)}
    assert contents(tmp_path / "index") == (files, set(files.values()))
