"""A ledger that somebody sent puts nothing anywhere but pictures; one's own brings all back."""

import os
import sqlite3
import stat
from pathlib import Path

import pytest

from tests.cleanup.pictures import Pictures


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


def test_without_a_place_for_a_key_pictures_go_and_come_back(
    pictures: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    pictures.group("a.png", "b.png")
    assert pictures.apply("quarantine").done
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
