"""Themes of an index: they live on from run to run, new images find them, and nothing breaks a run."""

import json
import os
import random
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import hypothesis.strategies as st
import numpy as np
import pytest
import sqlite_utils
from hypothesis import HealthCheck, given, settings

from imgindex import BusyError, ImageIndex, ImgindexError, NotIndexedError, UsageError
from imgindex.clustering.placement import Placement
from imgindex.clustering.themes import ENOUGH
from imgindex.migrations import migrations
from imgindex.search import projection as space
from imgindex.storage.database import sqlite3
from tests.conftest import FakeEmbedder, write_picture
from tests.support import ATTACK
from tests.support.processes import Adders

pytestmark = pytest.mark.usefixtures("inline")

KILLS = 100 if ATTACK else 14


def paint(path: Path, tiles) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    grey = np.clip(np.round(tiles), 0, 255).astype(np.uint8).reshape(4, 4)
    pixels = cv2.resize(grey, (16, 16), interpolation=cv2.INTER_NEAREST)
    assert cv2.imwrite(str(path), np.repeat(pixels[:, :, None], 3, 2))
    return path


def pictures(folder: Path, theme: int, numbers: range | list[int]) -> list[Path]:
    """Pictures of a theme: two tiles of the 16 are bright, and all differ a little."""
    found = []
    for number in numbers:
        tiles = 60 + 6 * np.random.default_rng([theme, number]).normal(size=16)
        tiles[[2 * theme, 2 * theme + 1]] += 150
        found.append(paint(folder / f"{theme}-{number:03}.png", tiles))
    return found


def opened(folder: Path) -> ImageIndex:
    return ImageIndex(folder / "index", embedder=FakeEmbedder())


@pytest.fixture
def index(tmp_path) -> Iterator[ImageIndex]:
    """Three themes of 12."""
    with opened(tmp_path) as index:
        for theme in range(3):
            pictures(tmp_path / "photos", theme, range(12))
        index.add([tmp_path / "photos"])
        yield index


def sql(folder: Path, statement: str, *parameters: Any) -> list[Any]:
    connection = sqlite3.connect(str(folder / "index" / "index.db"))
    try:
        with connection:
            return list(connection.execute(statement, parameters).fetchall())
    finally:
        connection.close()


def sorted_into(index: ImageIndex) -> dict[int, set[int]]:
    """What is in each theme, as numbers of `pictures`; fails when a theme has two of them."""
    found = {}
    for theme in index.themes.current().themes:
        kinds = {int(Path(image.path).name.split("-")[0]) for image in theme.images}
        assert len(kinds) == 1, [image.path for image in theme.images]
        found[kinds.pop()] = theme.id
    return found


def is_sound(index: ImageIndex) -> None:
    """All that must hold of an index at any time after a run."""
    assert index.check() == []
    found, runs = index.themes.current(), index.themes.runs()
    assert found.run == runs[0]
    assert [run.id for run in runs] == sorted((run.id for run in runs), reverse=True)
    members = [image for theme in found.themes for image in theme.images]
    assert sorted(image.id for image in members) == index._store.embeddings.ids().tolist()
    assert all(os.path.exists(image.path) for image in members)
    assert all(-1e-6 < image.distance < 2 + 1e-6 for image in members)
    sizes = index.themes._runs.sizes(runs[0].id)
    assert sum(sizes.values()) == runs[0].images
    assert len(sizes) == runs[0].k
    assert {theme.id for theme in found.themes} <= {*sizes}
    assert not found.themes or abs(sum(theme.share for theme in found.themes) - 1) < 1e-9
    old = [image for image in members if image.silhouette is not None]
    new = [image for image in members if image.silhouette is None]
    far = sum(image.distance > runs[0].far for image in new)
    assert found.drift
    assert (found.drift.images, found.drift.placed, found.drift.far) == (runs[0].images, len(new), far)
    assert found.drift.removed == runs[0].images - len(old) >= 0
    for theme in found.themes:
        assert all(abs(image.silhouette) <= 1 + 1e-6 for image in theme.images if image.silhouette is not None)
        order = [(image.silhouette is None, image.distance) for image in theme.images]
        assert order == sorted(order)


# From run to run


