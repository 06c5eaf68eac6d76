"""The API: what each route answers, and how it refuses."""

import base64
import io
import json
import os
import re
import shutil
import time
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

from imgindex import ImgindexError, Original, Sandbox, decoder_sandbox
from imgindex.server import create_app
from tests.conftest import write_picture
from tests.support.embedders import FakeEmbedder

V1 = "/api/v1"


@pytest.fixture
def client(app):
    client = app.test_client()
    client.open = partial(client.open, buffered=True)  # reads files to their end, so that they are closed
    return client


@pytest.fixture
def index(app):
    return app.extensions["imgindex"].index


@pytest.fixture
def filled(index, photos):
    """Five pictures, the first of them twice, and once more as the same pixels in another file."""
    shutil.copy(photos / "0.png", photos / "0 copy.png")
    cv2.imwrite(str(photos / "0.bmp"), cv2.imread(str(photos / "0.png")))
    index.add([photos])
    return photos


def picture(seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    return cv2.imencode(".png", rng.integers(0, 256, (8, 8, 3), np.uint8))[1].tobytes()


def upload(client, *files: tuple[bytes, str], field: str = "file", to: str = f"{V1}/images"):
    return client.post(to, data={field: [(io.BytesIO(data), name) for data, name in files]})


def refused(answer, status: int) -> str:
    """The sentence of a problem."""
    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json"), answer.get_data()
    assert answer.json["status"] == status
    detail = answer.json["detail"]
    assert detail.endswith((".", "]")), detail
    assert "Traceback" not in detail
    return detail


# Uploads


def test_upload_answers_with_the_id_and_the_same_bytes_again_with_the_same(client):
    first = upload(client, (picture(1), "a.png"))
    assert first.status_code == 201
    (one,) = first.json["images"]
    assert one == {
        "id": one["id"],
        "new": True,
        "copies": {"exact": [], "near": []},
        "theme": None,
        "location": f"{V1}/images/{one['id']}",
    }
    assert first.headers["Location"] == one["location"]
    assert client.get(one["location"]).json["id"] == one["id"]

    again = upload(client, (picture(1), "b.png"))
    assert again.status_code == 200
    assert (again.json["images"][0]["id"], again.json["images"][0]["new"]) == (one["id"], False)
    assert client.get(f"{V1}/images").json["images"][0]["id"] == one["id"]


def test_upload_of_many_says_which_could_not_be_read(client):
    answer = upload(client, (picture(1), "a.png"), (b"no picture", "../../b.png"), (picture(2), "c.png"))
    assert answer.status_code == 201
    assert [one["new"] for one in answer.json["images"]] == [True, True]
    (failed,) = answer.json["failed"]
    assert (failed["position"], failed["name"]) == (1, "../../b.png")
    assert failed["reason"]
    assert "Location" not in answer.headers


def test_upload_says_what_it_copies(client, filled):
    answer = upload(client, ((filled / "0.png").read_bytes(), "x.png"))
    (one,) = answer.json["images"]
    assert sorted(one["copies"]["exact"]) == [str(filled / "0 copy.png"), str(filled / "0.png")]
    (near,) = one["copies"]["near"]
    assert near["id"] != one["id"]
    assert near["score"] == 1


@pytest.mark.parametrize("to", [f"{V1}/images", f"{V1}/similar"])
def test_uploads_that_are_none(client, index, to):
    assert "field named file" in refused(upload(client, (picture(1), "a.png"), field="picture", to=to), 422)
    assert "field named file" in refused(client.post(to, data=picture(1), content_type="image/png"), 422)
    assert "field named file" in refused(client.post(to, json={"file": "x"}), 422)
    assert "field named file" in refused(client.post(to), 422)
    assert "field named file" in refused(upload(client, (b"", ""), to=to), 422)
    for text in ("", "text"):
        refused(client.post(to, data={"file": text}, content_type="multipart/form-data"), 422)
    refused(upload(client, (b"", "empty.png"), to=to), 422)
    refused(upload(client, (b"no picture", "a.png"), to=to), 422)
    refused(upload(client, (picture(1)[:-20], "a.png"), to=to), 422)
    assert index.counts().files == 0


def test_too_many_files(client, index):
    refused(upload(client, *[(picture(seed), "a.png") for seed in range(65)]), 413)
    assert index.counts().files == 0


# Images


@pytest.mark.usefixtures("filled")
def test_pages_of_images_show_each_once_the_newest_first(client):
    seen, cursor = [], None
    while cursor or not seen:
        page = client.get(f"{V1}/images", query_string={"limit": 4, "cursor": cursor} if cursor else {"limit": 4}).json
        seen += [image["id"] for image in page["images"]]
        cursor = page["next"]
    assert seen == sorted(seen, reverse=True)
    assert len(seen) == 6
    assert client.get(f"{V1}/images?limit=6").json["next"] is None


@pytest.mark.usefixtures("filled")
def test_images_of_a_theme(client, index):
    index.themes.recluster(2)
    for cluster in client.get(f"{V1}/clusters").json["clusters"]:
        images = client.get(f"{V1}/images", query_string={"theme": cluster["id"]}).json["images"]
        assert {image["id"] for image in images} == {image["id"] for image in cluster["images"]}
        assert {image["theme"] for image in images} == {cluster["id"]}


def made_up(*keys: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(keys, separators=(",", ":")).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [
        "x", "====", "%00", "é", "W10", "bnVsbA", "A" * 500,
        made_up("images"), made_up("images", "1"), made_up("images", -1), made_up("images", 2**63), made_up("runs", 1),
        made_up("images", True), made_up("images", 1.5), made_up("images", 1) + "=", made_up("images", 1, 2),
        base64.urlsafe_b64encode(b'["images", 1]').decode().rstrip("="), base64.b64encode(b"[" * 60).decode(),
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["images", "duplicates", "clusters/runs"])
def test_cursors_that_are_made_up(client, path, cursor):
    answer = client.get(f"{V1}/{path}", query_string={"cursor": cursor})
    if cursor == made_up("runs", 1):
        assert "cursor" in refused(answer, 400)
    else:
        refused(answer, 422 if len(cursor) > 120 else 400)


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=201",
        "limit=x",
        "limit=1.5",
        "limit=",
        "limit=1_0",
        "limit=%D9%A1",
        "theme=0",
        "theme=x",
        f"theme={2**63}",
        "cursor=",
    ],
)
def test_queries_of_a_list_that_cannot_be(client, query):
    refused(client.get(f"{V1}/images?{query}"), 422)


