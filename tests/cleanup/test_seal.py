"""A ledger that somebody sent puts nothing anywhere but pictures; one's own brings all back."""

import hashlib
import os
import sqlite3
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from imgindex.cleanup.belongings import with_sidecars
from imgindex.cleanup.plan import Sidecar, Undone, plan
from tests.cleanup.pictures import Pictures, cleanup


@pytest.fixture(autouse=True)
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the key of a user will be that never cleaned before."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "imgindex" / "key"


def forge(pictures: Pictures, **values: object) -> None:
    """As somebody does who has the index in hand."""
    with sqlite3.connect(pictures.folder / "index" / "index.db") as database:
        for column, value in values.items():
            database.execute(f"UPDATE ledger SET {column} = ?", [value])
    database.close()


def test_the_key_is_the_users_alone_and_stays(pictures: Pictures, key: Path) -> None:
    pictures.group("a.png", "b.png")
    pictures.apply("quarantine")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    before = key.read_bytes()
    pictures.group("c.png", "d.png")
    pictures.apply("quarantine")
    assert key.read_bytes() == before
    assert [path.name for path in key.parent.iterdir()] == ["key"]


@pytest.mark.parametrize("how", ["trash", "quarantine", "hardlink"])
def test_what_has_no_name_of_a_picture_comes_back_by_its_seal(pictures: Pictures, how: str) -> None:
    pictures.group("first", "second")
    assert pictures.apply(how).done
    assert pictures.undo().failed == ()
    assert pictures.as_they_were()


@pytest.mark.parametrize("seal", [b"", bytes(32)])
@pytest.mark.parametrize("begun", [False, True])
def test_a_forged_entry_writes_no_file_that_is_no_picture(pictures: Pictures, seal: bytes, begun: bool) -> None:
    pictures.group("a.png", "b.png")
    pictures.apply("quarantine")
    door = pictures.folder / ".ssh" / "authorized_keys"
    forge(pictures, path=str(door), seal=seal, state="begun" if begun else "done")
    undone = pictures.undo()
    assert not door.exists()
    assert undone.restored == ()
    (failed,) = undone.failed
    assert "was not put away by you on this machine" in failed.reason
    assert (pictures.folder / "quarantine").exists()


@pytest.mark.parametrize("state", ["begun", "done"])
@pytest.mark.parametrize("how", ["trash", "quarantine", "hardlink"])
@pytest.mark.parametrize("column", ["target", "kept", "path", "target and kept"])
def test_a_forged_place_moves_and_deletes_nothing(pictures: Pictures, how: str, column: str, state: str) -> None:
    pictures.group("a.png", "b.png")
    pictures.apply("quarantine")
    diary = pictures.folder / "diary.doc"
    diary.write_bytes(b"mine alone")
    forge(pictures, **dict.fromkeys(column.split(" and "), str(diary)), action=how, state=state, seal=b"")
    cleaner = cleanup(pictures.store)
    cleaner.recover()
    cleaner.undo()
    assert diary.read_bytes() == b"mine alone"
    assert diary.stat().st_nlink == 1
    if state == "begun":
        assert "nothing else is done about it" in cleaner.problems()[0]


def test_one_file_by_two_names_is_no_second_copy(pictures: Pictures) -> None:
    """Of an entry that names one file as both of its places, nothing is deleted, whoever wrote it."""
    pictures.group("a.png", "b.png")
    pictures.apply("quarantine")
    kept = pictures.folder / "a.png"
    bytes_, mtime_ns, _ = pictures.was[str(kept)]
    forge(
        pictures, path=str(kept), target=str(kept), sha256=hashlib.sha256(bytes_).digest(), mtime_ns=mtime_ns,
        bytes=len(bytes_),
    )  # fmt: skip
    assert "is the same file" in pictures.undo().failed[0].reason
    assert kept.read_bytes() == bytes_


def test_what_a_stranger_put_away_does_not_hide_ones_own(pictures: Pictures, key: Path) -> None:
    pictures.group("first", "second")
    pictures.apply("quarantine")
    own = key.read_bytes()
    key.write_bytes(bytes(32))
    pictures.group("third", "fourth")
    pictures.apply("quarantine")
    key.write_bytes(own)
    undone = pictures.undo()
    assert [Path(path).name for path in undone.restored] == ["second"]
    (failed,) = undone.failed
    assert Path(failed.path).name == "fourth"
    os.rename(failed.reason.rpartition(" from ")[2], failed.path)
    assert pictures.undo() == Undone((), ())
    assert pictures.states() == ["undone", "undone"]


def test_a_seal_holds_for_one_place_only(pictures: Pictures) -> None:
    pictures.group("first", "second")
    pictures.apply("quarantine")
    forge(pictures, path=str(pictures.folder / ".bashrc"))
    assert "was not put away by you" in pictures.undo().failed[0].reason
    assert not (pictures.folder / ".bashrc").exists()


def test_a_picture_comes_back_without_its_seal(pictures: Pictures) -> None:
    pictures.group("a.png", "b.png")
    pictures.apply("quarantine")
    forge(pictures, seal=b"")
    assert len(pictures.undo().restored) == 1
    assert pictures.as_they_were()


def test_without_a_place_for_a_key_nothing_goes(
    pictures: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    pictures.group("a.png", "b.png")
    cleaned = pictures.apply("quarantine")
    assert cleaned.done == ()
    assert "no key can be kept at" in cleaned.skipped[0].reason
    assert pictures.as_they_were()


@pytest.mark.parametrize("how", ["trash", "quarantine", "hardlink"])
def test_a_plan_takes_along_only_what_belongs_to_its_pictures(pictures: Pictures, how: str) -> None:
    """A plan may have been kept in a file, and edited there."""
    group = pictures.group("a.png", "b.png")
    diary, sidecar = pictures.folder / "diary.doc", pictures.folder / "b.png.xmp"
    for file in (diary, sidecar, pictures.folder / "a.png.xmp"):
        file.write_bytes(file.suffix.encode())
    made = with_sidecars(plan([group], "trash"))
    (step,) = made.steps
    assert [Path(one.path).name for one in step.sidecars] == ["b.png.xmp"]
    status = diary.stat()
    forged = replace(step, sidecars=(*step.sidecars, Sidecar(str(diary), status.st_size, status.st_mtime_ns)))
    cleaned = cleanup(pictures.store, pictures.groups).apply(
        replace(made, how=how, steps=(forged,)), quarantine=pictures.folder / "quarantine"
    )
    assert cleaned.done == (step.path,)
    assert diary.read_bytes() == b".doc"
    if how == "hardlink":
        assert sidecar.stat().st_nlink == 1
    else:
        assert not sidecar.exists()
        assert "does not belong to it" in cleaned.skipped[0].reason


def test_a_relative_trash_counts_for_nothing(
    pictures: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", "here")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    pictures.group("a.png", "b.png")
    assert pictures.apply("trash").done
    monkeypatch.chdir("/")
    assert pictures.undo().failed == ()
    assert pictures.as_they_were()


def test_a_relative_place_for_a_key_counts_for_nothing(
    pictures: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", "here")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    pictures.group("first", "second")
    assert pictures.apply("quarantine").done
    assert not (tmp_path / "here").exists()
    assert (tmp_path / "home" / ".local" / "state" / "imgindex" / "key").exists()


def test_a_key_that_is_cut_short_is_none(pictures: Pictures, key: Path) -> None:
    pictures.group("first", "second")
    pictures.apply("quarantine")
    os.truncate(key, 8)
    (entry,) = pictures.undo().failed
    assert "was not put away by you" in entry.reason
