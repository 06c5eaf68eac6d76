"""Every error is a problem of one shape; for a browser, a page."""

import json
import logging
from io import BytesIO

import pytest
from apiflask import HTTPError, Schema, fields
from apiflask.validators import Range
from flask import abort, make_response, redirect, request
from jinja2 import DictLoader
from marshmallow import RAISE
from werkzeug.exceptions import BadRequestKeyError, HTTPException, RequestedRangeNotSatisfiable, default_exceptions
from werkzeug.http import HTTP_STATUS_CODES

import imgindex
from imgindex.server import problems
from imgindex.server.errors import OverloadedError
from imgindex.server.middleware import security
from tests.support.serving import bare_app

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


class Query(Schema):
    k = fields.Integer(load_default=10, validate=Range(1, 1000))


class Body(Schema):
    class Meta:
        unknown = RAISE

    name = fields.String(required=True)
    images = fields.List(fields.Integer(strict=True))


class Upload(Schema):
    file = fields.List(fields.File(), required=True)


@pytest.fixture
def app(tmp_path):
    app = bare_app(tmp_path, problems, security, body=20_000, files=2)
    app.jinja_loader = DictLoader({"problem.html": "<h1>{{ status }} {{ title }}</h1>{{ detail }}"})

    @app.get("/api/v1/images/<int:image>")
    @app.input(Query, location="query")
    def image(image, query_data):
        return {"image": image, **query_data}

    @app.post("/api/v1/name")
    @app.input(Body)
    def name(json_data):
        return json_data

    @app.post("/api/v1/images")
    @app.input(Upload, location="files")
    def upload(files_data):
        return {"files": len(files_data["file"])}

    @app.post("/api/v1/body")
    def body():
        return {"bytes": len(request.get_data())}

    @app.get("/api/v1/failing")
    @app.get("/failing")
    def fail():
        raise app.extensions["error"]

    return app


@pytest.fixture
def failing(app):
    """The answer of a view that raises an error."""

    def ask(error, path="/api/v1/failing", **headers):
        app.extensions["error"] = error
        return app.test_client().get(path, headers=headers)

    return ask


def check(answer, status, detail=None):
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    body = answer.json
    assert {"type": "about:blank", "title": HTTP_STATUS_CODES[status], "status": status}.items() <= body.items()
    assert body["detail"].endswith(".")
    assert detail is None or body["detail"] == detail
    return body


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("UsageError", 400),
        ("NotIndexedError", 404),
        ("FileGoneError", 404),
        ("UnreadablePictureError", 422),
        ("BusyError", 409),
        ("WeightsError", 503),
        ("DiskFullError", 507),
        ("StorageError", 503),
        ("IndexFormatError", 500),
        ("ModelMismatchError", 500),
        ("ImgindexError", 500),
    ],
)
def test_errors_of_the_library(failing, kind, status, caplog):
    answer = failing(getattr(imgindex, kind)("Image 7 is such and such."))
    check(answer, status, "Image 7 is such and such.")
    assert answer.headers.get("Retry-After") == ("10" if kind in ("BusyError", "StorageError") else None)
    assert [record.message for record in caplog.records] == (["Image 7 is such and such."] if status >= 500 else [])


def test_a_full_queue(failing):
    answer = failing(OverloadedError(7, "Too many pictures are waiting"))
    check(answer, 503)
    assert answer.headers["Retry-After"] == "7"


def test_names_that_are_not_utf_8(failing):
    check(failing(imgindex.NotIndexedError("/a/\udcff\ud800.jpg is not in the index.")), 404)
    check(failing(imgindex.NotIndexedError("/a/\udcff is gone.")), 404, "/a/\\xff is gone.")
    page = failing(imgindex.NotIndexedError("/a/\udcff\ud800<b>.jpg is not in the index."), "/failing", **BROWSER)
    assert (page.status_code, page.mimetype) == (404, "text/html")


def test_anything_else_is_told_only_to_the_log(failing, caplog):
    sentence = "The server failed to handle this request; its log says why."
    body = check(failing(ZeroDivisionError("secret /path")), 500, sentence)
    assert "secret" not in json.dumps(body)
    (record,) = caplog.records
    assert record.message == "'GET' '/api/v1/failing' failed."
    assert record.levelno == logging.ERROR
    assert record.exc_info[0] is ZeroDivisionError


def test_so_is_one_in_a_hook(app, caplog):
    @app.after_request
    def fail(_response):
        raise ZeroDivisionError("secret")

    app.config["PROPAGATE_EXCEPTIONS"] = False
    answer = app.test_client().get("/api/v1/images/1")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert caplog.records


@pytest.mark.parametrize("code", sorted(default_exceptions))
def test_errors_of_http(app, code):
    app.add_url_rule("/api/v1/plain", "plain", lambda: abort(code))
    app.add_url_rule("/api/v1/said", "said", lambda: abort(code, description="It is said."))
    client = app.test_client()
    check(client.get("/api/v1/plain"), code)
    check(client.get("/api/v1/said"), code, "It is said.")