def test_an_image_and_its_end(client, filled):
    (image,) = [one for one in client.get(f"{V1}/images").json["images"] if len(one["paths"]) == 2]
    assert client.get(f"{V1}/images/{image['id']}").json == image
    assert image["paths"] == [str(filled / "0 copy.png"), str(filled / "0.png")]
    assert (image["width"], image["height"], len(image["sha256"])) == (32, 32, 64)
    gone = client.delete(f"{V1}/images/{image['id']}")
    assert (gone.status_code, gone.get_data(), gone.headers.get("Content-Type")) == (204, b"", None)
    refused(client.get(f"{V1}/images/{image['id']}"), 404)
    refused(client.delete(f"{V1}/images/{image['id']}"), 404)
    assert (filled / "0.png").exists()


def test_an_uploaded_file_goes_with_its_image(client):
    location = upload(client, (picture(1), "a.png")).headers["Location"]
    (path,) = client.get(location).json["paths"]
    assert client.delete(location).status_code == 204
    assert not Path(path).exists()


@pytest.mark.parametrize("image", [0, 99, 2**63 - 1, 2**63, 10**18, "9" * 5000, "-1", "1.0", "x", "%D9%A1", "..%2f1"])
@pytest.mark.parametrize("part", ["", "/file", "/thumbnail", "/similar"])
@pytest.mark.usefixtures("filled")
def test_ids_that_are_not_there(client, image, part):
    refused(client.get(f"{V1}/images/{image}{part}"), 404)


def test_a_path_that_is_not_utf8_is_shown(client, index, tmp_path):
    os.rename(write_picture(tmp_path / "a.png", 1), os.fsencode(tmp_path) + b"/\xff.png")
    index.add([tmp_path])
    (image,) = client.get(f"{V1}/images").json["images"]
    assert image["paths"] == [f"{tmp_path}/\\xff.png"]
    assert client.get(f"{V1}/images/{image['id']}/file").status_code == 200
    assert client.get(f"{V1}/report").status_code == 200


# Files


