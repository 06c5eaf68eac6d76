"""The whole service behind its door: every route of it, and what comes over the wire."""

import contextlib
import json
import re
import socket
import threading

import pytest

from imgindex import UsageError
from imgindex.server.app import create_app
from imgindex.server.middleware import security
from imgindex.server.middleware.tokens import add_token
from imgindex.server.run import Server
from tests.support.embedders import FakeEmbedder
from tests.support.serving import app_of

OPEN = ("/health", "/ready", "/login", "/logout", "/static/<path:filename>")
# What a token for reading may send.
READING = (("POST", "/api/v1/similar"), ("POST", "/api/v1/contains"), ("POST", "/search"))
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@pytest.fixture
def reading(tmp_path):
    return add_token(tmp_path / "tokens", read_only=True)


@pytest.fixture
def writing(tmp_path):
    return add_token(tmp_path / "tokens", read_only=False)


@pytest.fixture
def app(tmp_path, photos):
    add_token(tmp_path / "tokens", read_only=False)
    with app_of(tmp_path, TOKENS=tmp_path / "tokens", PORT=0) as app:
        app.extensions["imgindex"].index.add([photos])
        yield app


def guarded(folder):
    """The service with a file of tokens."""
    add_token(folder / "tokens", read_only=False)
    return create_app({"INDEX": folder / "index", "EMBEDDER": FakeEmbedder(), "TOKENS": folder / "tokens", "PORT": 0})


def routes(app):
    """(method, path, rule) of all that there is."""
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<[^>]*>", "1", rule.rule)
        for method in sorted(rule.methods):
            yield method, path, rule.rule


def test_every_route_is_behind_the_door(app):
    client, seen = app.test_client(), 0
    for method, path, rule in routes(app):
        answer = client.open(path, method=method)
        if rule in OPEN:
            assert answer.status_code != 401 or (method, path) == ("POST", "/login")
        else:
            assert answer.status_code == 401, (method, path)
            seen += 1
    assert seen > 40


def test_reading_changes_nothing(reading, app):
    client, index = app.test_client(), app.extensions["imgindex"].index
    before = index.counts(), index.themes.runs(), index.reports.history(), index.duplicates.find()
    for method, path, rule in routes(app):
        answer = client.open(path, method=method, buffered=True, headers={"Authorization": f"Bearer {reading}"})
        if rule in OPEN:
            continue
        if method in security.SAFE or (method, rule) in READING:
            assert answer.status_code not in (401, 403), (method, path)
        else:
            assert answer.status_code == 403, (method, path)
    assert (index.counts(), index.themes.runs(), index.reports.history(), index.duplicates.find()) == before


def test_another_site_reaches_nothing(writing, app):
    client = app.test_client()
    client.post("/login", data={"token": writing})
    for method, path, _ in routes(app):
        for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Host": "evil.example"}):
            assert client.open(path, method=method, buffered=True, headers=headers).status_code in (400, 403), (
                method,
                path,
            )
        if method not in security.SAFE:
            assert client.open(path, method=method, buffered=True, headers={"Origin": "null"}).status_code == 403


def test_every_answer_is_guarded(writing, app):
    client = app.test_client()
    for method, path, rule in routes(app):
        answer = client.open(
            path, method=method, buffered=True, headers={"Authorization": f"Bearer {writing}", **BROWSER}
        )
        assert answer.status_code < 500 or rule == "/ready", (method, path, answer.text)
        for name in security.HEADERS:
            assert answer.headers.get(name), (path, name)
        assert "X-Request-ID" in answer.headers
        if answer.mimetype == "text/html":
            assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]


def test_the_pages_to_sign_in_and_of_problems(writing, app):
    client = app.test_client()
    page = client.get(client.get("/", headers=BROWSER).location, headers=BROWSER)
    assert page.status_code == 200
    assert 'name="token"' in page.text
    assert 'name="next" value="/"' in page.text
    wrong = client.post("/login", data={"token": "wrong"}, headers=BROWSER)
    assert (wrong.status_code, "This token is not valid." in wrong.text) == (401, True)
    assert client.post("/login", data={"token": writing}, headers=BROWSER).status_code == 303
    assert client.get("/", headers=BROWSER).status_code == 200
    answer = client.get("/nowhere", headers=BROWSER)
    assert (answer.status_code, answer.mimetype) == (404, "text/html")
    assert "There is nothing at this address." in answer.text