def test_a_run_tells_how_it_came_about(index):
    run = index.themes.recluster(why="I wanted it.")
    assert sorted_into(index).keys() == {0, 1, 2}
    assert index.themes.runs() == [run]
    assert (run.id, run.images, run.k, run.why, run.model, run.space) == (1, 36, 3, "I wanted it.", "fake", 0)
    assert [point.k for point in run.curve] == [*range(1, 13), 16]
    assert run.elbow == 3
    assert 0.8 < run.silhouette <= 1
    assert 0 < run.seconds < 60
    assert timedelta(0) <= datetime.now(UTC) - datetime.fromisoformat(run.created) < timedelta(minutes=1)
    assert run.lineage.new == (1, 2, 3)
    members = [image for theme in index.themes.current().themes for image in theme.images]
    assert sum(image.distance > run.far for image in members) == 2  # 5 percent of 36
    assert np.isclose(np.mean([image.silhouette for image in members]), run.silhouette)
    is_sound(index)
    run = index.themes.recluster(5)
    assert (run.k, run.id, len(index.themes.runs())) == (5, 2, 2)
    is_sound(index)


def test_the_same_data_give_the_same_result(tmp_path):
    rng = np.random.default_rng(3)
    for number in range(80):
        paint(tmp_path / "photos" / f"{number:02}.png", rng.integers(0, 256, 16))
    both = []
    for name in "ab":
        with opened(tmp_path / name) as index:
            index.add([tmp_path / "photos"])
            run = index.themes.recluster()
            themes = index.themes.current().themes
        both.append((run.k, run.curve, run.elbow, run.silhouette, run.far, themes))
    assert both[0] == both[1]


def test_themes_keep_their_ids_and_names(index, tmp_path):
    index.themes.recluster()
    ids = sorted_into(index)
    for kind, theme in ids.items():
        index.themes.rename(theme, f"kind {kind}")
    for theme in range(3):
        index.add(pictures(tmp_path / "photos", theme, range(12, 12 + 4 * theme)))
    index.add(pictures(tmp_path / "photos", 4, range(20)))
    run = index.themes.recluster()
    now = sorted_into(index)
    assert {kind: now[kind] for kind in range(3)} == ids
    assert now[4] == 4
    assert {theme.id: theme.name for theme in index.themes.current().themes} == {
        **{theme: f"kind {kind}" for kind, theme in ids.items()},
        4: None,
    }
    assert run.lineage.kept == (1, 2, 3)
    assert run.lineage.new == (4,)
    assert run.lineage.gone == ()
    assert run.lineage.stayed == 48
    assert run.lineage.moved == 20
    is_sound(index)


def test_an_id_is_never_used_again(index, tmp_path):
    index.themes.recluster()
    gone = sorted_into(index)[1]
    index.themes.rename(gone, "gone")
    index.remove(sorted((tmp_path / "photos").glob("1-*")))
    assert gone not in {theme.id for theme in index.themes.current().themes}
    is_sound(index)
    assert index.themes.recluster().lineage.gone == ()  # its images are no longer there to tell of it
    with pytest.raises(NotIndexedError, match=f"no theme {gone} "):
        index.themes.rename(gone, "back")
    index.add([tmp_path / "photos"])
    run = index.themes.recluster()
    assert sorted_into(index)[1] == 4
    assert run.lineage.new == (4,)
    assert [theme.name for theme in index.themes.current().themes] == [None] * 3
    assert len(index.themes.runs()) == 3
    is_sound(index)


def test_splits_and_merges_are_recorded(index):
    index.themes.recluster()
    ids = sorted_into(index)
    run = index.themes.recluster(2)
    (merge,) = run.lineage.merges
    assert len(merge[0]) == 2
    assert merge[1] in merge[0]
    assert run.lineage.gone == tuple({*merge[0]} - {merge[1]})
    assert (run.lineage.stayed, run.lineage.moved) == (24, 12)
    run = index.themes.recluster(3)
    assert run.lineage.splits == ((merge[1], tuple(sorted([merge[1], 4]))),) or run.lineage.splits == (
        (merge[1], (4, merge[1])),
    )
    assert run.lineage.new == (4,)
    assert (run.lineage.stayed, run.lineage.moved) == (24, 12)
    assert len({*sorted_into(index).values()} & {*ids.values()}) == 2
    assert index.themes.runs()[0] == run
    assert index.themes.runs()[1].lineage.merges == (merge,)


def test_nothing_moves_while_nothing_comes(index):
    index.themes.recluster()
    before = index.themes.current().themes
    run = index.themes.recluster()
    assert index.themes.current().themes == before
    assert (run.lineage.stayed, run.lineage.moved) == (36, 0)


