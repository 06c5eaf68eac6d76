"""What happens beside a clean: saves at any moment, folders that are seen twice, drives that come and go."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imgindex.cleanup import moves, renames
from imgindex.cleanup.journal import Entry, Journal
from imgindex.cleanup.opened import Opened
from imgindex.cleanup.plan import Undone
from imgindex.errors import UsageError
from tests.cleanup.pictures import Pictures, cleanup, seen

HOWS = ["trash", "quarantine", "hardlink"]


def whole(path: Path) -> None:
    """Save as most editors do."""
    path.with_name("new").write_bytes(b"newer")
    path.with_name("new").replace(path)


def in_place(path: Path) -> None:
    path.write_bytes(b"newer")


def of_the_same_size_and_time(path: Path) -> None:
    status = path.stat()
    with path.open("r+b") as file:
        file.write(b"NEWER")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


SAVES = [whole, in_place, of_the_same_size_and_time]


@pytest.fixture(params=[True, False], ids=["kernel", "no renameat2"])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the call that moves and exchanges in one step, and where it is missing."""
    if not request.param:
        monkeypatch.setattr(renames, "_renameat2", lambda: None)


@pytest.fixture
def far(pictures: Pictures, mount: Callable[..., None]) -> Path:
    """A folder on another file system."""
    (pictures.folder / "far").mkdir()
    mount("-t", "tmpfs", "tmpfs", pictures.folder / "far")
    return pictures.folder / "far"


@pytest.fixture(params=["overlay", "bindfs"])
def merged(request: pytest.FixtureRequest, pictures: Pictures, mount: Callable[..., None]) -> Path:
    """A view of the folder `upper` by other numbers."""
    lower, upper, work, merged = (pictures.folder / name for name in ("lower", "upper", "work", "merged"))
    for folder in lower, upper, work, merged:
        folder.mkdir()
    if request.param == "overlay":
        mount("-t", "overlay", "overlay", "-o", f"lowerdir={lower},upperdir={upper},workdir={work}", merged)
    else:
        mount("-t", "fuse.bindfs", upper, merged)
    return merged


# Saves


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("save", SAVES)
@pytest.mark.parametrize("how", HOWS)
def test_a_save_after_the_look_stays(pictures, how, save, monkeypatch):
    pictures.group("a.png", "b.png")
    saved(monkeypatch, Journal, "begin", lambda: save(pictures.folder / "b.png"))
    assert pictures.apply(how).done == ()
    assert (pictures.folder / "b.png").read_bytes().lower().startswith(b"newer")
    assert pictures.states() == ["failed"]
    left_alone(pictures)


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("save", SAVES)
def test_a_save_while_it_is_copied_to_another_drive_stays(pictures, far, save, monkeypatch):
    pictures.group("a.png", "b.png")
    saved(monkeypatch, moves, "copy", lambda: save(pictures.folder / "b.png"))
    assert pictures.apply("quarantine", quarantine=far / "shelf").done == ()
    assert (pictures.folder / "b.png").read_bytes().lower().startswith(b"newer")
    assert not [path for path in far.rglob("*") if path.is_file()]
    left_alone(pictures)


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("how", HOWS)
def test_two_saves_are_both_kept(pictures, how, monkeypatch):
    """One before the move, and one before it is put back."""
    pictures.group("a.png", "b.png")
    saved(monkeypatch, Journal, "begin", lambda: whole(pictures.folder / "b.png"))
    real = Opened.check_is_at

    def check(self: Opened, path: str) -> None:
        if how != "hardlink":
            (pictures.folder / "b.png").write_bytes(b"newest")
        real(self, path)

    monkeypatch.setattr(Opened, "check_is_at", check)
    assert pictures.apply(how).done == ()
    found = {path.read_bytes() for path in pictures.folder.glob("b*.png")}
    assert found == ({b"newer"} if how == "hardlink" else {b"newer", b"newest"})
    left_alone(pictures)


@pytest.mark.parametrize("how", HOWS)
def test_a_save_that_a_kill_left_moved_comes_back(pictures, how, monkeypatch):
    pictures.group("a.png", "b.png")
    saved(monkeypatch, Journal, "begin", lambda: whole(pictures.folder / "b.png"))
    with monkeypatch.context() as patch:
        patch.setattr(Opened, "check_is_at", interrupt)
        with pytest.raises(KeyboardInterrupt):
            pictures.apply(how)
    cleanup(pictures.store).recover()
    assert (pictures.folder / "b.png").read_bytes() == b"newer"
    assert pictures.states() == ["undone"]
    left_alone(pictures)