def test_who_has_no_token_reads_nothing_of_the_index(writing, app):
    client = app.test_client()
    client.post("/login", data={"token": writing})
    client.get("/counts")
    inside = client.get("/nowhere", headers=BROWSER).text
    assert "count-library" in inside
    stranger = app.test_client()
    for path in ("/static/nowhere", "/ready"):
        page = stranger.get(path, headers=BROWSER)
        if page.status_code == 200:
            continue  # the model was quick
        assert page.mimetype == "text/html"
        assert "count" not in page.text
        assert "<nav" not in page.text


def test_without_a_token_only_for_this_machine(tmp_path):
    with pytest.raises(UsageError, match="Other machines can reach"):
        create_app({"INDEX": tmp_path / "index", "EMBEDDER": FakeEmbedder(), "HOST": "0.0.0.0"})


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    """Bytes to a real server with tokens, and what comes back until it is silent."""
    with asking(guarded(tmp_path_factory.mktemp("wire"))) as ask:
        yield ask


@contextlib.contextmanager
def asking(app):
    """Bytes to a real server, and what comes back until it is silent."""
    server = Server(app, app.extensions["imgindex"].settings)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    port = int(server.address.rpartition(":")[2])

    def ask(data):
        with socket.create_connection(("127.0.0.1", port), 5) as wire:
            parts = []
            with contextlib.suppress(TimeoutError, ConnectionError):
                wire.sendall(data)
                wire.settimeout(0.3)
                while part := wire.recv(65536):
                    parts.append(part)
        return b"".join(parts)

    yield ask
    server.stop()
    thread.join()
    server.close()
    app.extensions["imgindex"].close()


def status(answer):
    return [int(code) for code in re.findall(rb"HTTP/1\.[01] (\d{3})", answer)]


UPLOAD = b"POST /api/v1/images HTTP/1.1\r\nHost: localhost\r\n"
LOGIN = b"POST /login HTTP/1.1\r\nHost: localhost\r\n"