@pytest.mark.usefixtures("filled")
def test_a_file_is_served_as_it_is(client):
    image = client.get(f"{V1}/images").json["images"][0]
    data = Path(image["paths"][0]).read_bytes()
    url = f"{V1}/images/{image['id']}/file"
    answer = client.get(url)
    assert answer.get_data() == data
    assert answer.mimetype == "image/png"
    assert answer.headers["ETag"] == f'"{image["sha256"]}"'
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Disposition"] == f"inline; filename=image-{image['id']}.png"
    assert answer.headers["Cache-Control"] == "private, no-cache"
    assert client.get(url, headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304
    assert client.get(url, headers={"If-None-Match": '"other"'}).status_code == 200
    part = client.get(url, headers={"Range": "bytes=1-3"})
    assert (part.status_code, part.get_data()) == (206, data[1:4])
    assert part.headers["Content-Range"] == f"bytes 1-3/{len(data)}"
    refused(client.get(url, headers={"Range": f"bytes={len(data)}-"}), 416)
    refused(client.get(url, headers={"If-Match": '"other"'}), 412)
    head = client.head(url)
    assert (head.status_code, head.get_data(), head.content_length) == (200, b"", len(data))


@pytest.mark.usefixtures("filled")
def test_a_file_that_changed_is_not_served(client):
    image = client.get(f"{V1}/images").json["images"][0]
    Path(image["paths"][0]).write_bytes(b"<html>")
    for part in ("file", "thumbnail"):
        assert "sync" in refused(client.get(f"{V1}/images/{image['id']}/{part}"), 404)


def test_a_file_that_goes_away_meanwhile(client, index, filled, monkeypatch):
    monkeypatch.setattr(index.images, "original", lambda _: Original(str(filled / "gone.png"), "image/png"))
    assert "sync" in refused(client.get(f"{V1}/images/1/file"), 404)


@pytest.mark.parametrize("kind", ["image/svg+xml", "text/html", "application/octet-stream"])
def test_what_a_browser_could_run_is_served_as_bytes(client, index, filled, monkeypatch, kind):
    monkeypatch.setattr(index.images, "original", lambda _: Original(str(filled / "0.png"), kind))
    answer = client.get(f"{V1}/images/1/file")
    assert answer.mimetype == "application/octet-stream"
    assert answer.headers["Content-Disposition"] == "inline; filename=image-1.bin"


def test_a_thumbnail(client, index, tmp_path):
    index.add([write_picture(tmp_path / "a.png", 1, 600)])
    url = f"{V1}/images/1/thumbnail"
    answer = client.get(url)
    assert answer.mimetype == "image/jpeg"
    assert cv2.imdecode(np.frombuffer(answer.get_data(), np.uint8), cv2.IMREAD_COLOR).shape == (320, 320, 3)
    assert answer.headers["ETag"] == f'"{index.images.get(1).sha256.hex()}"'
    known = client.get(url, headers={"If-None-Match": answer.headers["ETag"]})
    assert (known.status_code, known.get_data()) == (304, b"")
    assert known.headers["ETag"] == answer.headers["ETag"]
    assert client.head(url).content_length == answer.content_length


# Similar


@pytest.mark.usefixtures("filled")
def test_similar_to_an_image_of_the_index(client, index):
    answer = client.get(f"{V1}/images/1/similar?k=3").json
    assert answer["query"]["id"] == 1
    assert len(answer["results"]) == 3
    assert [hit["id"] for hit in answer["results"]] == [hit.id for hit in index.similar(1, k=3).results]
    scores = [hit["similarity"] for hit in answer["results"]]
    assert scores == sorted(scores, reverse=True)
    assert len(client.get(f"{V1}/images/1/similar").json["results"]) == 5
    assert client.get(f"{V1}/images/1/similar?k=3&min=0.9").json["results"] == [
        hit for hit in answer["results"] if hit["similarity"] >= 0.9
    ]
    index.themes.recluster(2)
    theme = index.themes.current().themes[0]
    hits = client.get(f"{V1}/images/1/similar", query_string={"theme": theme.id}).json["results"]
    assert {hit["id"] for hit in hits} == {image.id for image in theme.images} - {1}
    refused(client.get(f"{V1}/images/1/similar?theme=77"), 404)


def test_similar_to_a_picture_that_is_not_kept(client, index, filled):
    before = index.counts()
    known = upload(client, ((filled / "1.png").read_bytes(), "x.png"), to=f"{V1}/similar?k=2").json
    assert known["query"]["id"] == index.similar(filled / "1.png").id
    assert len(known["results"]) == 2
    new = upload(client, (picture(9), "x.png"), to=f"{V1}/similar?k=2").json
    assert new["query"] == {"id": None, "path": None}
    assert len(new["results"]) == 2
    assert index.counts() == before


@pytest.mark.parametrize(
    "query",
    ["k=0", "k=1001", "k=1000000", "k=x", "k=-1", "k=1e3", "min=-0.1", "min=1.1", "min=nan", "min=inf", "theme=x"],
)
@pytest.mark.usefixtures("filled")
def test_wishes_that_cannot_be_granted(client, query):
    refused(client.get(f"{V1}/images/1/similar?{query}"), 422)
    refused(upload(client, (picture(1), "a.png"), to=f"{V1}/similar?{query}"), 422)


# Themes


def finish(client, answer) -> dict:
    assert answer.status_code == 202
    place = answer.headers["Location"]
    assert place == f"{V1}/jobs/{answer.json['id']}"
    for _ in range(200):
        job = client.get(place).json
        if job["state"] != "running":
            return job
        time.sleep(0.05)
    raise AssertionError(job)


@pytest.mark.usefixtures("filled")
def test_a_run_in_the_background_and_its_themes(client):
    empty = client.get(f"{V1}/clusters").json
    assert empty == {"run": None, "k": 0, "clusters": [], "drift": None}
    job = finish(client, client.post(f"{V1}/clusters/runs", json={"clusters": 2}))
    assert (job["state"], job["reason"]) == ("done", None)
    clusters = client.get(f"{V1}/clusters").json
    assert (clusters["run"], clusters["k"]) == (job["run"], 2)
    assert sum(cluster["size"] for cluster in clusters["clusters"]) == 6
    runs = client.get(f"{V1}/clusters/runs").json
    assert [run["run"] for run in runs["runs"]] == [job["run"]]
    assert finish(client, client.post(f"{V1}/clusters/runs"))["state"] == "done"
    first = client.get(f"{V1}/clusters/runs?limit=1").json
    second = client.get(f"{V1}/clusters/runs", query_string={"limit": 1, "cursor": first["next"]}).json
    assert first["runs"][0]["run"] > second["runs"][0]["run"]
    assert second["next"] is None


@pytest.mark.usefixtures("filled")
def test_a_theme_page_by_page(client, index):
    index.themes.recluster(1)
    (theme,) = index.themes.current().themes
    seen, cursor = [], None
    while cursor or not seen:
        query = {"limit": 4, "cursor": cursor} if cursor else {"limit": 4}
        page = client.get(f"{V1}/clusters/{theme.id}", query_string=query).json
        seen += [image["id"] for image in page["images"]]
        cursor = page["next"]
    assert seen == [image.id for image in theme.images]
    refused(client.get(f"{V1}/clusters/{theme.id + 1}"), 404)


def test_a_list_of_themes_shows_the_most_typical(client, index, tmp_path):
    for seed in range(30):
        write_picture(tmp_path / "photos" / f"{seed}.png", seed)
    index.add([tmp_path / "photos"])
    index.themes.recluster(1)
    (cluster,) = client.get(f"{V1}/clusters").json["clusters"]
    (theme,) = index.themes.current().themes
    assert cluster["size"] == 30
    assert [image["id"] for image in cluster["images"]] == [image.id for image in theme.images[:24]]


@pytest.mark.usefixtures("filled")
def test_renaming(client, index):
    index.themes.recluster(1)
    url = f"{V1}/clusters/{index.themes.current().themes[0].id}"
    before = client.get(url).headers["ETag"]
    assert client.patch(url, json={"name": "Cats \ud83d"}).json["name"] == "Cats ?"
    assert client.get(url, headers={"If-None-Match": before}).json["name"] == "Cats ?"
    assert client.patch(url, json={"name": None}).json["name"] is None
    refused(client.patch(f"{V1}/clusters/99", json={"name": "x"}), 404)
    for body in ({}, {"name": 1}, {"name": "x" * 201}, {"name": "x", "more": 1}, [], "x"):
        refused(client.patch(url, json=body), 422)


@pytest.mark.usefixtures("filled")
def test_runs_that_cannot_be(client):
    for body in ({"clusters": 0}, {"clusters": "2"}, {"clusters": True}, {"clusters": 1.5}, {"k": 2}, []):
        refused(client.post(f"{V1}/clusters/runs", json=body), 422)
    refused(client.post(f"{V1}/clusters/runs", json={"clusters": 100}), 400)
    refused(client.get(f"{V1}/jobs/nothing"), 404)


@pytest.mark.parametrize("path", ["clusters/runs", "duplicates/1/decision"])
def test_bodies_that_are_no_json(client, path):
    url = f"{V1}/{path}"
    refused(client.post(url, data="clusters=2", content_type="application/x-www-form-urlencoded"), 415)
    refused(client.post(url, data="{}", content_type="text/plain"), 415)
    for body in ("{", "[" * 100_000, "9" * 5000, b"\xff"):
        refused(client.post(url, data=body, content_type="application/json"), 400)


# Duplicates


@pytest.fixture
def group(client, filled):
    """Two files of one image and a third of another."""
    assert len(list(filled.iterdir())) == 7
    answer = client.get(f"{V1}/duplicates")
    assert answer.status_code == 200
    (group,) = answer.json["groups"]
    return group


def test_groups_and_what_they_amount_to(client, group, filled):
    totals = client.get(f"{V1}/duplicates").json
    assert {key: totals[key] for key in ("next", "total", "images", "files", "redundant", "percent")} == {
        "next": None, "total": 1, "images": 6, "files": 7, "redundant": 2, "percent": 28.57,
    }  # fmt: skip
    assert group["kind"] == "near"
    assert group["keep"] == group["files"][0]["path"]
    assert {file["path"] for file in group["files"]} == {str(filled / n) for n in ("0.png", "0 copy.png", "0.bmp")}
    assert client.get(f"{V1}/duplicates/{group['id']}").json == group
    refused(client.get(f"{V1}/duplicates/{group['id'] + 1}"), 404)


def test_groups_page_by_page_while_one_goes(client, index, tmp_path):
    for seed in range(4):
        for name in ("a", "b", "c")[: 3 if seed < 2 else 2]:
            write_picture(tmp_path / "photos" / f"{seed}{name}.png", seed)
    index.add([tmp_path / "photos"])
    first = client.get(f"{V1}/duplicates?limit=2").json
    assert len(first["groups"]) == 2
    index.remove([tmp_path / "photos" / f"0{name}.png" for name in "abc"])
    second = client.get(f"{V1}/duplicates", query_string={"limit": 2, "cursor": first["next"]}).json
    seen = [group["id"] for group in first["groups"] + second["groups"]]
    assert len(set(seen)) == 4
    assert second["next"] is None


def decide(client, group: int, **body):
    return client.post(f"{V1}/duplicates/{group}/decision", json=body)


@pytest.mark.parametrize("by", ["path", "image"])
def test_keeping_a_file_and_taking_it_back(client, group, by):
    chosen = group["files"][-1]
    answer = decide(client, group["id"], decision="keep", **{by: chosen[by]}).json
    assert (answer["decision"], answer["forget"]) == ("keep", False)
    (now,) = answer["groups"]
    assert now["files"][0][by] == chosen[by]
    assert now["why"] == "you chose it"
    (then,) = decide(client, group["id"], decision="keep", forget=True, **{by: chosen[by]}).json["groups"]
    assert then == group


def test_calling_pictures_different_and_taking_it_back(client, group):
    images = sorted({file["image"] for file in group["files"]})
    (rest,) = decide(client, group["id"], decision="different", images=images).json["groups"]
    assert rest["kind"] == "exact"
    (again,) = decide(client, 10**6, decision="different", images=images, forget=True).json["groups"]
    assert {file["path"] for file in again["files"]} == {file["path"] for file in group["files"]}


def test_a_choice_is_taken_back_by_its_path_when_its_group_is_gone(client, group, index):
    chosen = group["files"][1]
    decide(client, group["id"], decision="keep", path=chosen["path"])
    (then,) = decide(client, 10**6, decision="keep", path=chosen["path"], forget=True).json["groups"]
    assert then["files"][0]["path"] == group["files"][0]["path"]
    decide(client, group["id"], decision="keep", path=chosen["path"])
    index.remove(sorted({file["image"] for file in group["files"]}))
    answer = decide(client, group["id"], decision="keep", path=chosen["path"], forget=True)
    assert (answer.status_code, answer.json["groups"]) == (200, [])
    refused(decide(client, 1, decision="keep", path="\ud800", forget=True), 400)


def test_a_decision_is_of_few_images(client, group):
    assert "50" in refused(decide(client, group["id"], decision="different", images=list(range(1, 52))), 422)
    refused(decide(client, group["id"], decision="different", images=list(range(1, 51))), 400)


def test_nothing_is_known_of_an_image_that_is_not_there(client):
    refused(client.get(f"{V1}/images/99", headers={"If-None-Match": "*"}), 404)
    assert client.get(f"{V1}/images", headers={"If-None-Match": "*"}).status_code == 200


def test_a_part_that_is_no_file_goes_by_the_name_of_its_field(client):
    answer = client.post(f"{V1}/images", data={"file": ["", "text"]}, content_type="multipart/form-data")
    refused(answer, 422)
    assert {error["name"] for error in answer.json["errors"]} == {"file"}


def test_decisions_that_cannot_be(client, group):
    image = group["files"][0]["image"]
    for body in (
        {}, {"decision": "keep"}, {"decision": "keep", "image": image, "path": "x"}, {"decision": "maybe"},
        {"decision": "keep", "image": image, "images": [1, 2]}, {"decision": "different", "images": [image]},
        {"decision": "different", "image": image}, {"decision": "different", "images": [image, "2"]},
        {"decision": "keep", "image": image, "forget": "yes"}, {"decision": "keep", "image": image, "forget": 1},
        {"decision": "keep", "image": image, "forget": None}, {"decision": "keep", "image": str(image)},
        {"decision": "keep", "image": 2**63}, {"decision": "keep", "path": ""}, {"decision": 1, "image": image},
    ):  # fmt: skip
        refused(decide(client, group["id"], **body), 422)
    assert "group" in refused(decide(client, group["id"], decision="keep", path="/etc/passwd"), 400)
    assert "group" in refused(decide(client, group["id"], decision="keep", image=5000), 400)
    assert "group" in refused(decide(client, group["id"], decision="different", images=[image, 5000]), 400)
    refused(decide(client, group["id"], decision="different", images=[image, image]), 400)
    refused(decide(client, 999, decision="keep", image=image), 404)
    refused(decide(client, 999, decision="keep", image=5000, forget=True), 404)
    assert client.get(f"{V1}/duplicates/{group['id']}").json == group


# Reports


@pytest.mark.usefixtures("filled")
def test_report_as_json_csv_and_html(client, index):
    report = client.get(f"{V1}/report").json
    assert (report["files"], report["redundant"], report["percent"]) == (7, 2, 28.57)
    assert report["since_last"]["created"] is None
    csv = client.get(f"{V1}/report?format=csv")
    assert csv.mimetype == "text/csv"
    assert csv.headers["Content-Disposition"] == "attachment; filename=imgindex-report.csv"
    assert csv.text.startswith("folder,files,redundant,percent\r\n")
    html = client.get(f"{V1}/report?format=html")
    assert (html.mimetype, html.headers["Content-Disposition"].split(";")[0]) == ("text/html", "attachment")
    refused(client.get(f"{V1}/report?format=pdf"), 422)
    assert client.get(f"{V1}/report/history").json == {"reports": []}
    kept = index.reports.make()
    assert client.get(f"{V1}/report/history").json == {
        "reports": [{"created": kept.created, "images": 6, "files": 7, "redundant": 2, "percent": 28.57}]
    }


@pytest.mark.parametrize("path", ["report", "report?format=csv", "duplicates", "clusters", "images", "images/1"])
@pytest.mark.usefixtures("filled")
def test_an_answer_that_the_client_has_is_not_sent_again(client, path):
    url = f"{V1}/{path}"
    first = client.get(url)
    tag = first.headers["ETag"]
    assert first.headers["Cache-Control"] == "private, no-cache"
    known = client.get(url, headers={"If-None-Match": tag})
    assert (known.status_code, known.get_data(), known.headers["ETag"]) == (304, b"", tag)
    assert client.head(url).headers["ETag"] == tag
    assert client.get(f"{url}{'&' if '?' in url else '?'}x=1").headers["ETag"] != tag
    upload(client, (picture(77), "x.png"))
    changed = client.get(url, headers={"If-None-Match": tag})
    assert (changed.status_code, changed.headers["ETag"] != tag) == (200, True)


# The server itself


def known_health(client):
    """What is told once the decoder was asked, which no request waits for."""
    end = time.monotonic() + 30
    while (told := client.get("/health").json)["sandbox"] == "unknown":
        assert time.monotonic() < end
        time.sleep(0.02)
    return told


def test_health_says_how_far_the_decoder_is_shut_in(client, monkeypatch):
    monkeypatch.setattr("imgindex.server.walls.decoder_sandbox", lambda: Sandbox(files=False, calls=True))
    told = known_health(client)
    assert (told["status"], told["sandbox"]) == ("ok", "partial")
    assert "no Landlock" in told["lacking"][0]


def test_health_tells_no_path_where_the_decoder_cannot_start(client, monkeypatch, caplog):
    def broken():
        raise ImgindexError("the picture decoder cannot start: /secret/python is not there")

    monkeypatch.setattr("imgindex.server.walls.decoder_sandbox", broken)
    client.get("/health")
    while not any("/secret/python" in message for message in caplog.messages):
        time.sleep(0.01)
    for _ in range(2):
        answer = client.get("/health")
        assert (answer.status_code, answer.json["sandbox"], len(answer.json["lacking"])) == (200, "unknown", 1)
        assert "secret" not in answer.text
    assert sum("/secret/python" in message for message in caplog.messages) == 1


def test_health_and_readiness(client, app, monkeypatch, caplog):
    here = decoder_sandbox()
    told = {"status": "ok", "sandbox": here.state, "lacking": list(here.lacking)}
    assert known_health(client) == told
    assert client.get("/health").json == told
    monkeypatch.setattr(app.extensions["imgindex"], "ready", lambda: None)
    assert client.get("/ready").json == {"status": "ready"}
    monkeypatch.setattr(app.extensions["imgindex"], "ready", lambda: "/secret/weights cannot be read.")
    answer = client.get("/ready")
    assert refused(answer, 503) == "The model is not loaded yet; if this lasts, the server's log says why."
    client.get("/ready")
    assert caplog.messages.count("/secret/weights cannot be read.") == 1
    assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("PUT", "images/1", {"GET", "HEAD", "OPTIONS", "DELETE"}), ("GET", "similar", {"POST", "OPTIONS"})],
)
def test_methods_that_are_not_there(client, method, path, allowed):
    answer = client.open(f"{V1}/{path}", method=method)
    refused(answer, 405)
    assert {word.strip() for word in answer.headers["Allow"].split(",")} == allowed


