"""The commands about copies, as a program would call them."""

import csv
import io
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data


@pytest.fixture
def album(tmp_path) -> Path:
    """A photo, its half, a copy of its bytes, and another photo."""
    folder = tmp_path / "album"
    folder.mkdir()
    photo = np.ascontiguousarray(skimage.data.coffee()[..., ::-1])
    cv2.imwrite(str(folder / "coffee.png"), photo)
    cv2.imwrite(str(folder / "half.jpg"), cv2.resize(photo, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    shutil.copy(folder / "coffee.png", folder / "coffee (1).png")
    cv2.imwrite(str(folder / "cat.png"), np.ascontiguousarray(skimage.data.chelsea()[..., ::-1]))
    return folder


@pytest.fixture
def added(run, album, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert run("add", album).code == 0
    return run


def test_duplicates(added, album, tmp_path):
    found = added("duplicates", "--json").json
    (group,) = found["groups"]
    assert {Path(file["path"]).name for file in group["files"]} == {"coffee.png", "coffee (1).png", "half.jpg"}
    assert (group["kind"], group["files"][-1]["path"]) == ("near", str(album / "half.jpg"))
    assert group["keep"] == group["files"][0]["path"]
    assert {*group["weakest"]} >= {"a", "b", "score"}
    assert (found["files"], found["redundant"], found["percent"], found["related"]) == (4, 2, 50.0, [])
    assert found["bytes"] == sum(file["bytes"] for file in group["files"] if not file["stays"])
    assert all(file["held_by"] and file["why"] for file in group["files"] if not file["stays"])
    shortest = added("duplicates", "--json", "--keep", "path").json["groups"][0]["keep"]
    assert shortest == str(album / "coffee.png")  # a plainer path settles ties; it holds no more for it
    rows = list(csv.DictReader(io.StringIO(added("duplicates", "--csv").out)))
    assert [row["keep"] for row in rows] == ["yes", "no", "no"]
    page = tmp_path / "copies.html"
    text = added("duplicates", "--html", page).out
    assert "2 of 4 files (50.0%" in text
    assert "calibrate" in text
    assert page.read_text().count("data:image/jpeg;base64,") == 2


def test_wrong_usage_is_a_sentence(added, tmp_path):
    for arguments, code in (
        (["duplicates", "--keep", "colour"], 2),
        (["clean", "--apply"], 2),
        (["clean", "--apply", "--undo"], 2),
        (["clean", "--to", "moon"], 2),
        (["different", tmp_path / "none.png", "1"], 1),
        (["different", "1"], 2),
        (["keep", tmp_path / "none.png"], 1),
        (["calibrate"], 2),  # too few photos
        (["duplicates", "--html", tmp_path / "no" / "folder.html"], 1),
    ):
        result = added(*arguments)
        assert (result.code, result.out) == (code, "")
        assert "Traceback" not in result.err
        assert result.err.strip()
    (tmp_path / "plan.json").write_text("{}")
    assert added("clean", "--apply", "--plan", tmp_path / "plan.json").code == 2


def test_report(added, album):
    first = added("report", "--json").json
    assert (first["images"], first["files"], first["redundant"], first["percent"]) == (3, 4, 2, 50.0)
    assert first["folders"] == [{"path": str(album), "files": 4, "redundant": 2, "percent": 50.0}]
    (album / "half.jpg").unlink()
    added("remove", album / "half.jpg")
    assert added("report", "--json").json["since_last"]["gone"] == []
    added("remove", album / "coffee.png")
    assert len(added("report", "--json").json["since_last"]["gone"]) == 1
    assert "group gone" in added("report").out or "no group" in added("report").out
    assert added("report", "--csv").out.startswith("folder,files")


def test_clean_plans_applies_and_takes_back(added, album):
    before = {path.name: path.read_bytes() for path in album.iterdir()}
    plan = added("clean", "--json").json
    assert {Path(step["path"]).name for step in plan["steps"]} <= before.keys()
    assert len(plan["steps"]) == 2
    assert {path.name: path.read_bytes() for path in album.iterdir()} == before
    done = added("clean", "--apply", "--json").json
    assert {*done["done"]} == {step["path"] for step in plan["steps"]}
    assert len(list(album.iterdir())) == 2
    assert added("duplicates", "--json").json["redundant"] == 0
    assert added("clean", "--apply").code == 2  # a plan is carried out once
    assert len(added("clean", "--undo", "--json").json["restored"]) == 2
    assert {path.name: path.read_bytes() for path in album.iterdir()} == before
    assert added("sync", "--json").json["added"] == 2
    assert added("duplicates", "--json").json["redundant"] == 2
    assert added("clean", "--undo", "--json").json == {"restored": [], "failed": []}
    added("clean", "--to", "hardlink")
    linked = added("clean", "--apply", "--json").json
    assert len(linked["done"]) == 1
    assert [Path(skipped["path"]).name for skipped in linked["skipped"]] == ["half.jpg"]


def test_decisions(added, album):
    assert added("different", album / "coffee.png", album / "half.jpg").code == 0
    assert added("duplicates", "--json").json["redundant"] == 1
    assert added("different", album / "coffee.png", album / "half.jpg", "--forget").code == 0
    assert added("keep", album / "half.jpg").code == 0
    (group,) = added("duplicates", "--json").json["groups"]
    assert (group["keep"], group["why"]) == (str(album / "half.jpg"), "you chose it")


def test_a_full_check(added):
    checked = added("check", "--full", "--json").json
    assert (checked["ok"], checked["problems"]) == (True, [])


def test_calibrate_is_remembered(added, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("astronaut", "rocket", "camera", "retina"):
        image = getattr(skimage.data, name)()
        cv2.imwrite(str(photos / f"{name}.png"), image if image.ndim == 2 else image[..., ::-1])
    added("add", photos)
    result = added("calibrate", "--json").json
    assert result["photos"] == 6
    assert 0 <= result["recall"] <= 1
    assert "Calibrated on" in json.dumps(added("duplicates", "--json").json["calibration"])


def test_policies_are_kept_and_obeyed(added, album):
    assert added("policy", "--protect", album, "--keep", "oldest", "--json").json == {
        "protect": [str(album)], "prefer": [], "keep": ["oldest"], "separate_raw": False,
    }  # fmt: skip
    assert added("duplicates", "--json").json["redundant"] == 0
    assert added("policy", "--forget", album, "--json").json["protect"] == []
    assert added("policy", "--forget", album).code == 1
    assert added("duplicates", "--json").json["redundant"] == 2


def test_a_folder_is_not_unprotected_by_preferring_it(added, album):
    added("policy", "--protect", album)
    refused = added("policy", "--prefer", album, "--keep", "oldest")
    assert refused.code == 2
    assert f"{album} is protected" in refused.err
    assert f"imgindex policy --forget {album} --prefer {album}" in refused.err
    now = added("policy", "--json").json
    assert (now["protect"], now["prefer"], now["keep"]) == ([str(album)], [], [])
    now = added("policy", "--forget", album, "--prefer", album, "--json").json
    assert (now["protect"], now["prefer"]) == ([], [str(album)])


@pytest.mark.parametrize("wrong", [["--keep", "best"], ["--forget", "/nothing"], ["--prefer", "/a"]])
def test_policies_change_all_or_not_at_all(added, album, wrong):
    assert added("policy", "--protect", album, "--protect", "/a", *wrong).code
    assert added("policy", "--json").json == {"protect": [], "prefer": [], "keep": [], "separate_raw": False}


def test_contains_says_what_is_held_elsewhere_and_adds_nothing(added, album, tmp_path):
    before = added("duplicates", "--json").json["files"]
    card = tmp_path / "card"
    card.mkdir()
    shutil.copy(album / "cat.png", card / "a.png")
    found = added("contains", card, "--json")
    assert (found.code, found.json["safe"], found.json["files"][0]["held"]) == (0, True, "whole")
    cv2.imwrite(str(card / "new.png"), np.ascontiguousarray(skimage.data.rocket()[..., ::-1]))
    found = added("contains", card, "--json")
    assert (found.code, found.json["safe"]) == (1, False)
    assert {Path(one["path"]).name: one["held"] for one in found.json["files"]} == {"a.png": "whole", "new.png": "no"}
    assert not added("contains", album, "--json").json["safe"]  # a folder does not hold itself
    assert added("duplicates", "--json").json["files"] == before


def test_a_part_is_cleaned(added, album):
    (group,) = added("duplicates", "--json").json["groups"]
    exact = added("clean", "--only", "exact", "--json").json
    assert len(exact["steps"]) == 1
    assert len(added("clean", "--group", group["id"], "--json").json["steps"]) == 2
    assert added("clean", "--group", 999).code == 1
    assert len(added("clean", "--under", album, "--json").json["steps"]) == 2
    assert added("clean", "--under", album / "none", "--json").json["steps"] == []