def test_headers_of_http_stay(failing, client):
    answer = failing(RequestedRangeNotSatisfiable(100))
    check(answer, 416)
    assert answer.headers["Content-Range"] == "bytes */100"
    answer = client.delete("/api/v1/images/1")
    check(answer, 405, "This address only accepts GET, HEAD, OPTIONS.")
    assert answer.headers["Allow"] == "GET, HEAD, OPTIONS"


def test_what_is_no_error_stays(app):
    app.add_url_rule("/a", "a", lambda: abort(redirect("/b")))
    app.add_url_rule("/c", "c", lambda: abort(make_response("mine", 409)))
    app.add_url_rule("/d/", "d", lambda: "d")
    client = app.test_client()
    assert (client.get("/a").status_code, client.get("/a").location) == (302, "/b")
    assert (client.get("/c").status_code, client.get("/c").text) == (409, "mine")
    assert client.get("/d").status_code == 308


def test_nothing_of_the_inside_is_said(failing, app):
    app.debug = True
    check(failing(BadRequestKeyError("secret")), 400, "The request is invalid.")
    check(failing(HTTPError(409, "It is busy.")), 409, "It is busy.")


def test_parameters(client):
    body = check(client.get("/api/v1/images/1?k=0"), 422)
    assert body["detail"] == "k: Must be greater than or equal to 1 and less than or equal to 1000."
    assert body["errors"] == [{"in": "query", "name": "k", "detail": body["detail"][3:]}]
    check(client.get("/api/v1/images/1?k=many"), 422, "k: Not a valid integer.")
    check(client.get("/api/v1/images/one"), 404, "There is nothing at this address.")


def test_bodies(client):
    check(client.post("/api/v1/name", json={}), 422, "name: Missing data for required field.")
    body = check(client.post("/api/v1/name", json={"name": 1, "images": [1, "x", 1.5], "\ud800" + "x" * 500: 1}), 422)
    assert body["detail"].endswith(" (and 3 more).")
    assert [error["name"] for error in body["errors"]][:3] == ["name", "images.1", "images.2"]
    assert max(len(error["name"]) for error in body["errors"]) < 210
    body = check(client.post("/api/v1/name", json={"images": ["x"] * 1000}), 422)
    assert len(body["errors"]) == 20
    for nonsense in (b"{", b"[", b"\xff", b"null", b"3", b""):
        answer = client.post("/api/v1/name", data=nonsense, content_type="application/json")
        check(answer, answer.status_code)
        assert answer.status_code in (400, 422)


def upload(client, *files, **fields):
    data = {"file": [(BytesIO(data), "a.png") for data in files], **fields}
    return client.post("/api/v1/images", data=data, content_type="multipart/form-data")


# werkzeug leaves the file that it was writing to the garbage collector
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_too_large(client):
    large = "The request is larger than this server allows; send fewer or smaller files."
    assert upload(client, b"x" * 10_000).json == {"files": 1}
    check(upload(client, b"x" * 20_000), 413, large)
    check(upload(client, *[b"x"] * 80), 413, large)
    check(client.post("/api/v1/body", data=b"x" * 20_001), 413, large)
    assert client.post("/api/v1/body", data=b"x" * 20_000).json == {"bytes": 20_000}


def test_only_uploads_may_be_large(app, monkeypatch):
    monkeypatch.setattr(security, "PLAIN", 1_000)
    client = app.test_client()
    assert upload(client, b"x" * 10_000).json == {"files": 1}
    for kind in ("application/json", "application/x-www-form-urlencoded", "image/png", "multipart/form-data; x"):
        answer = client.post("/api/v1/body", data=b"x" * 1_001, content_type=kind)
        assert answer.status_code == (200 if kind.startswith("multipart") else 413)


class TestPage:
    def test_for_a_browser(self, client):
        answer = client.get("/nowhere", headers=BROWSER)
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert (answer.status_code, answer.text) == (404, "<h1>404 Not Found</h1>There is nothing at this address.")
        assert answer.headers["Content-Security-Policy"] == security.POLICY

    @pytest.mark.parametrize(
        "accept", ["*/*", "application/json", "", "image/*", "text/html;q=0.1, application/json", ";;,"]
    )
    def test_not_for_a_program(self, client, accept):
        check(client.get("/nowhere", headers={"Accept": accept}), 404)

    def test_not_below_api(self, client):
        check(client.get("/api/v1/nowhere", headers=BROWSER), 404)

    def test_what_comes_from_outside_is_escaped(self, failing):
        answer = failing(imgindex.NotIndexedError("<script>alert(1)</script> is not here."), "/failing", **BROWSER)
        assert "&lt;script&gt;" in answer.text

    def test_json_where_the_page_fails(self, app, caplog):
        app.jinja_loader = DictLoader({"problem.html": "{{ 1 / 0 }}"})
        check(app.test_client().get("/nowhere", headers=BROWSER), 404)
        assert caplog.records[0].exc_info[0] is ZeroDivisionError


def test_codes_of_its_own_are_no_trouble(failing):
    error = HTTPException("It is odd.")
    error.code = 499
    assert failing(error).status_code == 499
