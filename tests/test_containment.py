"""Whether a folder may go: all that is in it counts, and what holds it must be another file, which stays."""

import os
import shutil
from pathlib import Path

import pytest

from imgindex import ImageIndex, UsageError
from imgindex.places import Lasting
from tests.conftest import write_picture

pytestmark = pytest.mark.usefixtures("inline")


@pytest.fixture
def index(tmp_path, embedder, photos):
    """Of five pictures."""
    with ImageIndex(tmp_path / "index", embedder=embedder) as opened:
        opened.add([photos])
        yield opened


@pytest.fixture
def card(tmp_path, photos) -> Path:
    """A folder with a copy of one of them."""
    (tmp_path / "card").mkdir()
    shutil.copy(photos / "0.png", tmp_path / "card" / "0.png")
    return tmp_path / "card"


def lacking(index: ImageIndex, folder: Path) -> dict[str, str]:
    """What is not held, and why."""
    found = index.contents.of_folder(folder).files
    return {os.path.relpath(one.path, folder): one.why for one in found if one.held != "whole"}


@pytest.mark.parametrize("name", [".hidden.png", ".hidden/9.png", "#recycle/9.png", "9.png.part", "out/9.png"])
def test_what_add_leaves_out_may_be_the_only_one(index, card, name):
    (card / ".imgindexignore").write_text("out/\n")
    assert not index.contents.of_folder(card).safe
    write_picture(card / "9.png", 9)
    (card / name).parent.mkdir(exist_ok=True)
    os.rename(card / "9.png", card / name)
    assert set(lacking(index, card)) == {".imgindexignore", name}


def test_what_is_held_is_held_wherever_it_lies(index, card):
    (card / ".hidden").mkdir()
    os.rename(card / "0.png", card / ".hidden" / "0.png")
    assert index.contents.of_folder(card).safe


def test_what_is_no_picture_is_told(index, card):
    (card / "link.png").symlink_to(card / "0.png")
    (card / "gone").symlink_to("nowhere")
    (card / "linked").symlink_to(card.parent / "photos")
    os.mkfifo(card / "pipe")
    (card / "film.mp4").write_bytes(bytes(99))
    (card / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    assert lacking(index, card) == {
        "link.png": "is a link", "gone": "is a link", "linked": "is a link", "pipe": "is no regular file",
        "film.mp4": "is no picture", ".DS_Store": "is no picture",
    }  # fmt: skip


def test_the_index_would_go_with_the_folder_around_it(index, tmp_path):
    assert lacking(index, tmp_path)["index"] == "is the folder of this index"


@pytest.mark.parametrize("name", ["", "index.db"])
def test_the_index_itself_is_not_looked_at(index, name):
    """Reading its database would drop the locks on that."""
    with pytest.raises(UsageError, match="belongs to the index itself"):
        index.contents.of_folder(index.folder / name)


def test_of_an_empty_folder_there_is_nothing(index, tmp_path, run):
    (tmp_path / "empty" / "deep").mkdir(parents=True)
    assert index.contents.of_folder(tmp_path / "empty").files == ()
    told = run("contains", tmp_path / "empty")
    assert (told.code, told.out) == (0, "There is nothing in it.\n")


# What holds it stays when the folder goes


@pytest.fixture
def only(tmp_path) -> Path:
    """A folder with a picture that is nowhere else."""
    return write_picture(tmp_path / "only" / "9.png", 9).parent


@pytest.mark.parametrize("what", ["the folder", "the folder around it", "the file"])
def test_a_file_does_not_hold_itself_by_a_mount(index, only, tmp_path, mount, what):
    source = {"the folder": only, "the folder around it": tmp_path, "the file": only / "9.png"}[what]
    target = tmp_path.with_name(f"{tmp_path.name}-bound")
    if source.is_dir():
        target.mkdir(exist_ok=True)
    else:
        target.touch()
    mount("--bind", source, target)
    seen = {"the folder": target / "9.png", "the folder around it": target / "only" / "9.png", "the file": target}[what]
    index.add([seen])
    assert set(lacking(index, only)) == {"9.png"}


@pytest.mark.parametrize("kind", ["overlay", "bindfs"])
def test_a_file_does_not_hold_itself_by_a_view_with_other_numbers(index, only, tmp_path, mount, kind):
    for name in ("lower", "work", "merged"):
        (tmp_path / name).mkdir()
    merged = tmp_path / "merged"
    if kind == "overlay":
        options = f"lowerdir={tmp_path / 'lower'},upperdir={only},workdir={tmp_path / 'work'}"
        mount("-t", "overlay", "overlay", "-o", options, merged)
    else:
        mount("-t", "fuse.bindfs", only, merged)
    index.add([merged])
    assert set(lacking(index, only)) == {"9.png"}
    index.add([only])
    assert set(lacking(index, merged)) == {"9.png"}


def test_a_path_that_was_found_to_be_the_same_file_does_not_hold_it(index, only, photos):
    shutil.copy(only / "9.png", photos / "9.png")
    index.add([photos])
    assert index.contents.of_folder(only).safe
    pair = sorted([str(only / "9.png"), str(photos / "9.png")])
    index._store.database.write("INSERT INTO views VALUES (?, ?)", [tuple(pair)])
    assert set(lacking(index, only)) == {"9.png"}


def test_a_hard_link_from_elsewhere_holds_it(index, only, photos):
    os.link(only / "9.png", photos / "9.png")
    index.add([photos])
    assert index.contents.of_folder(only).safe
    assert index.contents.of_folder(only / "9.png").safe


def test_a_link_into_the_folder_does_not_hold_what_it_shows(index, only, photos):
    """Of a file with a second name, but one that nobody knows."""
    os.link(only / "9.png", photos.parent / "second")
    (photos / "9.png").symlink_to(only / "9.png")
    index.add([photos / "9.png"])
    assert set(lacking(index, only)) == {"9.png"}


def test_hard_links_in_the_folder_do_not_hold_each_other_by_a_mount(index, only, tmp_path, mount):
    os.link(only / "9.png", only / "again.png")
    (tmp_path / "bound.png").touch()
    mount("--bind", only / "9.png", tmp_path / "bound.png")
    index.add([tmp_path / "bound.png"])
    assert set(lacking(index, only)) == {"9.png", "again.png"}


def test_a_second_name_that_nobody_knows_proves_nothing(index, only, tmp_path, mount):
    os.link(only / "9.png", tmp_path / "second")
    (tmp_path / "bound").mkdir()
    mount("--bind", only, tmp_path / "bound")
    index.add([tmp_path / "bound"])
    assert set(lacking(index, only)) == {"9.png"}


def test_mounts_are_read_once(index, photos, monkeypatch):
    read = []
    monkeypatch.setattr("imgindex.elsewhere.Lasting", lambda: read.append(1) or Lasting())
    index.contents.of_folder(photos)
    assert len(read) == 1
