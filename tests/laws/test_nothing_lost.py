"""Nothing is ever planned whose loss loses something: what pictures hold is made up, what is stored follows from it."""

import math
import tempfile
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from itertools import combinations
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from imgindex import ImageIndex
from imgindex.duplicates.records import Pair
from imgindex.duplicates.relation_store import RelationStore
from imgindex.facts import Facts
from imgindex.records import Decoded, File, Image
from imgindex.retention.relations import Kind, Relation
from tests.support.embedders import FakeEmbedder

pytestmark = pytest.mark.usefixtures("inline")

FIRST = datetime(2020, 5, 17, 12)
PLACE = 0.05  # of the overlap, where a sticker is


@dataclass(frozen=True)
class Shown:
    """What a picture holds: a stretch of a wide scene, with or without something stuck onto it, and what is told."""

    start: int
    length: int
    level: int  # log2 of its pixels a unit of the scene
    sticker: int = 0  # 0: none; it covers something that another picture shows
    colour: bool = True
    alpha: bool = False
    frames: int = 1
    bits: int = 8
    raw: bool = False
    shot: int | None = None  # the second of its capture
    rating: int | None = None
    copies: int = 1  # files of it
    protected: bool = False

    @property
    def end(self) -> int:
        return self.start + self.length

    def facts(self) -> Facts:
        captured = None if self.shot is None else (FIRST + timedelta(seconds=self.shot)).isoformat()
        return Facts(
            "jpeg", frames=self.frames, bits=self.bits, alpha=self.alpha, colour=self.colour, raw=self.raw, quality=95,
            detail=self.length * 4.0**self.level, noise=1.0, captured=captured, rating=self.rating,
        )  # fmt: skip

    def lost_with(self, other: "Shown") -> list[str]:
        """What of this picture is gone if only the other is left."""
        lost = {
            "area": self.start < other.start or self.end > other.end,
            "detail": self.level > other.level,
            "what is shown": self.sticker != other.sticker,
            "colour": self.colour and not other.colour,
            "alpha": self.alpha and not other.alpha,
            "frames": self.frames > other.frames,
            "depth": self.bits > other.bits,
            "raw data": self.raw,
            "its moment": self.shot is not None and self.shot != other.shot,
            "its rating": self.rating is not None and self.rating != other.rating,
        }
        return [name for name, gone in lost.items() if gone]


def seldom(usual, *others):
    return st.sampled_from([usual] * 5 + list(others))


SHOWN = st.builds(
    Shown, start=seldom(0, 1, 2), length=seldom(4, 2, 3, 5), level=st.integers(0, 2), sticker=seldom(0, 1, 2),
    colour=seldom(True, False), alpha=seldom(False, True), frames=seldom(1, 3), bits=seldom(8, 16),
    raw=seldom(False, True), shot=seldom(None, 0, 1), rating=seldom(None, 3, 5),
    copies=seldom(1, 2), protected=seldom(False, True),
)  # fmt: skip


