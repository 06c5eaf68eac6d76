"""The pages, as a browser without scripts or htmx gets them."""

import html
import io
import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from imgindex import BusyError
from imgindex.server import create_app
from imgindex.server.jobs import Job
from imgindex.server.middleware.tokens import add_token
from imgindex.server.pages import cleaning, library
from tests.conftest import write_picture
from tests.support.browser import write_album
from tests.support.embedders import PageEmbedder
from tests.support.html import of_the_server

PAGES = ("/", "/duplicates", "/duplicates/related", "/duplicates/plan", "/themes", "/report")
HTMX = {"HX-Request": "true"}
NO_NUMBERS = ("x", "-1", "2.5", "٣", "9" * 5_000)


@pytest.fixture(scope="module")
def album(tmp_path_factory):
    return write_album(tmp_path_factory.mktemp("album") / "photos", ("coffee", "chelsea"))


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A server of an empty index, and a client that asks as a browser does."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    app = create_app({"INDEX": tmp_path / "index", "EMBEDDER": PageEmbedder()})
    service = app.extensions["imgindex"]
    client = app.test_client()
    client.environ_base["HTTP_ACCEPT"] = "text/html,application/xhtml+xml,*/*;q=0.8"
    yield SimpleNamespace(app=app, index=service.index, service=service, client=client, get=client.get)
    service.close()


@pytest.fixture
def full(served, album, tmp_path):
    """The same with two photos and their copies, and a file with the same bytes as another one."""
    photos = shutil.copytree(album, tmp_path / "photos")
    shutil.copy(photos / "coffee-plain.png", photos / "coffee-again.png")
    served.index.add([photos])
    served.photos = photos
    return served


def group_of(served, name):
    return next(group for group in served.index.duplicates.find().groups if name in group.files[0].path)


def image_of(served, name):
    return next(entry.id for entry in served.index.images.list() if any(name in path for path in entry.paths))


def page(served, path, status=200):
    response = served.get(path)
    assert response.status_code == status, response.text
    return of_the_server(response.text)


def inputs(text, name):
    return re.findall(rf'name="{name}" value="([^"]*)"', text)


@pytest.mark.parametrize("path", PAGES)
def test_an_empty_index_says_what_to_do_next(served, path):
    found = page(served, path)
    assert re.search(r"No pictures|No copies|No themes|nothing to clean|No two pictures", found.text)


def test_all_pages_of_a_full_index(full):
    full.index.themes.recluster(2)
    full.index.reports.make()
    group = group_of(full, "coffee")
    image = group.files[0].image
    paths = (*PAGES, f"/images/{image}", f"/similar/{image}", f"/duplicates/{group.id}", "/themes/1", "/counts")
    for path in paths:
        response = full.get(path)
        assert response.status_code == 200, path
        assert "HX-Request" in response.headers["Vary"]
        assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
        of_the_server(response.text)


def test_the_counts_of_the_header_compute_nothing(full, monkeypatch):
    """Every page asks for them after every change."""
    full.index.themes.recluster(2)
    monkeypatch.setattr(full.service, "duplicates", lambda: 1 / 0)
    monkeypatch.setattr(full.service, "clusters", lambda: 1 / 0)
    counts = re.findall(r'id="count-(\w+)"[^>]*>(\d+)<', full.get("/counts").text)
    assert dict(counts) == {"library": "8", "themes": "2"}


@pytest.mark.parametrize("path", ["/images/99", "/similar/99", "/duplicates/99", "/themes/99", "/themes/jobs/none"])
def test_what_is_not_there_is_a_sentence(full, path):
    found = page(full, path, 404)
    assert re.search(r"There is no (image|group|theme|job) \w+", found.text)
    assert "/duplicates" in found.values("href", "a")  # the way on


@pytest.mark.parametrize("query", ["before=x", "before=-1", "theme=x", "before=9" + "9" * 30, "theme=9" + "9" * 30])
def test_made_up_numbers_do_no_harm(full, query):
    page(full, f"/?{query}")
    page(full, f"/duplicates?{query.replace('before', 'from')}")