def test_any_name_is_kept(index):
    index.themes.recluster()
    for name in "cats", "'; DROP TABLE themes; --", "é🙂", "x" * 80:
        index.themes.rename(2, name)
        assert {theme.id: theme.name for theme in index.themes.current().themes} == {1: None, 2: name, 3: None}
    index.themes.recluster()
    assert {theme.id: theme.name for theme in index.themes.current().themes} == {1: None, 2: name, 3: None}


def test_a_name_is_one_line_and_short(index):
    index.themes.recluster()
    index.themes.rename(2, " cats\n and\0\x1b\u0085dogs\u2028" + " " * 100)
    assert index.themes.current().themes[1].name == "cats and dogs"
    with pytest.raises(UsageError, match=r"81 letters is too long.*80"):
        index.themes.rename(2, "x" * 81)
    assert index.themes.current().themes[1].name == "cats and dogs"


def test_themes_are_counted(index):
    assert index.themes.count() == 0
    index.themes.recluster()
    assert index.themes.count() == 3
    index.themes.recluster(2)
    assert index.themes.count() == 2
    index.remove([member.id for member in index.themes.current().themes[0].images])
    assert index.themes.count() == len(index.themes.current().themes) == 1


@pytest.mark.parametrize("nothing", ["", " \n\0", None])
def test_a_name_is_taken_back(index, nothing):
    index.themes.recluster()
    index.themes.rename(2, "cats")
    index.themes.rename(2, nothing)
    assert {theme.name for theme in index.themes.current().themes} == {None}


def test_a_name_that_is_no_text(index):
    """As the shell gives it in another encoding."""
    index.themes.recluster()
    with suppress(UsageError):
        index.themes.rename(1, os.fsdecode(b"caf\xe9"))
    name = next(theme for theme in index.themes.current().themes if theme.id == 1).name
    assert name is None or name.encode().startswith(b"caf")


@pytest.mark.parametrize("theme", [0, -1, 4, 2**70])
def test_only_a_theme_has_a_name(index, theme):
    with pytest.raises(NotIndexedError, match=f"theme {theme} "):
        index.themes.rename(theme, "none")
    index.themes.recluster()
    with pytest.raises(NotIndexedError, match=f"theme {theme} "):
        index.themes.rename(theme, "none")


# Placing


def test_what_comes_is_placed_at_once(index, tmp_path):
    index.themes.recluster()
    ids = sorted_into(index)
    with opened(tmp_path) as other:
        for adder, theme in (index, 0), (other, 1), (other, 2):
            adder.add(pictures(tmp_path / "photos", theme, range(12, 18)))
            for asked in index, other:
                assert sorted_into(asked) == ids
                is_sound(asked)
    drift = index.themes.current().drift
    assert (drift.images, drift.placed, drift.removed) == (36, 18, 0)
    assert drift.growth == 0.5
    assert drift.far_share == drift.far / 18


def nearest(index: ImageIndex, path: str) -> tuple[int, float]:
    """Where a picture belongs, computed from what the run recorded."""
    _, vectors = index._store.embeddings.of([file.image for file in index._store.images.files_at([path])])
    fitted, themes, centroids = index.themes._runs.projection(index.themes.runs()[0].id)
    distances = 1 - (space.themes(vectors, fitted) @ centroids.T)[0]
    return int(themes[distances.argmin()]), float(distances.min())


def test_another_process_places_by_the_newest_run(index, tmp_path):
    with opened(tmp_path) as other:
        for number, k in enumerate((3, 5, 2), 20):
            index.themes.recluster(k)
            other.add([added := pictures(tmp_path / "photos", number % 3, [number])[0]])
            is_sound(index)
            at = {
                image.path: (theme.id, image.distance)
                for theme in index.themes.current().themes
                for image in theme.images
                if image.silhouette is None
            }
            theme, distance = nearest(index, str(added))
            assert at[str(added)][0] == theme
            assert abs(at[str(added)][1] - distance) < 1e-6
            assert len(at) == 1


def test_the_run_places_as_adding_does(index):
    """The nearest centroid, in the projection of the run."""
    index.themes.recluster(6)
    for theme in index.themes.current().themes:
        for image in theme.images:
            own, distance = nearest(index, image.path)
            assert own == theme.id
            assert abs(distance - image.distance) < 1e-5


def test_without_a_run_nothing_is_placed(index):
    found = index.themes.current()
    assert (found.run, found.themes, found.drift) == (None, (), None)
    assert index.themes.runs() == []
    assert index.check() == []
    assert sql(index.folder.parent, "SELECT count(*) FROM placements") == [(0,)]


