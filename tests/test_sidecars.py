"""What belongs to a picture, and what only looks like it."""

import os
from pathlib import Path

import pytest

from imgindex.sidecars import one_shot, sidecars


def make(folder: Path, *names: str) -> None:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"x")


def names(found: tuple[str, ...]) -> list[str]:
    return [os.path.basename(path) for path in found]


def test_both_forms_of_xmp_and_all_kinds_belong_to_a_picture(tmp_path: Path) -> None:
    make(tmp_path, "IMG_1.jpg", "IMG_1.xmp", "IMG_1.jpg.xmp", "IMG_1.AAE", "img_1.THM", "IMG_1.mov")
    make(tmp_path, "IMG_2.xmp", "IMG_1.png.xmp", "IMG_1.txt", "IMG_10.xmp", "IMG_1.jpg.bak")
    assert names(sidecars(str(tmp_path / "IMG_1.jpg"))) == [
        "IMG_1.AAE", "IMG_1.jpg.xmp", "IMG_1.mov", "IMG_1.xmp", "img_1.THM",
    ]  # fmt: skip


def test_upper_and_lower_case_do_not_matter(tmp_path: Path) -> None:
    make(tmp_path, "Img.JPG", "IMG.jpg.XMP", "img.Xmp")
    assert names(sidecars(str(tmp_path / "Img.JPG"))) == ["IMG.jpg.XMP", "img.Xmp"]


def test_a_film_belongs_only_to_what_a_phone_makes_live(tmp_path: Path) -> None:
    make(tmp_path, "a.heic", "a.mov", "b.png", "b.mov")
    assert names(sidecars(str(tmp_path / "a.heic"))) == ["a.mov"]
    assert sidecars(str(tmp_path / "b.png")) == ()


def test_folders_and_links_with_such_names_are_left_alone(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", "elsewhere.xmp")
    (tmp_path / "a.xmp").mkdir()
    (tmp_path / "a.aae").symlink_to(tmp_path / "elsewhere.xmp")
    (tmp_path / "a.jpg.xmp").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "a.thm")
    assert sidecars(str(tmp_path / "a.jpg")) == ()


def test_other_folders_do_not_count(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg")
    make(tmp_path / "b", "a.xmp")
    assert sidecars(str(tmp_path / "a.jpg")) == ()


def test_odd_names_have_their_sidecars(tmp_path: Path) -> None:
    odd = os.fsdecode(b"caf\xe9 [1].jpg")
    make(tmp_path, odd, odd + ".xmp")
    assert sidecars(str(tmp_path / odd)) == (str(tmp_path / (odd + ".xmp")),)


def test_a_folder_that_is_away_has_no_sidecars(tmp_path: Path) -> None:
    assert sidecars(str(tmp_path / "gone" / "a.jpg")) == ()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2020-01-02T03:04:05", "2020-01-02T03:04:05.75", True),
        ("2020-01-02T03:04:05", "2020-01-02T03:04:09", False),
        ("2020-01-02T03:04:05+02:00", "2020-01-02T01:04:05Z", True),
        ("2020-01-02T03:04:05+02:00", "2020-01-02T03:04:05", True),
        (None, "2020-01-02T03:04:05", True),
        ("no time", "2020-01-02T03:04:05", True),
    ],
)
def test_capture_times_tell_whether_it_is_one_shot(one: str | None, other: str | None, same: bool) -> None:
    assert one_shot(one, other) is same
    assert one_shot(other, one) is same
