"""Duplicates of an index with a fake embedder and real geometry: any history gives the groups of a fresh index."""

import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
import sqlite_utils
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imgindex import ImageIndex, NotIndexedError, UsageError
from imgindex.duplicates.candidates import NEAREST
from imgindex.migrations import migrations
from tests.conftest import FakeEmbedder, write_picture


class Embedder(FakeEmbedder):
    """The same for a picture and its mirror image."""

    def embed(self, pixels):
        return super().embed(pixels) + super().embed(pixels[:, :, ::-1])


def _edits(image):
    rows, columns = image.shape[:2]
    yield "plain", image
    yield "crop", image[rows // 8 :, columns // 8 :]
    yield "mirrored", image[:, ::-1]
    yield "small", cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="module")
def album(tmp_path_factory) -> Path:
    """5 photos with edits, blank and noisy pictures, and small patterns."""
    folder = tmp_path_factory.mktemp("album")
    for name in ("astronaut", "coffee", "chelsea", "rocket", "camera"):
        image = getattr(skimage.data, name)()
        image = image if image.ndim == 2 else np.ascontiguousarray(image[..., ::-1])
        for edit, edited in _edits(image):
            cv2.imwrite(str(folder / f"{name}-{edit}.png"), edited)
    for grey in (10, 20, 200):
        cv2.imwrite(str(folder / f"blank{grey}.png"), np.full((300, 400), grey, np.uint8))
    for seed in range(4):
        noise = np.random.default_rng(seed).integers(0, 256, (200, 300), np.uint8)
        cv2.imwrite(str(folder / f"noise{seed}.png"), noise)
        write_picture(folder / f"pattern{seed}.png", seed)
    cv2.imwrite(str(folder / "same.bmp"), cv2.imread(str(folder / "blank10.png")))  # the same pixels, other bytes
    shutil.copy(folder / "coffee-plain.png", folder / "coffee-again.png")
    return folder


def groups(index: ImageIndex) -> set[frozenset[str]]:
    return {frozenset(Path(file.path).name for file in group.files) for group in index.duplicates.find().groups}


@pytest.fixture(scope="module")
def expected(album, tmp_path_factory) -> set[frozenset[str]]:
    with ImageIndex(tmp_path_factory.mktemp("fresh"), embedder=Embedder()) as index:
        index.add([album])
        return groups(index)


def test_photos_and_their_edits_are_groups(expected):
    for name in ("astronaut", "chelsea", "rocket", "camera"):
        assert {f"{name}-{edit}.png" for edit in ("plain", "crop", "mirrored", "small")} in expected
    assert {"blank10.png", "same.bmp"} in expected
    assert len(expected) == 6  # and coffee; none of blanks, noise or patterns


@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_order_of_adds_and_removes_gives_the_groups_of_a_fresh_index(album, expected, tmp_path_factory, data):
    paths = sorted(album.iterdir())
    with ImageIndex(tmp_path_factory.mktemp("any"), embedder=Embedder()) as index:
        left = data.draw(st.permutations(paths))
        while left:
            size = data.draw(st.integers(1, len(left)))
            index.add(left[:size])
            left = left[size:]
            if data.draw(st.booleans()):
                gone = data.draw(st.lists(st.sampled_from(paths), max_size=6, unique=True))
                known = [path for path in gone if index._store.images.files_at([str(path)])]
                index.remove(known)
                left += known
        assert groups(index) == expected
        assert index.check(full=True) == []


def test_lists_hold_each_images_nearest(album, tmp_path):
    """After any history; with more images than a list holds."""
    paths = sorted(album.iterdir())
    with ImageIndex(tmp_path / "index", embedder=Embedder()) as index:
        for path in paths:
            index.add([path])
        index.remove(paths[5:9])
        ids, vectors = index._store.embeddings.of(index._store.embeddings.ids().tolist())
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        cosines = unit @ unit.T
        np.fill_diagonal(cosines, -2)
        assert len(ids) > NEAREST + 5
        for image, row, near in zip(
            ids.tolist(), cosines, index.duplicates._matches.nearest(ids.tolist()).values(), strict=True
        ):
            last = np.sort(row)[-NEAREST]
            assert len(near) == NEAREST, image
            assert all(row[ids == other] >= last - 1e-5 for other, _ in near)


