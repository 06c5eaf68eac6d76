"""ImageIndex: adding, forgetting, asking."""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from imgindex import (
    ImageIndex,
    ModelMismatchError,
    NotIndexedError,
    UnreadablePictureError,
    UsageError,
    WeightsError,
)
from imgindex.errors import DecodingStoppedError
from tests.conftest import FakeEmbedder, write_picture


@pytest.fixture
def index(tmp_path: Path, embedder: FakeEmbedder):
    with ImageIndex(tmp_path / "index", embedder=embedder) as opened:
        yield opened


def counts(index: ImageIndex) -> tuple[int, int]:
    return index.counts().images, index.counts().files


def paths(index: ImageIndex, query: Path | int, k: int = 10) -> list[str]:
    return [hit.path for hit in index.similar(query, k=k).results]


def test_add_takes_a_folder_once(index, photos, embedder):
    first = index.add([photos])
    assert (first.added, first.unchanged, first.failed, first.images, first.files) == (5, 0, [], 5, 5)
    again = index.add([photos])
    assert (again.added, again.unchanged) == (0, 5)
    assert embedder.embedded == 5


def test_progress_reaches_the_total(index, photos):
    seen = []
    index.add([photos], progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (5, 5)


def test_a_second_path_is_recorded_without_embedding(index, photos, embedder):
    index.add([photos])
    shutil.copy(photos / "0.png", photos / "copy.png")
    assert index.add([photos]).added == 1
    assert counts(index) == (5, 6)
    assert embedder.embedded == 5
    (group,) = index.duplicates.find().groups
    assert [Path(file.path).name for file in group.files] == ["0.png", "copy.png"]
    assert group.kind == "exact"


def test_copies_in_one_batch_are_one_image(index, photos):
    shutil.copy(photos / "0.png", photos / "copy.png")
    assert index.add([photos]).added == 6
    assert counts(index) == (5, 6)


def test_a_move_is_recorded_without_embedding(index, photos, embedder):
    index.add([photos])
    (photos / "sub").mkdir()
    (photos / "0.png").rename(photos / "sub" / "renamed.png")
    moved = index.add([photos])
    assert (moved.added, moved.moved, moved.files) == (0, 1, 5)
    assert embedder.embedded == 5
    assert str(photos / "sub" / "renamed.png") in paths(index, photos / "1.png")


def test_a_touched_file_is_unchanged(index, photos, embedder):
    index.add([photos])
    os.utime(photos / "0.png", (1, 1))
    assert index.add([photos]).unchanged == 5
    assert embedder.embedded == 5


def test_changed_content_replaces_the_image(index, photos, embedder):
    index.add([photos])
    write_picture(photos / "0.png", 100)
    assert index.add([photos]).added == 1
    assert counts(index) == (5, 5)
    assert embedder.embedded == 6
    write_picture(photos.parent / "old.png", 0)
    assert index.similar(photos.parent / "old.png", k=1).results[0].similarity < 0.99


def test_same_size_and_other_time_is_noticed(index, tmp_path):
    path = write_picture(tmp_path / "a.bmp", 1)
    index.add([path])
    before = path.stat()
    write_picture(path, 2)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert path.stat().st_size == before.st_size
    assert index.add([path]).added == 1


def test_add_goes_on_after_a_bad_file(index, photos):
    (photos / "0a.jpg").write_bytes(b"no picture")
    (photos / "0b.jpg").write_bytes(b"")
    result = index.add([photos])
    assert result.added == 5
    assert [Path(failure.path).name for failure in result.failed] == ["0a.jpg", "0b.jpg"]
    assert all(failure.reason for failure in result.failed)


def test_a_picture_overwritten_by_something_else_is_forgotten(index, photos):
    index.add([photos])
    (photos / "0.png").write_bytes(b"no picture any more")
    assert [failure.path for failure in index.add([photos]).failed] == [str(photos / "0.png")]
    assert counts(index) == (4, 4)


def test_a_time_beyond_the_database_is_no_trouble(index, photos):
    os.utime(photos / "0.png", (2**34, 2**34))
    assert index.add([photos]).added == 5
    assert index.add([photos]).unchanged == 5


def test_a_bad_file_is_tried_again_only_when_it_changed(index, photos, monkeypatch):
    bad = photos / "bad.png"
    bad.write_bytes(b"no picture")
    index.add([photos])
    monkeypatch.setattr("imgindex.files.read", lambda path, _: pytest.fail(f"{path} was read again"))
    assert [failure.path for failure in index.add([photos]).failed] == [str(bad)]
    monkeypatch.undo()
    write_picture(bad, 77)
    mended = index.add([photos])
    assert (mended.added, mended.failed) == (1, [])
    assert index.add([photos]).failed == []


def test_a_bad_file_is_tried_again_by_another_decoder(tmp_path, photos, embedder, monkeypatch):
    (photos / "bad.png").write_bytes(b"no picture")
    with ImageIndex(tmp_path / "index", embedder=embedder) as index:
        index.add([photos])
    read = []
    monkeypatch.setattr("imgindex.ingest.pipeline.decoder_versions", lambda: "another")
    with ImageIndex(tmp_path / "index", embedder=embedder) as index:
        from imgindex import files

        plain = files.read
        monkeypatch.setattr("imgindex.files.read", lambda path, limit: read.append(path) or plain(path, limit))
        index.add([photos])
    assert read == [str(photos / "bad.png")] * 2  # once is no verdict


def test_hidden_names_and_links_out_of_the_tree_are_skipped(index, photos, tmp_path):
    write_picture(tmp_path / "outside" / "secret.png", 50)
    write_picture(photos / ".hidden.png", 51)
    write_picture(photos / ".thumbs" / "t.png", 52)
    (photos / "link.png").symlink_to(tmp_path / "outside" / "secret.png")
    (photos / "linked").symlink_to(tmp_path / "outside")
    assert index.add([photos]).added == 5


def test_a_named_hidden_file_or_link_is_taken(index, photos, tmp_path):
    hidden = write_picture(tmp_path / ".hidden.png", 51)
    link = tmp_path / "link"
    link.symlink_to(photos)
    assert index.add([hidden, link]).added == 6


def test_overlapping_paths_count_once(index, photos):
    assert index.add([photos, photos / "0.png", photos.parent]).files == 5


def test_a_path_that_does_not_exist_adds_nothing(index, photos):
    with pytest.raises(UsageError, match=r"nowhere.* does not exist"):
        index.add([photos, "nowhere"])
    assert counts(index) == (0, 0)


@pytest.mark.parametrize(
    "name", ["with space.png", "new\nline.png", os.fsdecode(b"\xff\xfe latin.png"), "ünïcode ☃.png"]
)
def test_any_name_goes_in_and_comes_out(index, photos, name):
    write_picture(photos / "plain.png", 9).rename(photos / name)
    index.add([photos])
    assert str(photos / name) in paths(index, photos / "0.png")
    assert index.add([photos]).unchanged == 6
    assert index.remove([photos / name]).removed == 1


def test_a_fifo_is_no_picture(index, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert [failure.reason for failure in index.add([tmp_path / "pipe"]).failed] == ["not a regular file"]


def test_sync_walks_added_folders_and_lists_the_missing(index, photos):
    index.add([photos])
    write_picture(photos / "new.png", 60)
    (photos / "0.png").unlink()
    assert index.sync().added == 1
    assert index.missing() == [str(photos / "0.png")]
    assert counts(index) == (6, 6)  # the missing one is remembered


def test_remove_forgets_and_never_deletes(index, photos):
    index.add([photos])
    image = index.similar(photos / "0.png").id
    assert index.remove([image, photos / "1.png"]).removed == 2
    assert counts(index) == (3, 3)
    assert (photos / "0.png").exists()
    assert len(paths(index, photos / "2.png")) == 2
    assert index.remove([photos]).removed == 3
    assert index.sync().added == 0  # the folder is forgotten, too


def test_remove_of_one_path_keeps_the_other(index, photos):
    shutil.copy(photos / "0.png", photos / "copy.png")
    index.add([photos])
    index.remove([photos / "0.png"])
    assert counts(index) == (5, 5)
    assert str(photos / "copy.png") in paths(index, photos / "1.png")


@pytest.mark.parametrize("target", [999, "unknown.png"])
def test_remove_of_something_unknown_forgets_nothing(index, photos, target):
    index.add([photos])
    with pytest.raises(NotIndexedError, match=r"in the index"):
        index.remove([photos / "0.png", target])
    assert counts(index) == (5, 5)


def test_similar_leaves_the_query_out(index, photos):
    index.add([photos])
    found = index.similar(photos / "0.png")
    assert found.id is not None
    assert len(found.results) == 4
    assert found.id not in [hit.id for hit in found.results]
    similarities = [hit.similarity for hit in found.results]
    assert similarities == sorted(similarities, reverse=True)
    assert all(0 <= similarity <= 1 for similarity in similarities)
    assert index.similar(found.id) == found


def test_similar_to_a_picture_that_is_not_indexed(index, photos, tmp_path, embedder):
    index.add([photos])
    copy = shutil.copy(photos / "3.png", tmp_path / "copy.png")
    found = index.similar(copy, k=1)
    assert found.id is None
    assert (found.results[0].path, found.results[0].similarity) == (str(photos / "3.png"), pytest.approx(1))
    assert embedder.embedded == 5  # known bytes need no model
    near = write_picture(tmp_path / "near.jpg", 3, size=64)
    assert index.similar(near, k=1).results[0].path == str(photos / "3.png")
    assert counts(index) == (5, 5)


def test_similar_in_an_empty_index_and_among_one(index, photos):
    assert paths(index, photos / "0.png") == []
    index.add([photos / "0.png"])
    assert paths(index, photos / "0.png") == []
    assert paths(index, photos / "1.png") == [str(photos / "0.png")]


def test_similar_refuses_what_it_cannot_answer(index, photos, tmp_path):
    index.add([photos])
    (tmp_path / "bad.png").write_bytes(b"no picture")
    with pytest.raises(UsageError, match="at least 1"):
        index.similar(photos / "0.png", k=0)
    with pytest.raises(UsageError, match="does not exist"):
        index.similar(tmp_path / "nowhere.png")
    with pytest.raises(NotIndexedError, match="no image 999"):
        index.similar(999)
    with pytest.raises(UnreadablePictureError, match=r"bad\.png cannot be read: .+"):
        index.similar(tmp_path / "bad.png")


def test_the_space_is_fitted_as_the_collection_grows(tmp_path, embedder, caplog):
    caplog.set_level("INFO", "imgindex")
    for seed in range(260):
        write_picture(tmp_path / "photos" / f"{seed:03}.png", seed)
    with ImageIndex(tmp_path / "index", embedder=embedder) as index:
        index.add(sorted((tmp_path / "photos").iterdir())[:199])
        assert "Fitted" not in caplog.text
        index.add([tmp_path / "photos"])
        assert caplog.text.count("Fitted compare space") == 2  # at 200, and at the end
        near = write_picture(tmp_path / "near.jpg", 240, size=64)
        best = index.similar(near, k=1).results[0]
        assert best.path.endswith("240.png")
        assert best.similarity > 0.95
        assert index.check() == []
    with ImageIndex(tmp_path / "index", embedder=embedder) as index:
        assert index.similar(near, k=1).results[0] == best


def test_two_open_indexes_see_each_other(tmp_path, photos):
    with (
        ImageIndex(tmp_path / "index", embedder=FakeEmbedder()) as one,
        ImageIndex(tmp_path / "index", embedder=FakeEmbedder()) as two,
    ):
        one.add([photos / "0.png", photos / "1.png"])
        assert len(paths(two, photos / "0.png")) == 1
        two.add([photos])
        assert len(paths(one, photos / "0.png")) == 4
        one.remove([photos / "4.png"])
        assert len(paths(two, photos / "0.png")) == 3


def test_another_model_or_other_weights_are_refused(tmp_path, photos):
    with ImageIndex(tmp_path / "index", embedder=FakeEmbedder()) as index:
        index.add([photos])
    with pytest.raises(ModelMismatchError, match="begun with the model fake, not other"):
        ImageIndex(tmp_path / "index", embedder=FakeEmbedder("other"))
    with pytest.raises(ModelMismatchError, match="begun with the model fake, not vgg16-gem"):
        ImageIndex(tmp_path / "index", model="vgg16-gem")
    with pytest.raises(ModelMismatchError, match="begun with other weights of fake"):
        ImageIndex(tmp_path / "index", embedder=FakeEmbedder(weights="1" * 64))


def test_the_model_is_for_life_only_from_the_first_picture(tmp_path, photos):
    (tmp_path / "empty").mkdir()
    with ImageIndex(tmp_path / "index", embedder=FakeEmbedder()) as index:
        index.add([tmp_path / "empty"])
        assert index.model is None
    with ImageIndex(tmp_path / "index", embedder=FakeEmbedder("other")) as index:
        index.add([photos])
        assert index.model is not None
        assert index.model.name == "other"


def test_two_that_begin_with_different_models_cannot_mix(tmp_path, photos):
    with (
        ImageIndex(tmp_path / "index", embedder=FakeEmbedder()) as one,
        ImageIndex(tmp_path / "index", embedder=FakeEmbedder("other")) as two,
    ):
        one.add([photos / "0.png"])
        with pytest.raises(ModelMismatchError):
            two.add([photos])
        assert counts(two) == (1, 1)


def test_check_finds_and_repair_mends(tmp_path, photos, embedder):
    with ImageIndex(tmp_path / "index", embedder=embedder) as index:
        index.add([photos])
        assert index.check() == []
        index._store.database.write("UPDATE vectors SET vector = ? WHERE image = ?", [(b"short", 1)])
        index._store.database.write("DELETE FROM vectors WHERE image = ?", [(2,)])
        assert any("Image 1 has an embedding of another length" in problem for problem in index.check())
        assert any("Image 2 has no embedding" in problem for problem in index.check())
        index.repair()
        assert index.check() == []
        assert index.add([photos]).added == 2
        assert counts(index) == (5, 5)


def test_check_finds_wrong_vectors(tmp_path, photos, embedder):
    with ImageIndex(tmp_path / "index", embedder=embedder) as index:
        index.add([photos])
        neighbours = index._neighbours
        neighbours._index.upsert(
            np.array([1, 2]), -neighbours._index.search(np.ones((2, 16), np.float32), 1)[1].repeat(16, 1)
        )
        neighbours.save()
        assert any("wrong vectors" in problem for problem in index.check())
        index.repair()
        assert index.check() == []


def test_the_index_may_lie_inside_the_added_folder(photos, embedder):
    with ImageIndex(photos / "my.index", embedder=embedder) as index:
        first = index.add([photos])
        assert (first.added, first.failed) == (5, [])
        with pytest.raises(UsageError, match="belongs to the index itself"):
            index.add([photos / "my.index" / "index.db"])
        with pytest.raises(UsageError, match="belongs to the index itself"):
            index.similar(photos / "my.index" / "index.db")


def test_an_empty_path_is_not_the_current_folder(index, photos, monkeypatch):
    index.add([photos])
    monkeypatch.chdir(photos)
    for call in (index.add, index.remove):
        with pytest.raises(UsageError, match="path is empty"):
            call([""])
    assert counts(index) == (5, 5)


def test_wrong_weights_are_refused_every_time(tmp_path, photos, monkeypatch):
    with ImageIndex(tmp_path / "index", embedder=FakeEmbedder()) as index:
        index.add([photos])
    monkeypatch.setattr(
        "imgindex.ingest.index_model.load_embedder", lambda name, **_: FakeEmbedder(name, weights="1" * 64)
    )
    with ImageIndex(tmp_path / "index") as index:
        query = write_picture(tmp_path / "query.png", 50)
        for _ in range(3):
            with pytest.raises(ModelMismatchError, match="other weights"):
                index.similar(query)


def test_similar_to_a_file_that_changed_since(index, photos):
    index.add([photos])
    shutil.copy(photos / "3.png", photos / "0.png")
    found = index.similar(photos / "0.png", k=1)
    assert (found.id, found.results[0].path) == (None, str(photos / "3.png"))


def test_a_stopped_decoder_is_no_verdict(index, photos, monkeypatch):
    plain = index._model.decode

    def stopped(_: bytes) -> None:
        raise DecodingStoppedError("the decoder was killed")

    monkeypatch.setattr(index._model, "decode", stopped)
    assert len(index.add([photos]).failed) == 5
    monkeypatch.setattr(index._model, "decode", plain)
    assert index.add([photos]).added == 5


def test_a_file_from_1970_overwritten_by_something_else(index, photos):
    os.utime(photos / "0.png", (0, 0))
    index.add([photos])
    (photos / "0.png").write_bytes(b"no picture any more")
    os.utime(photos / "0.png", (0, 0))
    assert len(index.add([photos]).failed) == 1
    assert counts(index) == (4, 4)


def test_a_huge_file_is_not_read(index, tmp_path, monkeypatch):
    with open(tmp_path / "huge.tif", "wb") as file:
        file.truncate(3 << 30)
    monkeypatch.setattr("imgindex.files.read", lambda *_: pytest.fail("it was read"))
    assert [failure.reason for failure in index.add([tmp_path / "huge.tif"]).failed] == ["larger than 400 MB"]


def test_pictures_that_do_not_differ(tmp_path):
    class Constant(FakeEmbedder):
        def embed(self, pixels):
            return np.ones((len(pixels), 16), np.float32)

    for seed in range(210):
        write_picture(tmp_path / "photos" / f"{seed}.png", seed)
    with ImageIndex(tmp_path / "index", embedder=Constant()) as index:
        index.add([tmp_path / "photos"])
        assert len(index.similar(1, k=5).results) == 5
        assert index.check() == []


def test_a_model_that_gives_no_numbers_is_refused(tmp_path, photos):
    class Broken(FakeEmbedder):
        def embed(self, pixels):
            return np.full((len(pixels), 16), np.nan, np.float32)

    with ImageIndex(tmp_path / "index", embedder=Broken()) as index, pytest.raises(WeightsError, match="NaN"):
        index.add([photos])


def test_a_deep_tree(index, tmp_path):
    deep = tmp_path / "deep"
    write_picture(tmp_path / "one.png", 1)
    current = os.open(tmp_path, os.O_RDONLY)
    try:
        for _ in range(1500):
            os.mkdir("deep", dir_fd=current)
            inner = os.open("deep", os.O_RDONLY, dir_fd=current)
            os.close(current)
            current = inner
    finally:
        os.close(current)
    result = index.add([tmp_path])
    assert result.added == 1
    assert [failure.reason for failure in result.failed] == ["file name too long"]
    subprocess.run(["rm", "-r", deep], check=True)  # shutil's would be too deep for Python


@pytest.mark.parametrize("number", [0, -1, 2**63, 10**30])
def test_an_id_that_cannot_be(index, photos, number):
    index.add([photos])
    with pytest.raises(NotIndexedError):
        index.similar(number)
    with pytest.raises(NotIndexedError):
        index.remove([number])