def test_what_is_removed_leaves_its_theme(index, tmp_path):
    index.themes.recluster()
    index.add(pictures(tmp_path / "photos", 0, range(12, 15)))
    index.remove(sorted((tmp_path / "photos").glob("0-*"))[10:14])
    drift = index.themes.current().drift
    assert (drift.images, drift.placed, drift.removed) == (36, 1, 2)
    is_sound(index)
    index.remove([tmp_path / "photos"])
    found = index.themes.current()
    assert found.themes == ()
    assert (found.drift.placed, found.drift.removed, found.drift.growth, found.drift.far_share) == (0, 36, 0, 0)
    assert index.check() == []
    with pytest.raises(NotIndexedError, match="empty"):
        index.themes.recluster()
    assert len(index.themes.runs()) == 1
    index.add([tmp_path / "photos"])
    assert sorted_into(index).keys() == {0, 1, 2}


def test_a_picture_that_changes_is_placed_anew(index, tmp_path):
    index.themes.recluster()
    ids = sorted_into(index)
    path = pictures(tmp_path / "other", 2, [99])[0]
    shutil.copy(path, tmp_path / "photos" / "0-000.png")
    index.sync()
    index.add([tmp_path / "photos"])
    theme = {image.path: theme.id for theme in index.themes.current().themes for image in theme.images}
    assert theme[str(tmp_path / "photos" / "0-000.png")] == ids[2]
    drift = index.themes.current().drift
    assert (drift.placed, drift.removed) == (1, 1)


def test_copies_are_one_image(index, tmp_path):
    index.themes.recluster()
    shutil.copy(tmp_path / "photos" / "0-000.png", tmp_path / "photos" / "0-again.png")
    index.add([tmp_path / "photos"])
    drift = index.themes.current().drift
    assert (drift.placed, drift.removed) == (0, 0)
    is_sound(index)


def test_an_image_that_is_read_again_stays_of_the_run(index, tmp_path):
    """As when an older index is brought its local features."""
    index.themes.recluster()
    before = index.themes.current()
    sql(tmp_path, "DELETE FROM features")
    index.add([tmp_path / "photos"])
    assert index.themes.current() == before
    assert index.check() == []


def test_far_ones_are_counted(index, tmp_path):
    run = index.themes.recluster()
    index.add(pictures(tmp_path / "photos", 0, range(12, 32)))
    near = index.themes.current().drift
    assert near.placed == 20
    index.add(pictures(tmp_path / "photos", 5, range(10)))
    drift = index.themes.current().drift
    assert (drift.placed, drift.far) == (30, near.far + 10)
    assert drift.far_share == drift.far / 30
    strangers = [
        image.distance
        for theme in index.themes.current().themes
        for image in theme.images
        if Path(image.path).name.startswith("5-")
    ]
    assert min(strangers) > 2 * run.far


def test_an_image_without_a_theme_is_noticed_and_mended(index, tmp_path):
    index.themes.recluster()
    ids = sorted_into(index)
    sql(tmp_path, "DELETE FROM placements WHERE image IN (3, 20)")
    (problem,) = index.check()
    assert "2 images have no theme" in problem
    index.repair()
    assert sorted_into(index) == ids
    is_sound(index)
    sql(tmp_path, "DELETE FROM placements")
    assert "36 images" in index.check()[0]
    index.themes.recluster()
    assert sorted_into(index).keys() == {0, 1, 2}
    is_sound(index)


# When it is due


def age(folder: Path, **past: float) -> None:
    """Set the last run back in time."""
    (created,) = sql(folder, "SELECT created FROM runs WHERE id = (SELECT max(id) FROM runs)")[0]
    then = datetime.fromisoformat(created) - timedelta(**past)
    sql(folder, "UPDATE runs SET created = ? WHERE id = (SELECT max(id) FROM runs)", then.isoformat(timespec="seconds"))


def test_due_before_any_run(index):
    assert "first" in index.themes.due()
    index.themes.recluster()
    assert index.themes.due() is None


def test_due_by_schedule_when_something_changed(index, tmp_path):
    index.themes.recluster()
    age(tmp_path, days=8)
    assert index.themes.due("7d") is None  # nothing came
    (added,) = pictures(tmp_path / "photos", 0, [12])
    index.add([added])
    assert "7d" in index.themes.due("7d")
    assert "7d" in index.themes.due()
    assert "* * * * *" in index.themes.due("* * * * *")
    assert index.themes.due("9d") is None
    index.remove([added])
    assert index.themes.due("7d") is None
    index.remove([tmp_path / "photos" / "0-000.png"])
    assert "7d" in index.themes.due("7d")
    index.themes.recluster()
    assert index.themes.due("7d") is None
    index.add([added])
    assert index.themes.due("7d") is None