@pytest.mark.parametrize("how", HOWS)
def test_a_file_that_is_open_for_writing_stays(pictures, how):
    pictures.group("a.png", "b.png")
    with (pictures.folder / "b.png").open("r+b"):
        cleaned = pictures.apply(how)
        assert (cleaned.done, pictures.states()) == ((), [])
        assert "is open in another program" in cleaned.skipped[0].reason
    assert len(pictures.apply(how).done) == 1


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("how", HOWS)
def test_a_keeper_that_is_replaced_or_gone_takes_nothing_along(pictures, how, monkeypatch):
    for nth, change in enumerate((whole, Path.unlink)):
        with monkeypatch.context() as patch:
            pictures.group(f"a{nth}.png", f"b{nth}.png")
            pictures.groups = pictures.groups[-1:]
            saved(patch, Journal, "begin", lambda change=change, nth=nth: change(pictures.folder / f"a{nth}.png"))
            assert pictures.apply(how).done == ()
            assert seen(pictures.folder / f"b{nth}.png") == pictures.was[str(pictures.folder / f"b{nth}.png")]
    left_alone(pictures)


@pytest.mark.usefixtures("kernel")
def test_to_another_drive_and_back(pictures, far):
    pictures.group("a.png", "b.png")
    assert pictures.apply("quarantine", quarantine=far / "shelf").skipped == ()
    assert len(pictures.undo().restored) == 1
    assert pictures.as_they_were()
    left_alone(pictures)


def saved(monkeypatch: pytest.MonkeyPatch, room: Any, name: str, save: Callable[[], Any]) -> None:
    """Something happens once, as soon as a call is done."""
    real, waiting = getattr(room, name), [save]

    def call(*arguments: Any) -> Any:
        result = real(*arguments)
        while waiting:
            waiting.pop()()
        return result

    monkeypatch.setattr(room, name, call)


def interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def left_alone(pictures: Pictures) -> None:
    """Nothing of ours is left where files go, and nothing hidden."""
    assert not list(pictures.folder.rglob(".imgindex-*"))
    assert not [
        path for name in ("data", "quarantine") for path in (pictures.folder / name).rglob("*") if path.is_file()
    ]


# Views


@pytest.mark.parametrize("how", ["trash", "quarantine"])
@pytest.mark.parametrize("names", [("upper/a.png", "merged/a.png"), ("merged/a.png", "upper/a.png")])
@pytest.mark.parametrize("probed", [True, False])
def test_one_file_in_two_views_stays_and_is_remembered(pictures, merged, how, names, probed, monkeypatch, request):
    if not probed:
        if names[0].startswith("merged") and "overlay" in request.node.name:
            pytest.skip("an overlay shows what was moved below it, so only the look beforehand tells")
        monkeypatch.setattr(moves, "check_apart", lambda _: None)
    pictures.group(*names, "c.png")
    cleaned = pictures.apply(how)
    assert cleaned.done == pictures.paths("c.png"), cleaned
    assert "seen by another path" in cleaned.skipped[0].reason
    assert (merged / "a.png").exists()
    assert (pictures.folder / "upper" / "a.png").exists()
    again = cleanup(pictures.store, pictures.groups).plan(how)
    assert str(pictures.folder / names[1]) not in {step.path for step in again.steps}
    assert "seen by another path" in again.skipped[0].reason
    assert not list(pictures.folder.rglob(".imgindex-*"))


@pytest.mark.usefixtures("merged")
def test_two_files_in_two_views_are_two(pictures):
    """Of one name, of which the overlay shows another file."""
    pictures.group("lower/a.png", "merged/b.png")
    pictures.group("c/d.png", "merged/d.png")
    assert pictures.apply("trash").skipped == ()
    assert len(pictures.undo().restored) == 2


# Drives


@pytest.fixture
def drive(pictures: Pictures, mount: Callable[..., None]) -> "Drive":
    drive = Drive(pictures.folder / "drive", pictures.folder / "mnt", mount)
    drive.connect()
    return drive


class Drive:
    def __init__(self, files: Path, place: Path, mount: Callable[..., None]) -> None:
        self.files, self.place, self._mount = files, place, mount
        for folder in files, place:
            folder.mkdir()

    def connect(self) -> None:
        self._mount("--bind", self.files, self.place)

    def disconnect(self) -> None:
        subprocess.run(["umount", str(self.place)], check=True)


