"""An index that was moved, copied or is opened by another name finds its uploads, and lets those of others be."""

import os
import shutil
from pathlib import Path

import pytest

from imgindex import ImageIndex, UsageError
from tests.conftest import write_picture
from tests.support.embedders import FakeEmbedder

pytestmark = pytest.mark.usefixtures("inline")


def opened(folder: Path) -> ImageIndex:
    return ImageIndex(folder, embedder=FakeEmbedder())


def upload(index: ImageIndex, folder: Path, *seeds: int) -> list[int]:
    data = [write_picture(folder / "sent" / f"{seed}.png", seed).read_bytes() for seed in seeds]
    received = [index.uploads.decode(each) for each in data]
    return [image for image, _ in index.uploads.add(received, index.uploads.embed(received))]


@pytest.fixture
def home(tmp_path) -> Path:
    """An index of three uploads."""
    with opened(tmp_path / "home") as index:
        upload(index, tmp_path, 1, 2, 3)
    return tmp_path / "home"


def kept(folder: Path) -> int:
    return len(list((folder / "uploads").iterdir()))


def test_a_moved_index_serves_and_removes_its_uploads(home, tmp_path):
    home.rename(tmp_path / "moved")
    with opened(tmp_path / "moved") as index:
        assert Path(index.images.original(1).path).parent == tmp_path / "moved" / "uploads"
        assert index.remove([1]).deleted == 1
        synced = index.sync()
    assert (synced.added, synced.unchanged, synced.files, kept(tmp_path / "moved")) == (0, 2, 2, 2)


def test_a_copy_never_touches_the_original(home, tmp_path):
    shutil.copytree(home, tmp_path / "copy", copy_function=shutil.copy)  # with times of now
    with opened(tmp_path / "copy") as index:
        assert index.sync().files == 3
        assert index.duplicates.find().groups == ()
        assert index.images.original(2).path.startswith(str(tmp_path / "copy"))
        assert index.remove([1, 2]).deleted == 2
    assert (kept(home), kept(tmp_path / "copy")) == (3, 1)
    with opened(home) as index:
        assert index.images.original(2).path.startswith(str(home))


def test_a_copy_without_its_uploads_deletes_none_of_the_original(home, tmp_path):
    shutil.copytree(home, tmp_path / "copy", ignore=shutil.ignore_patterns("uploads"))
    with opened(tmp_path / "copy") as index:
        assert index.remove([1]).deleted == 0
    assert kept(home) == 3


def test_a_link_is_no_other_index(home, tmp_path):
    (tmp_path / "alias").symlink_to(home)
    with opened(tmp_path / "alias") as index:
        assert index.sync().files == 3
        assert index.duplicates.find().groups == ()
        upload(index, tmp_path, 4)
    with opened(home) as index:
        assert index.sync().added == 0
        assert index.remove([4]).deleted == 1


def test_uploads_that_an_older_version_recorded_twice_become_one(home, tmp_path):
    """It did not say where it was, and took its own uploads for copies under another name."""
    with opened(home) as index:
        index._store.database.write("DELETE FROM settings WHERE name = 'folder'", [()])
    home.rename(tmp_path / "moved")
    with opened(tmp_path / "moved") as index:
        assert index.counts().files == 3
        assert index.uploads.owns(index.images.get(3).paths[0])
        assert index.sync().added == 0


def test_a_decision_about_an_upload_moves_with_it(home, tmp_path):
    with opened(home) as index:
        index.add([tmp_path / "sent" / "1.png"])
        path = index.images.get(1).paths[0]
        index.duplicates.prefer([path])
    home.rename(tmp_path / "moved")
    with opened(tmp_path / "moved") as index:
        assert index._store.database.rows("SELECT path FROM keepers") == [
            (str(tmp_path / "moved" / "uploads" / os.path.basename(path)),)
        ]


def test_a_folder_above_the_index_can_be_forgotten_without_its_uploads(home, tmp_path):
    write_picture(tmp_path / "photos" / "9.png", 9)
    with opened(home) as index:
        index.add([tmp_path / "photos"])
        removed = index.remove([tmp_path])
        assert (removed.removed, removed.deleted, removed.uploads_kept, removed.files) == (1, 0, 3, 3)
    assert kept(home) == 3


def test_the_path_of_an_upload_does_not_delete_it(home):
    with opened(home) as index:
        for path in (index.images.get(1).paths[0], home / "uploads"):
            with pytest.raises(UsageError, match="name the id"):
                index.remove([path])
    assert kept(home) == 3


def test_only_the_id_deletes_an_upload_and_the_sentence_says_so(run, tmp_path, photos):
    with opened(tmp_path / "index") as index:
        upload(index, tmp_path, 7)
    run("add", photos)
    assert "nothing was deleted" in run("remove", photos).out
    assert "1 file of uploads deleted for good" in run("remove", "1").out


def test_paths_that_lead_out_of_the_uploads_are_not_ours(home, tmp_path):
    victim = write_picture(tmp_path / "victim.png", 5)
    with opened(home) as index:
        path = f"{home}/uploads/../../victim.png"
        assert not index.uploads.owns(path)
        index._store.database.write("UPDATE files SET path = ? WHERE image = 1", [(path,)])
        assert index.remove([1]).deleted == 0
    assert victim.exists()


def test_uploads_behind_a_link_are_not_deleted(home, tmp_path):
    (home / "uploads").rename(tmp_path / "elsewhere")
    (home / "uploads").symlink_to(tmp_path / "elsewhere")
    with opened(home) as index, pytest.raises(Exception, match="cannot be deleted"):
        index.remove([1])
    assert len(list((tmp_path / "elsewhere").iterdir())) == 3