class TestWire:
    @pytest.mark.parametrize(
        ("request_", "expected"),
        [
            (b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n", [200]),
            (b"GET /health HTTP/1.0\r\n\r\n", [400]),
            (b"GET /health HTTP/1.1\r\n\r\n", [400]),
            (b"GET /health HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n", [400]),
            (b"GET http://evil.example/health HTTP/1.1\r\nHost: evil.example\r\n\r\n", [400]),
            (b"GET /health HTTP/1.1\r\nHost : evil.example\r\nHost: localhost\r\n\r\n", [400]),
            (b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: a\r\n b\r\n\r\n", [200]),
            (b"GET /a\xff HTTP/1.1\r\nHost: localhost\r\n\r\n", [400]),
            (b"GET /a\x01%ff%00%0d%0aX:%20y HTTP/1.1\r\nHost: localhost\r\n\r\n", [401]),
            (b"GET //evil.example/ HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n\r\n", [302]),
            (b"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \xff\xfe\r\n\r\n", [401]),
            (b"GET / HTTP/1.1\r\nHost: localhost\r\nCookie: imgindex=\xff\r\n\r\n", [401]),
            (b"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + b"x" * 300_000 + b"\r\n\r\n", [431]),
            (b"GET /api/v1/images HTTP/1.1\r\nHost: localhost\r\nX_Authorization: x\r\nHTTP_HOST: x\r\n\r\n", [401]),
            (b"POST /api/v1/images HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999999\r\n\r\n", [413]),
            (b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", [400]),
            (b"nonsense\r\n\r\n", [400]),
            (UPLOAD + b"Content-Length: 10001\r\n\r\n", [401]),
            (LOGIN + b"Content-Length: 10001\r\nExpect: 100-continue\r\n\r\n", [401]),
            (LOGIN + b"Content-Length: 10001\r\nCookie: a=b\r\n\r\n", [401]),
            (UPLOAD + b"Content-Length: 10001\r\nAuthorization: Bearer x\r\n\r\n", [401]),
            (UPLOAD + b"Transfer-Encoding: chunked\r\n\r\n4000\r\n" + b"x" * 12_000, [401]),
        ],
    )  # fmt: skip
    def test_requests(self, ask, request_, expected):
        answer = ask(request_)
        assert status(answer) == expected
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b"waitress" not in answer
        assert b"Traceback" not in answer
        if expected[0] >= 400:
            assert b"application/problem+json" in head
            assert json.loads(body)["status"] == expected[0]
        if expected[0] == 302:
            assert re.search(rb"Location: /login\?next=[^\r]*\r\n", head)

    @pytest.mark.parametrize("version", [b"1.0", b"1.1"])
    def test_two_lengths_are_refused(self, ask, version):
        inside = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
        answer = ask(
            b"POST /login HTTP/%s\r\nHost: localhost\r\nContent-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"0\r\n\r\n" % (version, len(inside) + 5) + inside
        )
        assert status(answer) == [400]

    def test_a_body_without_a_token_ends_the_connection(self, ask):
        inside = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
        answer = ask(b"POST /api/v1/images HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20000\r\n\r\n" + inside)
        assert status(answer) == [401]
        assert b"Connection: close" in answer
        assert b"www-authenticate: bearer" in answer.lower()

    def test_a_proxy_is_not_believed(self, ask):
        answer = ask(
            b"GET /health HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: localhost\r\n"
            b"Forwarded: host=localhost\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: https\r\n\r\n"
        )
        assert status(answer) == [400]


PROXIED = b"Host: localhost\r\nX-Forwarded-For: 10.0.0.9, %s\r\nX-Forwarded-Proto: https\r\n"


class TestBehindAProxy:
    @pytest.mark.parametrize(("address", "expected"), [(b"192.0.2.1", 403), (b"2001:db8::1", 403), (b"127.0.0.1", 200)])
    def test_an_open_server_is_for_this_machine_only(self, tmp_path, address, expected):
        with asking(create_app({"INDEX": tmp_path, "EMBEDDER": FakeEmbedder(), "PORT": 0, "PROXY": True})) as ask:
            answer = ask(b"GET /api/v1/images HTTP/1.1\r\n" + PROXIED % address + b"\r\n")
        assert status(answer) == [expected]

    def test_cookies_are_secure_and_addresses_true(self, tmp_path, caplog):
        token = add_token(tmp_path / "tokens", read_only=False)
        config = {"INDEX": tmp_path, "EMBEDDER": FakeEmbedder(), "PORT": 0, "TOKENS": tmp_path / "tokens"}
        body = b"token=" + token.encode()
        request = (
            b"POST /login HTTP/1.1\r\n"
            + PROXIED % b"192.0.2.1"
            + b"Content-Type: application/x-www-form-urlencoded\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body) + body
        )
        for proxy in (True, False):
            caplog.clear()
            with asking(create_app({**config, "PROXY": proxy})) as ask:
                answer = ask(request)
            assert status(answer) == [303 if proxy else 400]
            assert (b"Secure;" in answer) is proxy
            assert caplog.records[-1].name == "imgindex.server.requests"
            assert json.loads(caplog.messages[-1])["client"] == ("192.0.2.1" if proxy else "127.0.0.1")

    @pytest.mark.parametrize(
        "header",
        [
            "X-Forwarded-For", "x-forwarded-proto", "X-Forwarded-Host", "X-Forwarded-Any", "Via", "X-Real-IP",
            "Forwarded", "CF-Connecting-IP",
        ],
    )  # fmt: skip
    def test_one_that_was_not_named_is_refused_in_a_sentence(self, tmp_path, header):
        """Without it, everybody whom it lets through would be taken for somebody on this machine."""
        with app_of(tmp_path) as app:
            client = app.test_client()
            for path in ("/", "/api/v1/images", "/login", "/nowhere"):
                answer = client.get(path, headers={header: "for=192.0.2.1"})
                assert answer.status_code == 400
                assert "--proxy" in answer.json["detail"]
            assert client.delete("/api/v1/images/1", headers={header: "x"}).status_code == 400
            assert client.get("/health", headers={header: "x"}).status_code == 200
            assert client.get("/api/v1/images").status_code == 200

    def test_what_another_machine_sends_itself_is_not_taken_for_a_proxy(self, tmp_path):
        with app_of(tmp_path, HOST="0.0.0.0", TOKEN="correct-horse-battery-staple") as app:
            answer = app.test_client().get(
                "/api/v1/images",
                headers={"Via": "1.1 theirs", "Authorization": "Bearer correct-horse-battery-staple"},
                environ_base={"REMOTE_ADDR": "192.168.1.7"},
            )
        assert answer.status_code == 200