def related(a: int, b: int, one: Shown, two: Shown) -> Relation | None:
    """What a second look would see of two pictures."""
    overlap = min(one.end, two.end) - max(one.start, two.start)
    if overlap <= 0:
        return None
    shares = overlap / one.length, overlap / two.length
    kind: Kind = "version"
    if None not in (one.shot, two.shot) and one.shot != two.shot:
        kind = "alike"
    elif one.sticker != two.sticker:
        kind = "edited"
    elif max(shares) < 1 or max(one.frames, two.frames) > 1:
        kind = "part"
    place = PLACE if one.sticker != two.sticker else 0.0
    map_ = (one.length / two.length, 0.0, (one.start - two.start) / two.length, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    return Relation(a, b, kind, 0.9, *shares, place, place, float(one.level - two.level), 0.0, map_, mirrored=False)


def fill(index: ImageIndex, shown: list[Shown]) -> dict[str, Shown]:
    """The pictures as if they had been added and looked at; by path."""
    paths, images, store = {}, {}, index._store
    with store.transaction():
        index._model.begin()
        for number, one in enumerate(shown):
            side = 100 * 2**one.level
            digest = sha256(bytes([number])).digest()
            read = Decoded(np.zeros((16, 16, 3), np.uint8), one.length * side, side, digest, b"", one.facts())
            vector = np.random.default_rng(number).normal(size=16).astype(np.float32)
            image = store.add_image(Image(0, digest, read.width, read.height, 1000), vector, read)
            images[image] = one
            for copy in range(one.copies):
                path = f"/{'safe' if one.protected else 'photos'}/{number}-{copy}.jpg"
                store.images.put_file(File(path, image, 1000, 0))
                paths[path] = one
    relations = [seen for a, b in combinations(images, 2) if (seen := related(a, b, images[a], images[b]))]
    proven = {
        (one.a, one.b): Pair(one.a, one.b, "copy", 0.9, 40, one.transform, one.mirrored, 1.0) for one in relations
    }
    matches = index.duplicates._matches
    matches.put_verdicts((), {pair: proven.get(pair) for pair in combinations(images, 2)})
    RelationStore(store.database, matches).put(relations)
    return paths


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(shown=st.lists(SHOWN, min_size=2, max_size=6), separate=st.booleans())
def test_what_is_planned_to_go_is_held_by_what_stays(shown, separate):
    with tempfile.TemporaryDirectory() as folder, ImageIndex(Path(folder), embedder=FakeEmbedder()) as index:
        paths = fill(index, shown)
        index.duplicates.policies.add("protect", ["/safe"])
        index.duplicates.policies.set(separate_raw=separate)
        steps = index.cleanup.plan().steps
        going = {step.path for step in steps}
        for step in steps:
            gone, left = paths[step.path], paths[step.keep]
            assert step.keep not in going
            assert gone is left or gone.lost_with(left) == []
            assert not gone.protected
        assert {one for path, one in paths.items() if path not in going and one.raw} == {o for o in shown if o.raw}


def test_a_plan_of_plain_copies_is_not_empty(tmp_path):
    """The law above holds something."""
    whole = Shown(0, 4, 2)
    with ImageIndex(tmp_path, embedder=FakeEmbedder()) as index:
        fill(index, [whole, Shown(0, 4, 0), Shown(1, 2, 2), Shown(0, 4, 2, sticker=1), Shown(0, 4, 2, shot=1)])
        steps = index.cleanup.plan().steps
    assert {Path(step.path).name for step in steps} >= {"1-0.jpg", "2-0.jpg"}


BROKEN = (
    {"share_a": 7.0}, {"share_b": -3.0}, {"finer": math.inf}, {"noisier": -math.inf}, {"place_ba": 2.0},
    {"transform": (0.0,) * 9}, {"transform": ()}, {"transform": (math.nan,) * 9},
)  # fmt: skip


@pytest.mark.parametrize("broken", [*BROKEN, {"share_a": math.nan}, {"finer": math.nan}])
def test_a_look_that_saw_what_cannot_be_is_not_recorded(tmp_path, broken):
    with ImageIndex(tmp_path, embedder=FakeEmbedder()) as index:
        fill(index, [Shown(0, 4, 2), Shown(0, 4, 0)])
        store = RelationStore(index._store.database, index.duplicates._matches)
        (seen,) = store.all().values()
        store.put([replace(seen, **broken)])
        assert store.all() == {(1, 2): seen}


@pytest.mark.parametrize("broken", BROKEN)
def test_of_recorded_relations_that_cannot_be_nothing_goes(tmp_path, monkeypatch, broken):
    with ImageIndex(tmp_path, embedder=FakeEmbedder()) as index:
        fill(index, [Shown(0, 4, 2), Shown(0, 4, 0)])
        store = RelationStore(index._store.database, index.duplicates._matches)
        (seen,) = store.all().values()
        with monkeypatch.context() as patch:
            patch.setattr(Relation, "possible", True)
            store.put([replace(seen, **broken)])
        assert index.cleanup.plan().steps == ()
        assert [len(group.files) for group in index.duplicates.find().groups] == [2]