def test_what_lies_on_a_drive_that_is_away_can_be_brought_back_later(pictures, drive):
    pictures.group("a.png", "b.png")
    pictures.apply("quarantine", quarantine=drive.place / "shelf")
    drive.disconnect()
    undone = pictures.undo()
    assert undone.restored == ()
    assert f"connect the drive that was at {drive.place}" in undone.failed[0].reason
    assert pictures.states() == ["done"]
    drive.connect()
    assert len(pictures.undo().restored) == 1
    assert pictures.as_they_were()


@pytest.mark.parametrize("how", HOWS)
def test_nothing_comes_back_below_an_empty_mount_point(pictures, drive, how):
    pictures.group("mnt/sub/a.png", "mnt/sub/b.png")
    pictures.apply(how)
    drive.disconnect()
    undone = pictures.undo()
    assert undone.restored == ()
    assert f"its drive is not at {drive.place} now" in undone.failed[0].reason
    assert not list(drive.place.iterdir())
    drive.connect()
    assert len(pictures.undo().restored) == 1
    assert pictures.as_they_were()


def test_what_was_begun_on_a_drive_that_is_away_waits(pictures, drive, monkeypatch):
    pictures.group("mnt/a.png", "mnt/b.png")
    with monkeypatch.context() as patch:
        patch.setattr(moves, "carry_out", interrupt)
        with pytest.raises(KeyboardInterrupt):
            pictures.apply("quarantine")
    drive.disconnect()
    cleanup(pictures.store).recover()
    assert pictures.states() == ["begun"]
    drive.connect()
    cleanup(pictures.store).recover()
    assert pictures.states() == ["undone"]


def test_what_an_older_version_put_away_comes_back(pictures, monkeypatch):
    pictures.group("a.png", "b.png")
    monkeypatch.setattr(Entry, "on", lambda self, *_: self)
    pictures.apply("quarantine")
    shelf, aside = pictures.folder / "quarantine", pictures.folder / "aside"
    shelf.rename(aside)
    assert "connect its drive" in pictures.undo().failed[0].reason
    aside.rename(shelf)
    assert pictures.undo() == Undone(pictures.paths("b.png"), ())
    assert pictures.as_they_were()


# Quarantines


def test_a_quarantine_by_another_name_of_an_indexed_folder_is_refused(pictures, tmp_path, monkeypatch, mount):
    photos, other = tmp_path / "photos", tmp_path / "other"
    pictures.group("photos/a.png", "photos/b.png")
    pictures.store.images.add_folder(str(photos))
    (other / "shelf").mkdir(parents=True)
    (other / "link").symlink_to(photos)
    (other / "shelf" / tmp_path.parts[1]).symlink_to(photos)
    monkeypatch.chdir(photos)
    for folder in (
        other / "link" / "shelf",
        other / "shelf",
        "shelf",
        tmp_path / "index" / "q",
        "/",
        other / ".." / "photos",
    ):
        with pytest.raises(UsageError, match="quarantine"):
            pictures.apply("quarantine", quarantine=folder)
    (tmp_path / "bound").mkdir()
    mount("--bind", photos, tmp_path / "bound")
    with pytest.raises(UsageError, match="is indexed"):
        pictures.apply("quarantine", quarantine=tmp_path / "bound" / "shelf")
    assert pictures.as_they_were()
    shutil.rmtree(other)
    assert len(pictures.apply("quarantine", quarantine=other).done) == 1


def test_a_quarantine_that_is_seen_in_an_indexed_folder_is_refused(pictures, merged):
    pictures.group("upper/a.png", "upper/b.png")
    pictures.store.images.add_folder(str(pictures.folder / "upper"))
    with pytest.raises(UsageError, match="is seen in"):
        pictures.apply("quarantine", quarantine=merged / "shelf")
    assert len(pictures.apply("quarantine", quarantine=merged / ".shelf").done) == 1


# Decisions


def test_what_was_decided_since_the_plan_is_obeyed(pictures):
    pictures.group("a.png", "b.png")
    index = cleanup(pictures.store, pictures.groups)
    made = index.plan("trash")
    assert len(made.steps) == 1
    assert "not redundant any more" in cleanup(pictures.store).apply(made).skipped[0].reason
    pictures.group("b.png", "a.png")
    assert "not redundant any more" in cleanup(pictures.store, pictures.groups[1:]).apply(made).skipped[0].reason
    assert pictures.states() == []