def test_due_by_drift(index, tmp_path):
    for theme in range(3):
        index.add(pictures(tmp_path / "photos", theme, range(12, 40)))
    index.themes.recluster()
    far = pictures(tmp_path / "photos", 6, range(ENOUGH))
    index.add(far[: ENOUGH - 1])
    assert index.themes.current().drift.far == ENOUGH - 1
    assert index.themes.due("9w") is None  # too few to tell
    index.add(far)
    assert f"{ENOUGH} of the {ENOUGH} images" in index.themes.due("9w")
    index.themes.recluster()
    assert index.themes.due("9w") is None
    index.add(pictures(tmp_path / "photos", 6, range(ENOUGH, 2 * ENOUGH)))
    index.add(pictures(tmp_path / "photos", 0, range(40, 60)))
    assert index.themes.due("9w") is None  # many, but near
    assert index.themes.current().drift.placed == 2 * ENOUGH


def test_due_by_growth(index, tmp_path):
    index.themes.recluster()
    added = [path for theme in range(3) for path in pictures(tmp_path / "photos", theme, range(12, 18))]
    index.add(added[:17])
    assert index.themes.due() is None
    index.add(added)
    assert "18 images came" in index.themes.due()


def test_due_of_an_empty_index(tmp_path):
    """There is nothing to cluster, so it would only fail."""
    with opened(tmp_path) as index:
        assert index.themes.due() is None
        index.add(pictures(tmp_path / "photos", 0, range(4)))
        index.themes.recluster()
        index.remove([tmp_path / "photos"])
        age(tmp_path, days=30)
        assert index.themes.due() is None


def test_due_refuses_what_is_no_schedule(index, tmp_path):
    for _ in range(2):
        with pytest.raises(UsageError, match='"soon"'):
            index.themes.due("soon")
        index.themes.recluster()
    index.add(pictures(tmp_path / "photos", 0, [50]))
    with pytest.raises(UsageError, match='"soon"'):
        index.themes.due("soon")


# Bad input


def test_an_empty_index_says_so(tmp_path):
    with opened(tmp_path) as index:
        for clusters in None, 1:
            with pytest.raises(NotIndexedError, match="empty") as error:
                index.themes.recluster(clusters)
            assert "\n" not in str(error.value)
        assert index.themes.current().run is None
        assert index.themes.runs() == []


@pytest.mark.parametrize("clusters", [0, -1, 37, 2**70])
def test_a_number_of_clusters_that_cannot_be(index, clusters):
    with pytest.raises(UsageError, match=f"{clusters}.* 1 to 36"):
        index.themes.recluster(clusters)
    assert index.themes.runs() == []


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_very_few_images(tmp_path, count):
    with opened(tmp_path) as index:
        index.add([write_picture(tmp_path / "photos" / f"{seed}.png", seed) for seed in range(count)])
        for clusters in None, 1, count:
            run = index.themes.recluster(clusters)
            assert run.k == clusters or (clusters is None and 1 <= run.k <= count)
            is_sound(index)
        with pytest.raises(UsageError):
            index.themes.recluster(count + 1)
        index.add([write_picture(tmp_path / "photos" / "more.png", 77)])
        is_sound(index)


@pytest.mark.parametrize(
    "greys", [[0], [0, 100], [100, 200], [1, 2, 4, 8, 16, 32, 64, 128], range(1, 250, 7), range(250)]
)
def test_pictures_of_one_colour(tmp_path, greys):
    """Their embeddings differ in length only."""
    with opened(tmp_path) as index:
        index.add([paint(tmp_path / "photos" / f"{grey}.png", np.full(16, grey)) for grey in greys])
        run = index.themes.recluster()
        assert run.images == len(greys)
        assert abs(run.silhouette) <= 1
        assert index.themes.recluster(len(greys)).k <= len(greys)
        assert sum(len(theme.images) for theme in index.themes.current().themes) == len(greys)
        index.add([write_picture(tmp_path / "photos" / "more.png", 3)])
        assert index.themes.current().drift.placed == 1