def test_the_library_shows_the_newest_first_and_all_in_parts(full, monkeypatch):
    monkeypatch.setattr(library, "PAGE", 3)
    path, seen = "/", []
    while path:
        text = full.get(path).text
        seen += [int(image) for image in re.findall(r'class="open" href="/images/(\d+)"', text)]
        more = re.search(r'hx-get="(/pictures\?[^"]*)"', text)
        path = html.unescape(more[1]) if more else None
    assert seen == [entry.id for entry in full.index.images.list()]


def test_the_library_by_theme(full):
    full.index.themes.recluster(2)
    theme = full.index.themes.current().themes[0]
    shown = re.findall(r'class="open" href="/images/(\d+)"', full.get(f"/?theme={theme.id}").text)
    assert {int(image) for image in shown} == {member.id for member in theme.images}


def test_upload_by_a_form(served, tmp_path):
    picture = write_picture(tmp_path / "a.png", 1).read_bytes()
    files = [(io.BytesIO(data), name) for name, data in (("<a>.png", picture), ("b.png", picture), ("c", b"no"))]
    text = served.client.post("/upload", data={"file": files}).text
    found = of_the_server(text)
    assert re.search(r"<a>.png:\s+new", found.text)
    assert re.search(r"b.png:\s+already there", found.text)
    assert re.search(r"c:\s+not added: .*not a picture", found.text)
    assert served.client.post("/upload", data={}).status_code == 422


