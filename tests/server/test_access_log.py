"""One line of JSON a request, and the figures at /metrics."""

import json
import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from imgindex.server.app import create_app
from imgindex.server.middleware import security
from tests.conftest import write_picture
from tests.support.embedders import FakeEmbedder
from tests.support.serving import app_of


@pytest.fixture
def app(tmp_path, photos):
    with app_of(tmp_path) as app:
        app.extensions["imgindex"].index.add([photos])
        yield app


@pytest.fixture
def lines(caplog):
    """What was logged of requests."""
    return lambda: [
        json.loads(record.message) for record in caplog.records if record.name == "imgindex.server.requests"
    ]


@pytest.fixture
def figures(client):
    def figures():
        text = client.get("/metrics").text
        families = text_string_to_metric_families(text)
        return {(s.name, *sorted(s.labels.values())): s.value for family in families for s in family.samples}

    return figures


class TestLog:
    def test_a_line(self, client, lines):
        answer = client.get("/api/v1/images?limit=2&cursor=secret")
        (line,) = lines()
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line.pop("time"))
        assert 0 <= line.pop("milliseconds") < 60_000
        assert line.pop("id") == answer.headers["X-Request-ID"]
        assert line.pop("bytes") == len(answer.data)
        assert line == {"client": "127.0.0.1", "method": "GET", "path": "/api/v1/images", "status": answer.status_code}

    def test_what_is_refused_is_logged(self, client, lines, monkeypatch):
        client.get("/", headers={"Host": "evil.example"})
        client.post("/api/v1/images", headers={"Origin": "null"})
        client.get("/nowhere")
        monkeypatch.setattr("imgindex.server.service.Service.report", lambda _self: 1 / 0)
        client.get("/api/v1/report")
        assert [line["status"] for line in lines()] == [400, 403, 404, 500]

    def test_odd_paths_and_methods(self, client, lines, caplog):
        for path in ("/a%0Aforged%1B[31m%7F%C2%85", "/%FF%FE", "/" + "x" * 10_000, "/%F0%9F%98%80", '/"},{', "/%00"):
            client.get(path)
        client.open("/", method='BR"EW')
        assert len(lines()) == 7
        for record in caplog.records:
            assert re.fullmatch(r"[ -~]*", record.message)
        assert lines()[0]["path"] == "/a\nforged\x1b[31m\x7f\x85"

    @pytest.mark.parametrize(
        ("given", "kept"),
        [("abc-1.2_3", True), ("", False), ("x" * 65, False), ("a b", False), ('a"', False), ("é", False)],
    )
    def test_an_id_that_a_proxy_gave(self, client, lines, given, kept):
        answer = client.get("/health", headers={"X-Request-ID": given})
        name = answer.headers["X-Request-ID"]
        assert (name == given) is kept
        assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", name)
        assert lines()[0]["id"] == name


class TestMetrics:
    def test_requests(self, client, figures):
        client.get("/api/v1/images/1")
        client.get("/api/v1/images/2")
        client.get("/api/v1/images/99")
        client.get("/nowhere")
        client.open("/health", method="BREW")
        client.get("/health", headers={"Host": "evil.example"})
        seen = figures()
        rule = "/api/v1/images/<id:image>"
        assert seen["imgindex_requests_total", rule, "200", "GET"] == 2
        assert seen["imgindex_requests_total", rule, "404", "GET"] == 1
        assert seen["imgindex_requests_total", "404", "GET", "none"] == 1
        assert seen["imgindex_requests_total", "405", "none", "other"] == 1
        assert seen["imgindex_requests_total", "/health", "400", "GET"] == 1
        assert seen["imgindex_request_seconds_count", rule] == 3

    def test_made_up_names_do_not_add_up(self, client, figures):
        figures()
        before = len(figures())
        for i in range(50):
            client.open(f"/{i}", method=f"X{i}")
            client.get(f"/{i}")
        assert len(figures()) < before + 40

    def test_the_index(self, app, client, figures, tmp_path):
        seen = figures()
        assert (seen["imgindex_images",], seen["imgindex_files",], seen["imgindex_waiting",]) == (5, 5, 0)
        assert seen["imgindex_last_recluster_timestamp_seconds",] == 0
        assert seen["imgindex_last_report_timestamp_seconds",] == 0
        assert seen["imgindex_last_sync_timestamp_seconds",] == 0
        app.extensions["imgindex.metrics"].synced()
        assert figures()["imgindex_last_sync_timestamp_seconds",] > 1.7e9
        assert seen["process_resident_memory_bytes",] > 0
        app.extensions["imgindex"].index.themes.recluster(2)
        app.extensions["imgindex"].index.reports.make()
        picture = write_picture(tmp_path / "new.png", 9)
        with picture.open("rb") as file:
            assert client.post("/api/v1/images", data={"file": file}).status_code == 201
        seen = figures()
        assert seen["imgindex_images",] == 6
        assert seen["imgindex_embedded_total",] == 1
        assert seen["imgindex_embedding_seconds_count",] == 1
        assert seen["imgindex_last_recluster_timestamp_seconds",] > 1.7e9
        assert seen["imgindex_last_report_timestamp_seconds",] > 1.7e9

    def test_two_apps_count_each_for_itself(self, figures, client, tmp_path):
        other = create_app({"INDEX": tmp_path / "other", "EMBEDDER": FakeEmbedder()})
        try:
            other.test_client().get("/health")
            client.get("/health")
            assert figures()["imgindex_requests_total", "/health", "200", "GET"] == 1
        finally:
            other.extensions["imgindex"].close()

    def test_as_openmetrics_too(self, client):
        assert client.get("/metrics").headers["Content-Type"].startswith("text/plain; version=")
        answer = client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
        assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
        assert answer.text.endswith("# EOF\n")
        assert answer.headers["X-Content-Type-Options"] == security.HEADERS["X-Content-Type-Options"]