def test_identical_pictures_in_other_bytes(tmp_path):
    with opened(tmp_path) as index:
        tiles = np.arange(0, 240, 15)
        for number in range(30):
            path = paint(tmp_path / "photos" / f"{number:02}.png", tiles)
            path.write_bytes(path.read_bytes() + b"%d" % number)
        index.add([tmp_path / "photos"])
        run = index.themes.recluster()
        assert (run.images, run.k, run.silhouette, run.elbow) == (30, 1, 0, None)
        is_sound(index)
        assert index.themes.recluster(9).k == 1
        path = paint(tmp_path / "photos" / "more.png", tiles)
        path.write_bytes(path.read_bytes() + b"more")
        index.add([path])
        drift = index.themes.current().drift
        assert (drift.placed, drift.far) == (1, 0)


class Scaled(FakeEmbedder):
    scale = 1.0

    def embed(self, pixels):
        return super().embed(pixels) * np.float32(self.scale)


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_embeddings_of_any_length(tmp_path, monkeypatch, scale):
    monkeypatch.setattr(Scaled, "scale", scale)
    with ImageIndex(tmp_path / "index", embedder=Scaled()) as index:
        for theme in range(3):
            index.add(pictures(tmp_path / "photos", theme, range(8)))
        index.themes.recluster()
        assert sorted_into(index).keys() == {0, 1, 2}
        is_sound(index)


def test_one_picture_unlike_all_others(tmp_path):
    with opened(tmp_path) as index:
        index.add(pictures(tmp_path / "photos", 0, range(30)))
        index.add([paint(tmp_path / "photos" / "7-odd.png", [0, 255] * 8)])
        index.themes.recluster()
        is_sound(index)


# At the same time


def test_two_at_once(index, tmp_path):
    refused = []

    def again(*_: int) -> None:
        for one in index, other:
            with pytest.raises(BusyError, match="nother recluster") as error:
                one.themes.recluster()
            refused.append(str(error.value))
        assert other.themes.current().run is None

    with opened(tmp_path) as other:
        run = index.themes.recluster(progress=again)
        assert len(refused) >= 20
        assert other.themes.runs() == [run]
        assert other.themes.recluster().id == 2


def test_a_run_that_fails_changes_nothing(index):
    index.themes.recluster()
    before = index.themes.current()

    def fail(done: int, of: int) -> None:
        if done == of:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        index.themes.recluster(2, progress=fail)
    assert index.themes.current() == before
    assert index.themes.recluster(2).k == 2


def test_a_run_that_fails_at_its_end_is_forgotten_whole(index, tmp_path, monkeypatch):
    """What was learnt of it while it was published, too: another process' run gets its number."""
    index.themes.recluster(2)
    before = index.themes.current().themes
    whole = Placement.place

    def place(self, *arguments: Any) -> None:
        whole(self, *arguments)
        raise ImgindexError("the disk is full")

    def come(done: int, of: int) -> None:
        if done == of:
            index.add(pictures(tmp_path / "photos", 5, range(3)))
            monkeypatch.setattr(Placement, "place", place)

    with pytest.raises(ImgindexError, match="full"):
        index.themes.recluster(8, progress=come)
    monkeypatch.setattr(Placement, "place", whole)
    assert {theme.id for theme in index.themes.current().themes} == {theme.id for theme in before}
    assert len(index.themes.runs()) == 1
    is_sound(index)
    with opened(tmp_path) as other:
        assert other.themes.recluster(2).id == 2
    index.add(pictures(tmp_path / "photos", 0, range(40, 43)))
    is_sound(index)
    for image in (image for theme in index.themes.current().themes for image in theme.images):
        assert abs(nearest(index, image.path)[1] - image.distance) < 1e-5


def test_what_comes_and_goes_while_a_run_is_made(index, tmp_path):
    index.themes.recluster()

    def change(done: int, _: int) -> None:
        if done == 2:
            other.add(pictures(tmp_path / "photos", 0, range(20, 30)))
            other.remove(sorted((tmp_path / "photos").glob("1-*"))[:4])
            other.themes.rename(1, "named meanwhile")

    with opened(tmp_path) as other:
        run = index.themes.recluster(5, progress=change)
    assert run.images == 36
    for theme in index.themes.current().themes:
        for image in theme.images:
            own, distance = nearest(index, image.path)
            assert own == theme.id
            assert abs(distance - image.distance) < 1e-5
    drift = index.themes.current().drift
    assert (drift.images, drift.placed, drift.removed) == (36, 10, 4)
    assert {theme.id: theme.name for theme in index.themes.current().themes}[1] == "named meanwhile"
    assert index.check() == []
    assert index.themes.recluster().images == 42
    is_sound(index)


