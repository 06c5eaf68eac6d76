"""Whether a folder may go: all that is in it counts, and what holds it must be another file, which stays."""

import os
import shutil
from pathlib import Path

import pytest

from imgindex import ImageIndex
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


def test_of_an_empty_folder_there_is_nothing(index, tmp_path, run):
    (tmp_path / "empty" / "deep").mkdir(parents=True)
    assert index.contents.of_folder(tmp_path / "empty").files == ()
    told = run("contains", tmp_path / "empty")
    assert (told.code, told.out) == (0, "There is nothing in it.\n")