def test_search_by_a_picture_that_is_not_kept(full, album):
    data = (album / "coffee-small.png").read_bytes() + b"\0"  # other bytes
    response = full.client.post("/search", data={"file": (io.BytesIO(data), "x.png")}, headers=HTMX)
    assert "<html" not in response.text
    shares = [int(share) for share in re.findall(r"<b>(\d+)%</b>", response.text)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 95
    assert full.index.counts().files == 9
    whole = full.client.post("/search", data={"file": (io.BytesIO(data), "x.png")})
    assert "Images similar to yours" in of_the_server(whole.text).text


def test_search_by_a_picture_of_the_library_says_so(full, album):
    data = (album / "coffee-small.png").read_bytes()
    text = full.client.post("/search", data={"file": (io.BytesIO(data), "x.png")}).text
    assert "This picture is in the library" in text
    assert f"/images/{image_of(full, 'coffee-small')}" in of_the_server(text).values("href", "a")


@pytest.mark.parametrize("data", [{}, {"file": (b"nothing", "a.png")}])
def test_search_by_no_picture(full, data):
    sent = {name: (io.BytesIO(value[0]), value[1]) for name, value in data.items()}
    for headers in ({}, HTMX):
        response = full.client.post("/search", data=dict(sent), headers=headers)
        assert response.status_code == 422
        assert re.search("Choose a picture|cannot be read", response.text)
        sent = {name: (io.BytesIO(value[0]), value[1]) for name, value in data.items()}


def test_similar_is_narrowed(full):
    image = image_of(full, "coffee-small")
    full.index.themes.recluster(2)
    theme = full.index.images.get(image).theme
    few = full.get(f"/similar/{image}?k=2", headers=HTMX).text
    assert few.count('<li class="hit">') == 2
    assert 'name="k" value="4"' in few
    strict = full.get(f"/similar/{image}?min=100", headers=HTMX).text
    assert "Lower the threshold" in strict
    same = full.get(f"/similar/{image}?theme={theme}", headers=HTMX).text
    members = {m.id for t in full.index.themes.current().themes if t.id == theme for m in t.images}
    assert {int(i) for i in re.findall(r'href="/images/(\d+)"', same)} == members - {image}
    page(full, f"/similar/{image}?theme=77", 404)


def test_a_picture_with_an_evil_name(served, tmp_path):
    name = b"\xff<img src=x onerror=alert(1)>\xe2\x80\xae{{ 7*7 }}.png"
    path = write_picture(tmp_path / "photos" / "a.png", 1)
    path.rename(tmp_path / "photos" / name.decode("utf-8", "surrogateescape"))
    served.index.add([tmp_path / "photos"])
    for where in ("/", "/images/1", "/similar/1"):
        found = page(served, where)  # which no attribute on... passes
        assert r"\xff<img src=x onerror=alert(1)>\u202e{{ 7*7 }}.png" in found.text


def test_a_picture_whose_file_is_gone(full):
    image = image_of(full, "chelsea-small")
    (full.photos / "chelsea-small.png").unlink()
    found = page(full, f"/images/{image}")
    assert "The file is missing" in found.text
    page(full, f"/duplicates/{group_of(full, 'chelsea').id}?image={image}")


def test_forgetting_leaves_the_file_and_deletes_an_upload(full, tmp_path):
    image = image_of(full, "chelsea-small")
    assert "the file stays" in page(full, f"/images/{image}").text
    response = full.client.post(f"/images/{image}/forget", follow_redirects=True)
    assert "The picture is forgotten." in response.text
    assert (full.photos / "chelsea-small.png").exists()
    (uploaded,) = full.service.upload([write_picture(tmp_path / "u.png", 9).read_bytes()])
    assert "its file is deleted as well" in page(full, f"/images/{uploaded.image}").text
    path = full.index.images.original(uploaded.image).path
    full.client.post(f"/images/{uploaded.image}/forget")
    assert not Path(path).exists()


@pytest.mark.parametrize(
    ("name", "corners"),
    [
        ("crop", [(1 / 8, 1 / 8), (1, 1 / 8), (1, 1), (1 / 8, 1)]),
        ("mirrored", [(1, 0), (0, 0), (0, 1), (1, 1)]),
        ("small", [(0, 0), (1, 0), (1, 1), (0, 1)]),
    ],
)
@pytest.mark.parametrize("first", ["plain", "other"])
def test_the_transform_lays_the_other_picture_over_the_one_to_keep(served, album, name, corners, first):
    files = [album / "coffee-plain.png", album / f"coffee-{name}.png"]
    for path in files if first == "plain" else reversed(files):  # so that either has the lower id
        served.index.add([path])
    served.index.duplicates.prefer([files[0]])
    (group,) = served.index.duplicates.find().groups
    text = served.get(f"/duplicates/{group.id}").text
    transform = np.array(json.loads(re.search(r'data-transform="([^"]*)"', text)[1])).reshape(3, 3)
    found = transform @ np.array([(0, 0, 1), (1, 0, 1), (1, 1, 1), (0, 1, 1)], float).T
    np.testing.assert_allclose((found[:2] / found[2]).T, corners, atol=0.02)


def test_keeping_another_file_and_taking_it_back(full):
    before = group_of(full, "coffee")
    other = before.files[-1]
    text = full.get(f"/duplicates/{before.id}").text
    tokens = inputs(text, "file")
    for chosen in (tokens[-1], tokens[1], tokens[-1]):  # the last choice counts
        response = full.client.post(f"/duplicates/{before.id}/keep", data={"file": chosen})
        assert (response.status_code, response.location) == (303, f"/duplicates/{before.id}?said=keep")
    assert group_of(full, "coffee").files[0].path == other.path
    assert "you chose it" in full.get(response.location).text
    (mine,) = inputs(full.get("/duplicates").text.split('name="back"')[0], "file")[-1:]
    text = full.client.post(f"/duplicates/{before.id}/keep", data={"file": mine, "back": 1}, headers=HTMX).text
    assert "you chose it" not in text
    assert group_of(full, "coffee").files == before.files


def test_a_path_from_a_client_names_nothing(full):
    group = group_of(full, "coffee")
    found = full.client.post(f"/duplicates/{group.id}/keep", data={"file": group.files[-1].path})
    assert found.status_code == 409
    assert "no longer in this group" in found.text


def test_not_a_duplicate_and_taking_it_back(full):
    group = group_of(full, "coffee")
    image = group.files[-1].image
    response = full.client.post(f"/duplicates/{group.id}/different", data={"image": image})
    assert response.status_code == 303
    assert image not in {file.image for file in group_of(full, "coffee").files}
    text = full.get(response.location).text
    assert "different pictures" in text
    full.client.post("/duplicates/different/back", data={"image": inputs(text, "image")[: len(group.files)]})
    assert group_of(full, "coffee").files == group.files
    assert full.client.post(f"/duplicates/{group.id}/different", data={"image": 99}).status_code == 409


def test_made_up_ids_are_ignored(full):
    ids = ["9" * 5_000, "-1", "1.5", "٣", "²", "x", ""]
    text = full.get(f"/duplicates?undo={','.join(ids)}").text
    assert ">Undo<" not in text
    assert inputs(full.get(f"/duplicates?undo={','.join([*ids, '1', '2'])}").text, "image")[:2] == ["1", "2"]
    for some in (ids, [*ids, "1"], ["1", "1"], []):
        response = full.client.post("/duplicates/different/back", data={"image": some})
        assert response.status_code == 409
        assert "reload the page" in response.text


def test_one_picture_that_is_gone_takes_nothing_back(full):
    group = group_of(full, "coffee")
    images = list(dict.fromkeys(file.image for file in group.files))
    full.client.post(f"/duplicates/{group.id}/different", data={"image": images[-1]})
    told = full.index.duplicates._matches.different()
    assert len(told) == len(images) - 1
    response = full.client.post("/duplicates/different/back", data={"image": [images[-1], images[0], 99]})
    assert response.status_code == 404
    assert full.index.duplicates._matches.different() == told


def test_the_pictures_of_the_weakest_pair_are_different(full):
    group = group_of(full, "chelsea")
    text = full.get(f"/duplicates/{group.id}?weakest=1").text
    assert f"images {group.weakest.a} and {group.weakest.b}" in text
    full.client.post(f"/duplicates/{group.id}/different", data={"weakest": 1}, headers=HTMX)
    now = [g for g in full.index.duplicates.find().groups if "chelsea" in g.files[0].path]
    assert not any({group.weakest.a, group.weakest.b} <= {file.image for file in g.files} for g in now)


def test_a_group_that_is_settled_says_so(served, album):
    served.index.add([album / "coffee-plain.png", album / "coffee-small.png"])
    (group,) = served.index.duplicates.find().groups
    text = served.client.post(
        f"/duplicates/{group.id}/different", data={"image": group.files[1].image}, headers=HTMX
    ).text
    assert "Settled" in text
    assert ">Undo<" in text
    assert not served.index.duplicates.find().groups


def test_the_plan_is_shown_and_only_that_is_done_and_undone(full):
    text = full.get("/duplicates/plan").text
    plan = full.index.cleanup.plan("trash")
    shown = of_the_server(text).text
    assert all(f"Stays: {step.keep}" in shown and f"To the trash: {step.path}" in shown for step in plan.steps)
    (fingerprint,) = inputs(text, "plan")
    stale = full.client.post("/duplicates/clean", data={"plan": "0" * 64})
    assert stale.status_code == 409
    assert "The plan has changed" in stale.text
    assert inputs(stale.text, "plan") == [fingerprint]
    assert full.index.counts().files == 9
    done = full.client.post("/duplicates/clean", data={"plan": fingerprint})
    assert f"{len(plan.steps)} files moved to the trash" in done.text
    assert len(list(full.photos.iterdir())) == full.index.counts().files == 2
    again = full.client.post("/duplicates/clean", data={"plan": fingerprint})  # as a reload does
    assert again.status_code == 409
    back = full.client.post("/duplicates/undo")
    assert "7 files brought back" in back.text
    assert full.index.counts().files == len(list(full.photos.iterdir())) == 9
    assert "There is no clean to undo" in full.client.post("/duplicates/undo").text


def test_reclustering_without_scripts(full):
    assert full.client.post("/themes/recluster", data={"clusters": "2"}).location == "/themes"
    full.service.jobs._thread.submit(lambda: None).result()
    found = page(full, "/themes")
    assert "in 2 themes" in found.text
    for clusters, said in (
        ("77", "ask for 1 to 8"),
        ("0", "ask for 1 to 8"),
        *((no, "must be a whole") for no in NO_NUMBERS),
    ):
        refused = full.client.post("/themes/recluster", data={"clusters": clusters})
        assert refused.status_code == 400
        assert said in refused.text
    assert full.client.post("/themes/recluster", data={"clusters": " "}).location == "/themes"
    full.service.jobs._thread.submit(lambda: None).result()
    assert [run.k for run in full.index.themes.runs()][1:] == [2]


@pytest.mark.parametrize(
    ("job", "said"),
    [
        (Job("a", "running", "2025"), "Reading all pictures"),
        (Job("a", "running", "2025", 3, 12), "Tried 3 of 12 numbers of themes"),
        (Job("a", "done", "2025", 12, 12, 4), "Done."),
        (Job("a", "failed", "2025", reason="The disk is <full>."), "The disk is <full>."),
    ],
)
def test_a_run_is_watched(full, monkeypatch, job, said):
    monkeypatch.setattr(full.service.jobs, "get", lambda _: job)
    response = full.get("/themes/jobs/a", headers=HTMX)
    assert said in of_the_server(response.text).text
    assert ("every 1s" in response.text) == (job.state == "running")


def test_a_second_run_shows_the_first(full, monkeypatch):
    def busy(_):
        raise BusyError("A recluster is running.")

    monkeypatch.setattr(full.service.jobs, "start_recluster", busy)
    monkeypatch.setattr(full.service.jobs, "last", lambda: Job("first", "running", "2025"))
    assert "/themes/jobs/first" in full.client.post("/themes/recluster", headers=HTMX).text


def test_naming_a_theme(full):
    full.index.themes.recluster(2)
    for name, title in ((" Cats  and <b>dogs</b> ", "Cats and <b>dogs</b>"), ("", "Theme 1")):
        part = full.client.post("/themes/1/name", data={"name": name}, headers=HTMX).text
        assert title in of_the_server(part).text
        assert full.client.post("/themes/1/name", data={"name": name}).location.startswith("/themes/1?said=")
        assert title in page(full, "/themes/1").text


def test_a_name_that_is_too_long(full):
    full.index.themes.recluster(2)
    response = full.client.post("/themes/1/name", data={"name": "x" * 81})
    assert response.status_code == 400
    assert "81 letters is too long" in response.text
    full.client.post("/themes/1/name", data={"name": "cats\0\r\n"})
    assert {theme.id: theme.name for theme in full.index.themes.current().themes}[1] == "cats"


def test_plots_are_pictures_that_are_kept(full):
    assert full.get("/themes/plots/curve.svg").status_code == 404
    full.index.themes.recluster(2)
    first = full.get("/themes/plots/curve.svg")
    assert first.mimetype == "image/svg+xml"
    assert b"How many themes?" in first.data
    again = full.get("/themes/plots/curve.svg", headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304
    assert full.get("/themes/plots/other.svg").status_code == 404


def test_a_long_plan_comes_in_parts(full, monkeypatch):
    monkeypatch.setattr(cleaning, "PAGE", 2)
    second = page(full, "/duplicates/plan?from=3")
    assert "4 to 5 of 7" in second.text
    assert {"/duplicates/plan?from=1", "/duplicates/plan?from=5"} <= set(second.values("href", "a"))


def test_the_report_and_its_history(full):
    assert "No report is saved yet" in page(full, "/report").text
    response = full.client.post("/report/keep", follow_redirects=True)
    assert "The report is saved" in response.text
    extra = group_of(full, "chelsea")
    full.index.remove([file.path for file in extra.files])
    text = full.get("/report").text
    assert f"group {extra.id}" in text.split("Gone:")[1]
    assert text.count("<circle") == 2
    assert len(full.index.reports.history()) == 1  # looking keeps nothing
    assert {f"/api/v1/report?format={kind}" for kind in ("csv", "json", "html")} <= set(
        of_the_server(text).values("href", "a")
    )


def test_a_token_for_reading_shows_no_button_that_changes(tmp_path):
    token = add_token(tmp_path / "tokens", read_only=True)
    app = create_app({"INDEX": tmp_path / "index", "EMBEDDER": PageEmbedder(), "TOKENS": tmp_path / "tokens"})
    try:
        app.extensions["imgindex"].index.add([write_picture(tmp_path / "p" / "a.png", 1)])
        client = app.test_client()
        for path in ("/", "/images/1", "/duplicates/plan", "/themes", "/report"):
            response = client.get(path, headers={"Authorization": f"Bearer {token}", "Accept": "text/html"})
            assert set(of_the_server(response.text).values("action", "form")) <= {"/search", "/", "/similar/1"}
    finally:
        app.extensions["imgindex"].close()


def test_signing_in_is_a_page(tmp_path):
    app = create_app({"INDEX": tmp_path / "index", "EMBEDDER": PageEmbedder(), "TOKEN": "correct-horse-battery-staple"})
    try:
        client = app.test_client()
        of_the_server(client.get("/login").text)
        response = client.post("/login", data={"token": "correct-horse-battery-staple", "next": "/"})
        assert response.status_code == 303
        assert "Sign out" in client.get("/").text
    finally:
        app.extensions["imgindex"].close()