@pytest.mark.parametrize("when", ["ids", "matrix", "placed", "state"])
def test_all_that_there_is_goes_while_a_run_is_made(index, tmp_path, monkeypatch, when):
    owner = index.themes._runs if when == "placed" else index._store.embeddings
    whole = getattr(owner, when)

    def then(*arguments: Any) -> Any:
        found = whole(*arguments)
        monkeypatch.undo()
        with opened(tmp_path) as other:
            other.remove([tmp_path / "photos"])
        return found

    monkeypatch.setattr(owner, when, then)
    with suppress(NotIndexedError):  # a run of what was there is as good
        index.themes.recluster()
    assert index.themes.current().themes == ()
    assert index.check() == []


@pytest.mark.usefixtures("index")
def test_an_index_from_before_there_were_themes(tmp_path):
    folder = tmp_path / "old" / "index"
    folder.mkdir(parents=True)
    database = sqlite_utils.Database(folder / "index.db")
    migrations.apply(database, stop_before="m003_themes")
    database.attach("new", tmp_path / "index" / "index.db")
    for table in ("model", "images", "vectors", "features", "files", "folders"):
        columns = ", ".join(database[table].columns_dict)
        database.execute(f"INSERT OR REPLACE INTO {table} SELECT {columns} FROM new.{table}")
    database.conn.commit()
    database.close()
    with opened(tmp_path / "old") as old:
        assert old.check() == []
        assert old.themes.current().run is None
        assert "first" in old.themes.due()
        old.add(pictures(tmp_path / "photos", 1, [60]))
        assert old.themes.recluster().k == 3
        assert sorted_into(old).keys() == {0, 1, 2}
        is_sound(old)


# Any history

KINDS = st.integers(0, 4)
STEPS = st.one_of(
    st.tuples(st.just("add"), KINDS, st.integers(0, 5), st.integers(1, 6)),
    st.tuples(st.just("remove"), KINDS, st.integers(0, 5), st.integers(1, 6)),
    st.tuples(st.just("recluster"), st.none() | st.integers(1, 6)),
    st.tuples(st.just("name"), st.integers(0, 30), st.sampled_from(["one", "two", ""])),
)


@settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(STEPS, min_size=4, max_size=15))
def test_after_any_history(tmp_path_factory, steps):
    root = tmp_path_factory.mktemp("any")
    names: dict[int, str | None] = {}
    used: set[int] = set()
    with opened(root) as index:
        index.add(pictures(root / "photos", 0, range(2)))
        for step, *arguments in steps:
            current = {theme.id for theme in index.themes.current().themes}
            if step == "add":
                kind, start, count = arguments
                index.add(pictures(root / "photos", kind, range(start, start + count)))
                assert {theme.id for theme in index.themes.current().themes} <= used
            elif step == "remove":
                kind, start, count = arguments
                paths = [str(root / "photos" / f"{kind}-{number:03}.png") for number in range(start, start + count)]
                index.remove([file.path for file in index._store.images.files_at(paths)])
            elif step == "recluster" and len(index._store.embeddings.ids()):
                clusters = arguments[0] and min(arguments[0], index.counts().images)
                placed = index.themes._runs.placed()
                run = index.themes.recluster(clusters)
                assert run.k == clusters or clusters is None
                now = {theme.id for theme in index.themes.current().themes}
                assert now - current <= {*run.lineage.new}
                assert {*run.lineage.new} == now - current
                assert not {*run.lineage.new} & used
                assert run.lineage.stayed + run.lineage.moved == len(placed)
                assert run.lineage.stayed == sum(
                    index.themes._runs.placed()[image] == at for image, at in placed.items()
                )
                used |= now
            elif step == "name" and current:
                theme = sorted(current)[arguments[0] % len(current)]
                index.themes.rename(theme, arguments[1])
                names[theme] = arguments[1] or None
            if index.themes.runs():
                is_sound(index)
            assert all(theme.name == names.get(theme.id) for theme in index.themes.current().themes)
    shutil.rmtree(root)


# Killed


class Reclusterers(Adders):
    """Starts jobs of tests/support/reclusterer.py."""

    SCRIPT = "reclusterer.py"


@pytest.fixture(scope="module")
def reclusterers(tmp_path_factory) -> Iterator[Reclusterers]:
    found = Reclusterers(tmp_path_factory.mktemp("jobs"))
    yield found
    found.close()


