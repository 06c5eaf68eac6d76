"""What a walk leaves out: what programs keep for themselves, and what a person does not want in the index."""

import os
import shutil
from pathlib import Path

import pytest

from imgindex import ImageIndex, UsageError
from imgindex.exclusions import Exclusions
from imgindex.places import Lasting, is_left_to_programs
from tests.conftest import write_picture

pytestmark = pytest.mark.usefixtures("inline")

OF_PROGRAMS = [
    "#recycle/1.png", "$RECYCLE.BIN/S-1-5-21/$R1.png", "@Recycle/1.png", "RECYCLER/1.png", ".Trash-1000/files/1.png",
    "lost+found/1.png", "@eaDir/0.png/SYNOPHOTO_THUMB_M.png", ".@__thumb/s8001.png", "My Previews.lrdata/1.png",
    "__MACOSX/deep/1.png", "._1.png", "~syncthing~1.png.tmp", "1.png.part", "Trash/files/1.png", "found.000/1.png",
]  # fmt: skip
OF_A_PERSON = [
    "recycle/1.png",
    "Trash/1.png",
    "thumbs/1.png",
    "files/1.png",
    "lost/found/1.png",
    "~$x/1.png",
    "part/1.png",
]


@pytest.fixture
def index(tmp_path, embedder):
    with ImageIndex(tmp_path / "index", embedder=embedder) as opened:
        yield opened


def names(index: ImageIndex, folder: Path) -> list[str]:
    return [os.path.relpath(path, folder) for path, _ in index._store.images.contents()]


@pytest.mark.parametrize("name", OF_PROGRAMS)
def test_what_programs_keep_is_not_indexed(index, photos, name):
    write_picture(photos / "plain.png", 9)
    (photos / name).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(photos / "plain.png", photos / name)
    index.add([photos])
    assert names(index, photos) == [*(f"{n}.png" for n in range(5)), "plain.png"]
    assert is_left_to_programs(str(photos / name))


@pytest.mark.parametrize("name", OF_A_PERSON)
def test_what_a_person_names_alike_is_indexed(index, photos, name):
    write_picture(photos / name, 9)
    index.add([photos])
    assert name in names(index, photos)


def test_a_bin_that_an_older_index_has_is_told_and_never_holds(index, photos):
    """Its path is the plainer one, so it would be the keeper."""
    (photos / "#recycle").mkdir()
    (photos / "2019" / "Summer").mkdir(parents=True)
    binned, kept = photos / "#recycle" / "1.png", photos / "2019" / "Summer" / "1.png"
    shutil.copy2(photos / "1.png", kept)
    os.rename(photos / "1.png", binned)
    index.add([binned, photos])  # a path that is named is taken as it is, as older versions took all
    assert index.left_out() == [str(binned)]
    assert index.sync().files == 6
    (group,) = index.duplicates.find().groups
    assert [file.path for file in group.files if file.stays] == [str(kept)]


def test_memory_is_told_by_path_where_no_device_was_recorded():
    assert Lasting().is_volatile("/dev/shm/1.png", 0)
    assert not Lasting().is_volatile(__file__, os.stat(__file__).st_dev)


def test_what_lies_in_a_link_into_memory_is_told_without_a_device(tmp_path):
    (tmp_path / "ram").symlink_to("/dev/shm")
    assert Lasting().is_volatile(str(tmp_path / "ram" / "1.png"), 0)


def test_excluded_patterns_hold_for_every_sync(index, photos):
    write_picture(photos / "private" / "6.png", 6)
    assert index.add([photos], exclude=["private/", "/0.png"]).added == 4
    write_picture(photos / "private" / "7.png", 7)
    write_picture(photos / "sub" / "0.png", 8)
    assert index.sync().added == 1
    assert index.add([photos]).added == 0
    assert index.add([photos / "private"]).added == 2  # named by itself


def test_a_later_pattern_takes_back_an_earlier_one(index, photos):
    index.add([photos], exclude=["*.png"])
    assert index.counts().files == 0
    assert index.add([photos], exclude=["!3.png"]).added == 1


def test_a_forgotten_folder_forgets_its_patterns(index, photos):
    index.add([photos], exclude=["4.png"])
    index.remove([photos])
    assert index.add([photos]).added == 5


def test_a_file_of_rules_is_obeyed_as_git_obeys_one(index, photos):
    for name in ("a/1.png", "a/keep.png", "a/b/1.png", "b/a/2.png"):
        write_picture(photos / name, hash(name) % 1000)
    (photos / ".imgindexignore").write_text("# a person's\n/?.png\na/*.png\n")
    (photos / "a" / ".imgindexignore").write_text("!keep.png\nb/\n")
    index.add([photos])
    assert names(index, photos) == ["a/keep.png", "b/a/2.png"]


def test_what_is_excluded_later_is_told_and_stays(index, photos):
    index.add([photos])
    (photos / ".imgindexignore").write_text("0.png\n")
    assert index.sync().files == 5
    assert index.left_out() == [str(photos / "0.png")]


def test_a_folder_is_matched_once_however_many_files_it_has(monkeypatch):
    asked = []
    leave_out = Exclusions.leave_out

    def listening(self, path: str, *, folder: bool) -> bool:
        asked.extend([path] * folder)
        return leave_out(self, path, folder=folder)

    monkeypatch.setattr(Exclusions, "leave_out", listening)
    exclusions = Exclusions({"/photos": ["private/"]})
    assert not any(exclusions.leave_out_recorded(f"/photos/2019/summer/{n}.png") for n in range(9))
    assert all(exclusions.leave_out_recorded(f"/photos/private/deep/{n}.png") for n in range(9))
    assert not exclusions.leave_out_recorded("/elsewhere/private/0.png")
    assert sorted(set(asked) - {"/photos"}) == ["/photos/2019", "/photos/2019/summer", "/photos/private"]
    assert len(asked) < 9


@pytest.mark.parametrize("pattern", ["!", "\\"])
def test_what_is_no_pattern_is_refused_before_anything_is_indexed(index, photos, pattern):
    with pytest.raises(UsageError, match="is no pattern"):
        index.add([photos], exclude=[pattern])
    assert index.counts().files == 0
    assert index.sync().files == 0


def test_rules_that_cannot_be_read_keep_their_folder_out(index, photos):
    write_picture(photos / "sub" / "6.png", 6)
    (photos / "sub" / ".imgindexignore").write_text("!\n")
    added = index.add([photos])
    assert (added.added, [failure.path for failure in added.failed]) == (5, [str(photos / "sub" / ".imgindexignore")])


def test_names_that_are_not_utf_8_can_be_excluded(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / ".imgindexignore").write_bytes(b"\xe4*.png\n")
    out = os.fsdecode(os.fsencode(folder) + b"/\xe4\xf6.png")
    assert Exclusions().leave_out(out, folder=False)
    assert not Exclusions().leave_out(str(folder / "a.png"), folder=False)


def test_the_command_line_excludes_and_remembers(run, photos):
    assert run("add", photos, "--exclude", "0.png", "--exclude", "1.png", "--json").json["added"] == 3
    assert run("sync", "--json").json["added"] == 0
    assert run("add", photos, "--exclude", "!").code == 2