def test_the_description(app, client):
    spec = client.get("/openapi.json").json
    assert spec["openapi"] == "3.1.0"
    assert (spec["info"]["title"], "servers" in spec) == ("imgindex", False)
    ids = []
    for path, operations in spec["paths"].items():
        assert path.startswith(f"{V1}/") or path in ("/health", "/ready")
        for operation in operations.values():
            ids.append(operation["operationId"])
            assert operation["summary"].endswith(".")
            assert "security" not in operation
            for status, answer in operation["responses"].items():
                kinds = list(answer.get("content", {}))
                assert (kinds == ["application/problem+json"]) == (status >= "400"), (path, status)
    assert len(ids) == len(set(ids)) == 25
    described = {re.sub(r"<(\w+:)?(\w+)>", r"{\2}", rule.rule) for rule in app.url_map.iter_rules()}
    assert {path for path in described if path.startswith(V1)} == {path for path in spec["paths"] if path[:4] == "/api"}


def test_the_description_asks_for_a_token_where_one_is_needed(tmp_path):
    app = create_app({"INDEX": tmp_path / "index", "EMBEDDER": FakeEmbedder(), "TOKEN": "t" * 40})
    client = app.test_client()
    spec = client.get("/openapi.json", headers={"Authorization": f"Bearer {'t' * 40}"}).json
    for path, operations in spec["paths"].items():
        for method, operation in operations.items():
            answer = client.open(re.sub("{.*?}", "1", path), method=method)
            if path in ("/health", "/ready"):
                assert "security" not in operation
                assert answer.status_code in (200, 503)
            else:
                assert operation["security"] == [{"bearer": []}]
                refused(answer, 401)
    app.extensions["imgindex"].close()


def test_the_documentation_needs_nothing_from_elsewhere(client):
    page = client.get("/docs")
    assert page.mimetype == "text/html"
    assert "script-src 'self';" in page.headers["Content-Security-Policy"]
    found = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(found) == 4
    for address in found:
        with client.get(f"/{address}") as part:
            assert part.status_code == 200, address
    assert "<script>" not in page.text
    for name in ("index.html", "..%2f__init__.py", "swagger-ui.js"):
        refused(client.get(f"/docs/{name}"), 404)