def content(folder: Path) -> dict[str, list[Any]]:
    """All that the database says of themes."""
    return {
        table: sql(folder, f"SELECT * FROM {table} ORDER BY 1, 2")
        for table in ("runs", "themes", "run_themes", "placements")
    }


def is_old_or_whole(folder: Path, before: dict[str, list[Any]]) -> bool:
    """Whether there is a new run, after a look that it is whole; otherwise all must be as before."""
    after = content(folder)
    if len(after["runs"]) == len(before["runs"]):
        assert after == before
        return False
    assert len(after["runs"]) == len(before["runs"]) + 1
    assert [row[:-3] for row in after["runs"][:-1]] == [row[:-3] for row in before["runs"]]
    assert [any(row[-3:]) for row in after["runs"]] == [False] * len(before["runs"]) + [True]
    run = after["runs"][-1][0]
    assert [row for row in after["run_themes"] if row[0] != run] == before["run_themes"]
    sizes = {theme: size for number, theme, size, _ in after["run_themes"] if number == run}
    assert Counter(theme for _, theme, *_ in after["placements"]) == sizes
    assert after["themes"][: len(before["themes"])] == before["themes"]
    assert {*sizes} <= {theme for theme, _ in after["themes"]}
    new = {theme for theme, _ in after["themes"]} - {theme for theme, _ in before["themes"]}
    assert new == {*json.loads(after["runs"][-1][12])["new"]}
    return True


@pytest.mark.attack
def test_killed_at_any_moment(reclusterers, index, tmp_path):
    dice = random.Random(int(os.environ.get("CRASH_SEED", "1")))
    statements, run = 30, index.themes.recluster()
    index.themes.rename(1, "one")
    index.add(pictures(tmp_path / "photos", 0, range(12, 20)))
    candidates = len(run.curve)
    kills: Counter[str] = Counter()
    published = 0
    while kills.total() < KILLS or min(kills[word] for word in ("start", "candidate", "sql")) < 4:
        before, k = content(tmp_path), dice.randint(2, 9)
        word = dice.choice(["start", "candidate", "sql", "sql"])
        nth = {"start": 1, "candidate": dice.randint(1, candidates), "sql": dice.randint(1, statements)}[word]
        job = reclusterers.start("recluster", index=tmp_path / "index", clusters=k)
        job.listen(lambda job=job, word=word, nth=nth: len(job.told(word)) >= nth, 60)
        job.listen(seconds=dice.uniform(0, {"start": 0.05, "candidate": 0.01, "sql": 0.002}[word]))
        os.kill(job.pid, signal.SIGKILL)
        killed = job.wait() == -signal.SIGKILL
        assert killed or job.code == 0, job.errors
        assert job.errors == ""
        kills[word] += killed
        statements = max(statements, len(job.told("sql")))
        new = is_old_or_whole(tmp_path, before)
        published += new
        assert new or not job.told("run")
        is_sound(index)
        if dice.random() < 0.3:
            run = index.themes.recluster(k)
            assert run.k == k
            assert run.id == len(index.themes.runs())
            is_sound(index)
    print(f"{dict(kills)} kills, {published} runs published, {statements} statements")
    assert {theme.name for theme in index.themes.current().themes} <= {"one", None}


def test_runs_beside_adders(reclusterers, tmp_path):
    """Two processes recluster, two add and one adds and forgets; every image has its theme at each moment."""
    paths = [path for theme in range(4) for path in pictures(tmp_path / "photos", theme, range(20))]
    random.Random(2).shuffle(paths)
    folder = tmp_path / "index"
    with opened(tmp_path) as index:
        index.add(paths[:10])
    work = [
        *(reclusterers.start("reclusters", index=folder, rounds=12) for _ in range(2)),
        *(reclusterers.start("singly", index=folder, paths=half) for half in (paths[10:40], paths[40:70])),
        reclusterers.start("churn", index=folder, paths=paths[70:], rounds=8),
    ]
    codes = [job.wait() for job in work]
    assert [job.errors for job in work] == [""] * 5
    assert codes == [0] * 5
    with opened(tmp_path) as index:
        is_sound(index)
        ids = [int(line) for job in work[:2] for line in job.told("run")]
        assert sorted(ids) == [run.id for run in reversed(index.themes.runs())]
        assert len({*ids}) == len(ids) > 2
        assert index.themes.recluster().images == 70
        assert sorted_into(index).keys() == {0, 1, 2, 3}