def test_a_group_keeps_its_id_while_it_lives(album, tmp_path):
    with ImageIndex(tmp_path / "index", embedder=Embedder()) as index:
        index.add([album / "rocket-plain.png", album / "rocket-small.png"])
        (first,) = index.duplicates.find().groups
        index.add([album])
        again = next(g for g in index.duplicates.find().groups if any("rocket" in file.path for file in g.files))
        assert again.id == first.id
        assert len(again.files) == 4
        index.remove([album / "rocket-plain.png", album / "rocket-small.png"])
        assert first.id in {group.id for group in index.duplicates.find().groups}
        index.remove([album / "rocket-crop.png"])
        ids = {group.id for group in index.duplicates.find().groups}
        assert first.id not in ids
        index.add([album])
        new = {group.id for group in index.duplicates.find().groups} - ids
        assert len(new) == 1
        assert new != {first.id}


def test_decisions_outlive_everything(album, tmp_path):
    one, two = album / "chelsea-plain.png", album / "chelsea-mirrored.png"
    with ImageIndex(tmp_path / "index", embedder=Embedder()) as index:
        index.add([album])
        index.duplicates.mark_different(one, [two], pairwise=True)
        index.duplicates.prefer([album / "rocket-small.png"])
        for _ in range(2):
            apart = [group for group in groups(index) if {one.name, two.name} & group]
            assert not any({one.name, two.name} <= group for group in apart)
            kept = next(g for g in index.duplicates.find().groups if any("rocket" in file.path for file in g.files))
            assert kept.files[0].path.endswith("rocket-small.png")
            assert kept.why == "you chose it"
            assert index.check(full=True) == []
            index.remove([album])
            index.add([album])
        index.duplicates.mark_different(two, [one], pairwise=True, forget=True)
        index.duplicates.prefer([album / "rocket-small.png"], forget=True)
        assert any({one.name, two.name} <= group for group in groups(index))
        with pytest.raises(UsageError, match="at least two"):
            index.duplicates.mark_different(one, [])
        with pytest.raises(UsageError, match="same bytes"):
            index.duplicates.mark_different(album / "coffee-plain.png", [album / "coffee-again.png"], pairwise=True)
        with pytest.raises(NotIndexedError):
            index.duplicates.mark_different(one, [tmp_path / "none.png"], pairwise=True)
        with pytest.raises(NotIndexedError):
            index.duplicates.prefer([tmp_path / "none.png"])


def rockets(index: ImageIndex):
    return next(g for g in index.duplicates.find().groups if any("rocket" in file.path for file in g.files))


