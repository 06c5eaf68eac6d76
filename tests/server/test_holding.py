"""What must not be lost: policies, whether pictures that are sent are held, and files that nobody looked at closely."""

import io
import json
import shutil
import sqlite3
from contextlib import closing
from functools import partial

import cv2
import numpy as np
import pytest

from imgindex.facts import Facts
from imgindex.rendering.sentences import NOT_SEEN
from tests.conftest import write_picture
from tests.support.html import of_the_server

V1 = "/api/v1"
NONE = {"protect": [], "prefer": [], "keep": [], "separate_raw": False}


@pytest.fixture
def index(app):
    return app.extensions["imgindex"].index


@pytest.fixture
def twins(index, photos):
    """Five pictures, the first of them in another folder, too."""
    (photos / "twins").mkdir()
    shutil.copy(photos / "0.png", photos / "twins" / "0.png")
    index.add([photos])
    return photos


def send(client, *files: tuple[bytes, str]):
    return client.post(f"{V1}/contains", data={"file": [(io.BytesIO(data), name) for data, name in files]})


def goes(client) -> list[str]:
    (group,) = client.get(f"{V1}/duplicates").json["groups"]
    return [file["path"] for file in group["files"] if not file["stays"]]


# Policies


def test_policies_are_replaced_as_a_whole(client):
    assert client.get(f"{V1}/policies").json == NONE
    wanted = {"protect": ["/p/best"], "prefer": ["/p"], "keep": ["oldest", "pixels"], "separate_raw": True}
    assert client.put(f"{V1}/policies", json=wanted).json == wanted
    assert client.get(f"{V1}/policies").json == wanted
    assert client.put(f"{V1}/policies", json=NONE).json == NONE


def test_a_protected_folder_loses_nothing(client, twins):
    before = client.get(f"{V1}/duplicates")
    (path,) = goes(client)
    client.put(f"{V1}/policies", json={**NONE, "protect": [str(twins)]})
    assert goes(client) == []
    again = client.get(f"{V1}/duplicates", headers={"If-None-Match": before.headers["ETag"]})
    assert (again.status_code, again.json["redundant"]) == (200, 0)
    client.put(f"{V1}/policies", json=NONE)
    assert goes(client) == [path]


def test_files_of_a_preferred_folder_stay_rather_than_others(client, twins):
    client.put(f"{V1}/policies", json={**NONE, "prefer": [str(twins / "twins")]})
    assert goes(client) == [str(twins / "0.png")]


@pytest.mark.parametrize(
    "wrong",
    [
        {"protect": ["photos"]}, {"protect": [""]}, {"protect": ["/a\0b"]}, {"protect": ["/a\ud800"]},
        {"protect": "/a"}, {"protect": None}, {"prefer": [1]}, {"keep": ["best"]}, {"keep": "oldest"},
        {"separate_raw": "yes"}, {"separate_raw": None}, {"more": 1}, {"protect": ["/" + "a" * 5000]},
    ],
)  # fmt: skip
def test_policies_that_cannot_be_change_nothing(client, wrong):
    kept = {**NONE, "protect": ["/p"]}
    client.put(f"{V1}/policies", json=kept)
    answer = client.put(f"{V1}/policies", json={**NONE, **wrong})
    assert (answer.status_code, answer.mimetype) == (422, "application/problem+json")
    assert client.get(f"{V1}/policies").json == kept


def test_a_folder_is_either_protected_or_preferred(client):
    answer = client.put(f"{V1}/policies", json={**NONE, "protect": ["/p"], "prefer": ["/p/"]})
    assert answer.status_code == 400
    assert "/p is both protected and preferred" in answer.json["detail"]
    assert client.get(f"{V1}/policies").json == NONE


def test_a_part_of_the_policies_is_refused(client):
    for part in ({}, {"protect": ["/p"]}, []):
        assert client.put(f"{V1}/policies", json=part).status_code == 422
    assert client.put(f"{V1}/policies", data="{", content_type="application/json").status_code == 400
    assert client.put(f"{V1}/policies", data="{}", content_type="text/plain").status_code == 415


def test_a_folder_whose_name_is_not_utf8_comes_back_as_it_was(client, index):
    index.duplicates.policies.add("protect", [b"/p/\xff"])
    shown = client.get(f"{V1}/policies").json
    assert shown["protect"] == ["/p/\\xff"]
    assert client.put(f"{V1}/policies", json=shown).json == shown
    assert index.duplicates.policies.get().protect == ("/p/\udcff",)


