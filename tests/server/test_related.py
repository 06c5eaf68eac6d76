"""Related pairs, which share something though neither holds the other: in the API, and framed on the page."""

import re

import cv2
import numpy as np
import pytest

from imgindex.server import create_app
from tests.support.browser import photo
from tests.support.embedders import PageEmbedder
from tests.support.html import of_the_server

V1 = "/api/v1"
CENTRE, RADIUS = (420, 130), 40  # of the sticker, in a photo of 600 x 400


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """Two photos; one of them again with a sticker, and the other one as the left half of a collage."""
    folder = tmp_path_factory.mktemp("related")
    coffee, chelsea = photo("coffee"), photo("chelsea")
    height, width = chelsea.shape[:2]
    pictures = {
        "coffee": coffee,
        "sticker": cv2.circle(coffee.copy(), CENTRE, RADIUS, (140, 20, 60), -1),
        "chelsea": chelsea,
        "collage": np.hstack([chelsea, cv2.resize(photo("astronaut"), (width, height))]),
    }
    for name, picture in pictures.items():
        cv2.imwrite(str(folder / f"{name}.png"), picture)
    app = create_app({"INDEX": folder / "index", "EMBEDDER": PageEmbedder()})
    app.extensions["imgindex"].index.add([folder / f"{name}.png" for name in pictures])
    yield app
    app.extensions["imgindex"].close()


@pytest.fixture
def client(app):
    return app.test_client()


def name_of(side: dict) -> str:
    return side["path"].rpartition("/")[2].partition(".")[0]


def test_the_api_tells_what_relates_them_and_where_they_differ(client):
    found = client.get(f"{V1}/related").json
    assert (found["total"], found["next"]) == (2, None)
    pairs = {(name_of(pair["a"]), name_of(pair["b"])): pair for pair in found["related"]}
    edited, part = pairs["coffee", "sticker"], pairs["chelsea", "collage"]
    assert (edited["kind"], part["kind"]) == ("edited", "part")
    assert min(edited["share_a"], edited["share_b"]) > 0.98
    assert part["share_a"] > 0.98
    assert 0.4 < part["share_b"] < 0.6
    x, y, w, h = edited["where"][0]
    assert (x + w / 2, y + h / 2) == pytest.approx((CENTRE[0] / 600, CENTRE[1] / 400), abs=0.03)
    assert (w, h) == pytest.approx((2 * RADIUS / 600, 2 * RADIUS / 400), abs=0.05)


def test_what_is_related_is_counted_nowhere(client):
    totals = client.get(f"{V1}/duplicates").json
    assert (totals["total"], totals["redundant"], totals["bytes"], totals["related_total"]) == (0, 0, 0, 2)
    assert totals["related"] == client.get(f"{V1}/related").json["related"]
    assert client.get(f"{V1}/report").json["redundant"] == 0


def test_one_kind_of_pairs_and_page_by_page(client):
    for kind, count in (("part", 1), ("edited", 1), ("alike", 0)):
        found = client.get(f"{V1}/related?kind={kind}").json
        assert (found["total"], [pair["kind"] for pair in found["related"]]) == (count, [kind] * count)
    first = client.get(f"{V1}/related?limit=1").json
    second = client.get(f"{V1}/related", query_string={"limit": 1, "cursor": first["next"]}).json
    assert first["related"] + second["related"] == client.get(f"{V1}/related").json["related"]
    assert second["next"] is None


def test_a_cursor_is_of_its_kind(client):
    cursor = client.get(f"{V1}/related?limit=1").json["next"]
    assert client.get(f"{V1}/related", query_string={"kind": "part", "cursor": cursor}).status_code == 400
    assert client.get(f"{V1}/related?kind=version").status_code == 422


def test_the_page_frames_the_place_in_the_first_picture(client):
    text = client.get("/duplicates/related?kind=edited").text
    page = of_the_server(text)
    (drawing,) = [svg for svg in page.all("svg") if svg.get("class") == "where"]
    assert drawing["viewbox"] == "0 0 600 400"
    frame = page.all("rect")[0]
    left, top, width, height = (float(frame[name]) for name in ("x", "y", "width", "height"))
    assert left < CENTRE[0] < left + width
    assert top < CENTRE[1] < top + height
    assert re.search(r"\d+ places? where it differs", str(drawing["aria-label"]))
    assert text.index('class="where"') < text.index("sticker.png")


def test_the_page_by_kind(client):
    everything = of_the_server(client.get("/duplicates/related").text)
    assert {"/duplicates/related?kind=part", "/duplicates/related?kind=edited"} <= set(everything.values("href", "a"))
    assert "/duplicates/related?kind=alike" not in everything.values("href", "a")  # there is none
    part = of_the_server(client.get("/duplicates/related?kind=part").text)
    assert "collage.png" in part.text
    assert "sticker.png" not in part.text
    assert re.search(r"100% of image \d+ is in image \d+", part.text)
    assert client.get("/duplicates/related?kind=nonsense").status_code == 200


@pytest.mark.parametrize("page", ["from=x", "from=-1", "from=99999", "kind=part&from=7"])
def test_made_up_parts_do_no_harm(client, page):
    of_the_server(client.get(f"/duplicates/related?{page}").text)
