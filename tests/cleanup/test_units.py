"""Raw files, their JPEGs and their sidecars move together and come back together; bad input moves nothing."""

import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data

from imgindex import ImageIndex
from tests.support.embedders import MirrorEmbedder


@pytest.fixture(autouse=True)
def trash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A photo, and a smaller copy of it with sidecars."""
    folder = tmp_path / "photos"
    folder.mkdir()
    photo = np.ascontiguousarray(skimage.data.astronaut()[..., ::-1])
    cv2.imwrite(str(folder / "a.jpg"), photo, [cv2.IMWRITE_JPEG_QUALITY, 95])
    small = cv2.resize(photo, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(folder / "b.jpg"), small, [cv2.IMWRITE_JPEG_QUALITY, 80])
    return folder


def planned(index: ImageIndex) -> list[str]:
    return [Path(step.path).name for step in index.cleanup.plan().steps]


def test_a_smaller_copy_goes_with_its_sidecars_and_all_come_back(photos, tmp_path):
    for name in ("b.xmp", "b.jpg.xmp", "b.aae", "a.xmp", "a.aae"):
        (photos / name).write_text(name[-3:])
    before = {path.name: path.read_bytes() for path in photos.iterdir()}
    with ImageIndex(tmp_path / "index", embedder=MirrorEmbedder()) as index:
        index.add([photos])
        done = index.cleanup.apply(index.cleanup.plan())
        assert [Path(path).name for path in done.done] == ["b.jpg"]
        assert sorted(path.name for path in photos.iterdir()) == ["a.aae", "a.jpg", "a.xmp"]
        assert len(index.cleanup.undo().restored) == 4
    assert {path.name: path.read_bytes() for path in photos.iterdir()} == before


@pytest.mark.parametrize("name", ["b.xmp", "b.jpg.xmp", "b.aae", "b.mov"])
def test_a_copy_stays_for_what_only_its_sidecar_tells(photos, tmp_path, name):
    (photos / name).write_text("five stars")
    (photos / f"a{name[1:]}").write_text("one star")
    with ImageIndex(tmp_path / "index", embedder=MirrorEmbedder()) as index:
        index.add([photos])
        made = index.cleanup.plan()
        assert made.steps == ()
        assert f"has {photos / name}" in made.skipped[0].reason
        assert index.cleanup.apply(made).done == ()
        (photos / f"a{name[1:]}").write_text("five stars")
        assert planned(index) == ["b.jpg"]


def test_sidecars_that_are_folders_or_links_stay_where_they_are(photos, tmp_path):
    (photos / "b.xmp").mkdir()
    (photos / "b.xmp" / "in it").write_text("x")
    (tmp_path / "elsewhere").write_text("theirs")
    (photos / "b.jpg.xmp").symlink_to(tmp_path / "elsewhere")
    with ImageIndex(tmp_path / "index", embedder=MirrorEmbedder()) as index:
        index.add([photos])
        assert len(index.cleanup.apply(index.cleanup.plan()).done) == 1
    assert (photos / "b.xmp" / "in it").read_text() == "x"
    assert (photos / "b.jpg.xmp").is_symlink()
    assert (tmp_path / "elsewhere").read_text() == "theirs"


def test_files_gone_before_the_second_look_wait_for_it(photos, tmp_path):
    with ImageIndex(tmp_path / "index", embedder=MirrorEmbedder()) as index:
        index.add([photos])
        shutil.move(photos, tmp_path / "away")
        assert planned(index) == []
        (group,) = index.duplicates.find().groups
        assert [file.stays for file in group.files] == [True, True]
        shutil.move(tmp_path / "away", photos)
        assert planned(index) == ["b.jpg"]


def test_a_protected_folder_that_is_a_link_protects_what_it_leads_to(photos, tmp_path):
    (tmp_path / "link").symlink_to(photos)
    with ImageIndex(tmp_path / "index", embedder=MirrorEmbedder()) as index:
        index.add([photos])
        index.duplicates.policies.add("protect", [tmp_path / "link"])
        assert planned(index) == []


def test_a_folder_that_is_protected_protects_what_is_indexed_through_a_link_to_it(photos, tmp_path):
    (tmp_path / "link").symlink_to(photos)
    with ImageIndex(tmp_path / "index", embedder=MirrorEmbedder()) as index:
        index.add([tmp_path / "link"])
        index.duplicates.policies.add("protect", [photos])
        assert planned(index) == []


def test_hard_links_of_one_file_stay_or_go_together(photos, tmp_path):
    os.link(photos / "b.jpg", photos / "c.jpg")
    with ImageIndex(tmp_path / "index", embedder=MirrorEmbedder()) as index:
        index.add([photos])
        assert planned(index) == ["b.jpg", "c.jpg"]
        assert index.duplicates.find().bytes == (photos / "b.jpg").stat().st_size