# Contains


def test_what_is_held_is_named_and_nothing_is_kept(client, index, twins):
    before = index.counts()
    same = (twins / "1.png").read_bytes()
    pixels = cv2.imencode(".bmp", cv2.imread(str(twins / "2.png")))[1].tobytes()
    new = cv2.imencode(".png", np.random.default_rng(9).integers(0, 256, (32, 32, 3), np.uint8))[1].tobytes()
    found = send(client, (same, "a.png"), (pixels, "../b.bmp"), (new, "c.png"), (b"no picture", "d.png")).json
    assert [(one["path"], one["held"]) for one in found["files"]] == [
        ("a.png", "whole"), ("../b.bmp", "whole"), ("c.png", "no"), ("d.png", "no"),
    ]  # fmt: skip
    assert [one["by"] and one["by"]["path"] for one in found["files"]] == [
        str(twins / "1.png"), str(twins / "2.png"), None, None,
    ]  # fmt: skip
    assert all(one["why"] for one in found["files"])
    assert "picture" in found["files"][3]["why"]
    assert found["safe"] is False
    assert send(client, (same, "a.png"), (pixels, "b.bmp")).json["safe"] is True
    assert index.counts() == before


def test_a_file_that_has_gone_since_holds_nothing(client, twins):
    data = (twins / "1.png").read_bytes()
    (twins / "1.png").unlink()
    found = send(client, (data, "a.png")).json
    assert (found["safe"], found["files"][0]["held"], found["files"][0]["by"]) == (False, "no", None)


def test_what_cannot_be_looked_for(client, index):
    assert send(client, (b"", "")).status_code == 422
    assert client.post(f"{V1}/contains", data={"other": (io.BytesIO(b"x"), "x.png")}).status_code == 422
    assert client.post(f"{V1}/contains").status_code == 422
    assert send(client, *[(b"x", f"{n}.png") for n in range(65)]).status_code in (400, 413)
    assert index.counts().files == 0


# Files that were not looked at closely


@pytest.fixture
def older(index, client, tmp_path):
    """Two files of the same pixels, of which an index made before holds no facts."""
    write_picture(tmp_path / "p" / "a.png", 1)
    cv2.imwrite(str(tmp_path / "p" / "a.bmp"), cv2.imread(str(tmp_path / "p" / "a.png")))
    index.add([tmp_path / "p"])
    assert len(goes(client)) == 1
    with closing(sqlite3.connect(tmp_path / "index" / "index.db")) as database:
        database.executescript("DELETE FROM facts; DELETE FROM relations; UPDATE state SET generation = generation + 1")
    return partial(client.get, headers={"Accept": "text/html"})


def test_nothing_goes_that_was_not_looked_at_closely(client, older):
    (group,) = client.get(f"{V1}/duplicates").json["groups"]
    assert [file["stays"] for file in group["files"]] == [True, True]
    assert {
        json.dumps([file[name] for name in ("facts", "frames", "detail", "captured")]) for file in group["files"]
    } == {"[null, null, null, null]"}
    for path in ("/duplicates", f"/duplicates/{group['id']}"):
        found = of_the_server(older(path).text)
        assert NOT_SEEN in found.text
        assert "May go" not in found.text
    assert "All of them stay" in older(f"/duplicates/{group['id']}").text
    assert "nothing to clean" in of_the_server(older("/duplicates/plan").text).text


def test_a_sync_looks_at_it(client, index, older):
    index.sync()
    assert len(goes(client)) == 1
    assert NOT_SEEN not in older("/duplicates").text


@pytest.mark.usefixtures("twins")
def test_a_group_tells_what_a_file_holds(client):
    (group,) = client.get(f"{V1}/duplicates").json["groups"]
    stays, gone = group["files"]
    assert (stays["held_by"], gone["held_by"]) == (None, stays["image"])
    assert stays["why"]
    assert gone["why"]
    assert (stays["frames"], stays["facts"]["format"]) == (1, "png")
    assert Facts(**stays["facts"]).detail > 0
    page = of_the_server(client.get(f"/duplicates/{group['id']}", headers={"Accept": "text/html"}).text)
    assert "1 file may go" in page.text
    assert page.text.index("Stays") < page.text.index("May go")