def test_a_later_choice_replaces_the_one_before_at_once(album, tmp_path, monkeypatch):
    with ImageIndex(tmp_path / "index", embedder=Embedder()) as index:
        index.add([album])
        paths = [file.path for file in rockets(index).files]
        for path in (paths[0], paths[-1], paths[1]):
            index.duplicates.prefer([path], instead_of=paths)
            assert index.duplicates._matches.keepers() == {path}
            assert rockets(index).files[0].path == path
        with pytest.raises(NotIndexedError):
            index.duplicates.prefer([tmp_path / "none.png"], instead_of=paths)
        monkeypatch.setattr(index.duplicates._matches, "put_keepers", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            index.duplicates.prefer([paths[0]], instead_of=paths)
        assert index.duplicates._matches.keepers() == {paths[1]}
        index.duplicates.prefer(paths, forget=True)
        assert index.duplicates._matches.keepers() == set()


def test_one_image_is_set_apart_from_others_or_from_none(album, tmp_path):
    with ImageIndex(tmp_path / "index", embedder=Embedder()) as index:
        index.add([album])
        one, *others = (file.image for file in rockets(index).files)
        index.duplicates.mark_different(others[0], others[1:2])
        index.duplicates.mark_different(one, others)
        told = {frozenset(pair) for pair in index.duplicates._matches.different()}
        assert told == {frozenset(others[:2])} | {frozenset({one, other}) for other in others}
        with pytest.raises(NotIndexedError):
            index.duplicates.mark_different(one, [others[0], 99], forget=True)
        with pytest.raises(UsageError, match="at least two"):
            index.duplicates.mark_different(one, [])
        assert {frozenset(pair) for pair in index.duplicates._matches.different()} == told
        index.duplicates.mark_different(one, others, forget=True)
        assert {frozenset(pair) for pair in index.duplicates._matches.different()} == {frozenset(others[:2])}


def test_no_original_is_needed(album, tmp_path, expected):
    pictures = shutil.copytree(album, tmp_path / "drive")
    with ImageIndex(tmp_path / "index", embedder=Embedder()) as index:
        index.add([pictures])
    shutil.rmtree(pictures)
    with ImageIndex(tmp_path / "index") as index:
        assert groups(index) == expected
        assert index.check(full=True) == []


def test_a_wrong_verdict_is_noticed_and_mended(album, tmp_path, expected):
    with ImageIndex(tmp_path / "index", embedder=Embedder()) as index:
        index.add([album])
        index.duplicates.prove()
        index._store.database.write("UPDATE pairs SET kind = 'none' WHERE kind = 'copy'", [()])
        assert len(index.check(full=True)) == 2
        assert index.check() == []
        index.repair(full=True)
        assert index.check(full=True) == []
        assert groups(index) == expected


def test_the_file_to_keep(album, tmp_path):
    photo, folder = cv2.imread(str(album / "astronaut-plain.png")), tmp_path / "p"
    folder.mkdir()
    cv2.imwrite(str(folder / "large.jpg"), photo, [cv2.IMWRITE_JPEG_QUALITY, 50])
    cv2.imwrite(str(folder / "better.jpg"), photo, [cv2.IMWRITE_JPEG_QUALITY, 95])
    shutil.copy(album / "astronaut-small.png", folder / "half.png")
    shutil.copy(folder / "better.jpg", folder / "better (1).jpg")
    os.utime(folder / "better (1).jpg", (1, 1))
    with ImageIndex(tmp_path / "index", embedder=Embedder()) as index:
        index.add([folder])
        (group,) = index.duplicates.find().groups
        names = [Path(file.path).name for file in group.files]
        assert names == ["better (1).jpg", "better.jpg", "large.jpg", "half.png"]
        assert [file.stays for file in group.files] == [True, False, False, False]
        (group,) = index.duplicates.find(keep=["path"]).groups
        assert [Path(file.path).name for file in group.files if file.stays] == ["better.jpg"]
        with pytest.raises(UsageError, match="colour"):
            index.duplicates.find(keep=["colour"])


def test_the_report_tells_what_changed(album, tmp_path):
    with ImageIndex(tmp_path / "index", embedder=Embedder()) as index:
        index.add([album / "astronaut-plain.png", album / "astronaut-small.png", album / "noise0.png"])
        first = index.reports.make()
        assert (first.images, first.files, first.redundant, first.groups) == (3, 3, 1, 1)
        assert first.since_last is None
        assert [(Path(f.path), f.files, f.redundant) for f in first.folders] == [(album, 3, 1)]
        index.add([album])
        second = index.reports.make()
        assert second.since_last is not None
        assert len(second.since_last.new) == 5
        assert second.since_last.grown == (index.duplicates.find().groups[-1].id,) or len(second.since_last.grown) == 1
        assert second.since_last.gone == ()
        index.remove([album])
        last = index.reports.make()
        assert last.since_last is not None
        assert len(last.since_last.gone) == 6
        assert (last.percent, last.redundant) == (0, 0)


def test_strips_and_thumbnails_of_an_older_index_are_described_anew(album, tmp_path):
    folder = tmp_path / "index"
    for name, width, height in (("strip", 1500, 100), ("thumbnail", 60, 45)):
        assert cv2.imwrite(
            str(album / f"{name}.png"), np.random.default_rng(1).integers(0, 9, (height, width), np.uint8)
        )
    with ImageIndex(folder, embedder=Embedder()) as index:
        index.add([album])
    database = sqlite_utils.Database(folder / "index.db")
    known = database.execute("SELECT count(*) FROM features").fetchone()[0]
    database.execute("DELETE FROM _sqlite_migrations WHERE name = 'm005_strips'")
    database.conn.commit()
    database.close()
    with ImageIndex(folder, embedder=Embedder()) as index:
        database = sqlite_utils.Database(folder / "index.db")
        assert database.execute("SELECT count(*) FROM features").fetchone()[0] <= known - 2
        assert index.add([album]).unchanged == len(list(album.iterdir()))
        assert database.execute("SELECT count(*) FROM features").fetchone()[0] == known
        assert index.check(full=True) == []
        database.close()


def test_an_index_from_before_there_were_features(album, tmp_path, expected):
    """It opens, says so, and the next add makes it good."""
    folder = tmp_path / "index"
    with ImageIndex(tmp_path / "new", embedder=Embedder()) as index:
        index.add([album])
    folder.mkdir()
    database = sqlite_utils.Database(folder / "index.db")
    migrations.apply(database, stop_before="m002_duplicates")
    database.attach("new", tmp_path / "new" / "index.db")
    for table in ("model", "images", "vectors", "files", "folders"):
        columns = ", ".join(database[table].columns_dict)
        database.execute(f"INSERT INTO {table} SELECT {columns} FROM new.{table}")
    database.conn.commit()
    database.close()

    with ImageIndex(folder, embedder=Embedder()) as index:
        assert "next sync adds them" in index.check()[0]
        assert {frozenset(group) for group in groups(index)} == {frozenset({"coffee-plain.png", "coffee-again.png"})}
        assert index.add([album]).unchanged == len(list(album.iterdir()))
        assert index.check(full=True) == []
        assert groups(index) == expected
