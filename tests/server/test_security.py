"""What is refused whoever asks, and what every answer carries."""

import time

import pytest
from flask import Response

from imgindex.server import problems
from imgindex.server.middleware import security
from imgindex.server.middleware.rate_limit import RateLimit
from tests.support.serving import bare_app


def make_app(tmp_path, **settings):
    app = bare_app(tmp_path, problems, security, **settings)
    app.add_url_rule("/", "all", lambda: "done", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
    app.add_url_rule("/own", "own", lambda: Response("own", headers={"Content-Security-Policy": "default-src 'self'"}))
    return app


@pytest.fixture
def client(tmp_path):
    return make_app(tmp_path).test_client()


def status(client, host="localhost", method="GET", **headers):
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.open("/", method=method, headers={"Host": host, **names}).status_code


class TestHost:
    @pytest.mark.parametrize(
        "host", ["localhost", "LOCALHOST", "localhost:8787", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:8787"]
    )
    def test_of_this_machine(self, client, host):
        assert status(client, host) == 200

    @pytest.mark.parametrize(
        "host",
        ["evil.example", "localhost.evil.example", "evil.example:8787", "localhost:8787.evil.example", "localhost.", "",
         "127.0.0.1.nip.io", "127.1", "2130706433", "0x7f.1", "0.0.0.0", "::1", "[::1", "[::1]x", "[::1]:",
         "localhost:", "localhost:x", "localhost:123456", "localhost, evil.example", "localhost/evil", "user@localhost",
         "localhost#", "evil.example\\localhost", "localhost\x00", "localhost ", "loc\xe4lhost", "[::ffff:127.0.0.1]",
         "x" * 100_000],
    )  # fmt: skip
    def test_of_another(self, tmp_path, host):
        client = make_app(tmp_path).test_client(use_cookies=False)
        answer = client.get("/", headers={"Host": host})
        assert answer.status_code == 400
        assert answer.json["detail"].startswith("The Host header is not a name of this server;")
        assert "evil" not in answer.text

    def test_none(self, client):
        environ = {"HTTP_HOST": ""}
        assert client.get("/", environ_overrides=environ).status_code == 400

    def test_other_headers_do_not_count(self, client):
        assert status(client, "evil.example", X_Forwarded_Host="localhost", Forwarded="host=localhost") == 400
        assert status(client, "localhost", X_Forwarded_Host="evil.example") == 400  # a proxy that was not named

    def test_names_that_were_given(self, tmp_path):
        app = make_app(tmp_path, host="192.168.1.7", hosts=("Photos.lan", "fd00::7"))
        for host in ("192.168.1.7:80", "photos.lan", "PHOTOS.LAN:8787", "[fd00::7]:8787", "localhost"):
            assert status(app.test_client(), host) == 200
        for host in ("192.168.1.8", "x.photos.lan", "lan", "[fd00::8]"):
            assert status(app.test_client(), host) == 400

    def test_on_every_address_any_number_and_no_name(self, tmp_path):
        client = make_app(tmp_path, host="0.0.0.0").test_client()
        for host in ("192.168.1.7:8787", "10.0.0.1", "[fd00::7]:8787", "localhost"):
            assert status(client, host) == 200
        for host in ("evil.example", "10.0.0.1.nip.io", "10.1", "[fd00::7%25eth0]"):
            assert status(client, host) == 400


class TestOrigin:
    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
    def test_what_changes_things(self, client, method):
        assert status(client, method=method) == 200  # no browser
        for origin in ("http://localhost", "https://localhost", "HTTP://LOCALHOST"):
            assert status(client, method=method, Origin=origin) == 200
        assert status(client, "localhost:8787", method, Origin="http://localhost:8787") == 200
        assert status(client, "[::1]:8787", method, Origin="http://[::1]:8787") == 200
        for origin in (
            "null", "http://evil.example", "http://localhost:3000", "http://localhost.evil.example", "", "localhost",
            "http://evil.example/http://localhost", "http://localhost@evil.example", "file://", "http://[", "\xff",
            "chrome-extension://abcdef", "http://127.0.0.1", "http://localhost, http://evil.example",
        ):  # fmt: skip
            assert status(client, method=method, Origin=origin) == 403
        for site in ("same-origin", "none"):
            assert status(client, method=method, Sec_Fetch_Site=site, Origin="http://localhost") == 200
        for site in ("cross-site", "same-site", "", "Same-Origin", "none, cross-site"):
            assert status(client, method=method, Sec_Fetch_Site=site, Origin="http://localhost") == 403
            navigating = {"Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}
            assert status(client, method=method, Sec_Fetch_Site=site, **navigating) == 403

    def test_reading(self, client):
        for site in ("same-origin", "none"):
            assert status(client, Sec_Fetch_Site=site, Sec_Fetch_Mode="no-cors", Sec_Fetch_Dest="image") == 200
        for site in ("cross-site", "same-site"):
            assert status(client, Sec_Fetch_Site=site, Sec_Fetch_Mode="navigate", Sec_Fetch_Dest="document") == 200
            for mode, dest in (
                ("no-cors", "image"), ("no-cors", "script"), ("cors", "empty"), ("navigate", "iframe"),
                ("navigate", "embed"),
            ):  # fmt: skip
                assert status(client, Sec_Fetch_Site=site, Sec_Fetch_Mode=mode, Sec_Fetch_Dest=dest) == 403
                assert status(client, method="OPTIONS", Sec_Fetch_Site=site, Sec_Fetch_Mode=mode) == 403
        assert status(client, Origin="http://evil.example") == 200  # an old browser does not show it the answer

    def test_a_method_in_a_header_changes_nothing(self, client):
        assert status(client, method="POST", Origin="null", X_HTTP_Method_Override="GET") == 403


class TestHeaders:
    @pytest.mark.parametrize(("path", "host"), [("/", "localhost"), ("/nowhere", "localhost"), ("/", "evil.example")])
    def test_on_every_answer(self, client, path, host):
        headers = client.get(path, headers={"Host": host}).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Cross-Origin-Resource-Policy"] == headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert headers["Referrer-Policy"] == "same-origin"
        assert headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'; ")
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert not [name for name, _ in headers if name.startswith("Access-Control")]

    def test_a_view_may_have_its_own(self, client):
        assert client.get("/own").headers.getlist("Content-Security-Policy") == ["default-src 'self'"]


class TestRate:
    def test_too_much_from_one_address(self, tmp_path, monkeypatch):
        monkeypatch.setattr(security, "UNSAFE_RATE", "3 per minute")
        client = make_app(tmp_path).test_client()
        assert [client.post("/").status_code for _ in range(4)] == [200, 200, 200, 429]
        answer = client.delete("/")
        assert 1 <= int(answer.headers["Retry-After"]) <= 60
        assert answer.json["detail"] == f"Too many requests; try again in {answer.headers['Retry-After']} s."
        assert client.get("/").status_code == 200
        assert client.post("/", environ_base={"REMOTE_ADDR": "127.0.0.2"}).status_code == 200
        assert client.post("/", environ_base={"REMOTE_ADDR": "::ffff:127.0.0.1"}).status_code == 429
        elsewhere = {"REMOTE_ADDR": "192.168.1.7"}
        for i in range(4):
            headers = {"X-Forwarded-For": f"10.0.0.{i}"}
            assert client.post("/", headers=headers, environ_base=elsewhere).status_code == (429 if i == 3 else 200)

    def test_others_pages_do_not_use_it_up(self, tmp_path, monkeypatch):
        monkeypatch.setattr(security, "UNSAFE_RATE", "3 per minute")
        client = make_app(tmp_path).test_client()
        for _ in range(9):
            assert client.post("/", headers={"Origin": "null"}).status_code == 403
        assert client.post("/").status_code == 200


def test_a_clock_that_was_ahead_locks_nobody_out_for_long(monkeypatch):
    limit, real = RateLimit("3 per minute"), time.time
    with monkeypatch.context() as ahead:
        ahead.setattr(time, "time", lambda: real() + 365 * 86_400)
        assert [limit.hit("192.0.2.1") > 0 for _ in range(4)] == [False, False, False, True]
    assert limit.wait("192.0.2.1") == 0
    assert [limit.hit("192.0.2.1") > 0 for _ in range(4)] == [False, False, False, True]
