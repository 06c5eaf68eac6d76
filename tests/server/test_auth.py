"""Who may do what, by token and by signing in."""

import hashlib
import re
import time
from types import SimpleNamespace

import pytest
from jinja2 import ChoiceLoader, DictLoader

from imgindex import UsageError
from imgindex.server import problems
from imgindex.server.middleware import access_log, auth, security
from imgindex.server.middleware.tokens import add_token
from imgindex.server.routing import open_to_all, reads_only
from tests.support.serving import bare_app

TOKEN = "correct-horse-battery-staple"
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
FORM = "application/x-www-form-urlencoded"


def make_app(tmp_path, **settings):
    """The modules under test, around a few views."""
    app = bare_app(tmp_path, access_log, problems, security, auth, **settings)
    app.jinja_loader = ChoiceLoader([DictLoader({"base.html": "{% block main %}{% endblock %}"}), app.jinja_loader])
    for rule, methods in {
        "/": ["GET"],
        "/themes": ["GET", "POST"],
        "/api/v1/images": ["GET", "POST"],
        "/api/v1/images/<image>": ["GET", "DELETE"],
        "/api/v1/similar": ["POST"],
        "/api/v1/clusters/<theme>": ["PATCH"],
        "/health": ["GET"],
        "/ready": ["GET"],
        "/metrics": ["GET"],
    }.items():
        app.add_url_rule(rule, rule, lambda **_: "done", methods=methods)
    for rule in ("/health", "/ready"):
        open_to_all(app.view_functions[rule])
    reads_only(app.view_functions["/api/v1/similar"])
    return app


@pytest.fixture
def tokens(tmp_path):
    """A file of two tokens, and what they are."""
    file = tmp_path / "tokens"
    both = {"read": add_token(file, read_only=True, note="a wall"), "write": add_token(file, read_only=False)}
    return SimpleNamespace(file=file, **both)


@pytest.fixture
def app(tmp_path, tokens):
    return make_app(tmp_path, tokens=tokens.file, token=TOKEN)


def bearer(token, **more):
    return {"Authorization": f"Bearer {token}", **more}


def sign_in(client, token=TOKEN, **form):
    return client.post("/login", data={"token": token, **form}, headers=BROWSER)


class TestWithoutTokens:
    def test_everybody_on_this_machine_may_everything(self, tmp_path):
        client = make_app(tmp_path).test_client()
        assert client.get("/themes").status_code == 200
        assert client.delete("/api/v1/images/1").status_code == 200
        assert client.get("/themes", headers=bearer("whatever")).status_code == 200
        assert "Set-Cookie" not in client.get("/", headers=BROWSER).headers

    def test_nobody_on_another_machine_may_anything(self, tmp_path):
        client = make_app(tmp_path).test_client()
        for address in ("192.168.1.7", "2001:db8::1", ""):
            answer = client.get("/health", environ_base={"REMOTE_ADDR": address})
            assert (answer.status_code, answer.json["detail"]) == (
                403, "Only local requests are allowed because no token is set."
            )  # fmt: skip
        assert client.get("/", environ_base={"REMOTE_ADDR": "::1"}).status_code == 200

    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "photos.lan", ""])
    def test_another_address_is_refused(self, tmp_path, host):
        with pytest.raises(UsageError, match=r"so the server needs a token; set one\.$"):
            make_app(tmp_path, host=host)
        make_app(tmp_path, host=host, token=TOKEN)

    def test_there_is_nothing_to_sign_in_to(self, tmp_path):
        client = make_app(tmp_path).test_client()
        assert client.get("/login?next=/themes").location == "/themes"
        assert sign_in(client).location == "/"
        assert client.post("/logout").location == "/"

    @pytest.mark.parametrize("token", ["", "short", "fifteen-letters", "with a space in the middle", "pass\twort-" * 3])
    def test_a_poor_token_is_refused(self, tmp_path, token):
        with pytest.raises(UsageError, match=r"use 16 or more visible ASCII characters"):
            make_app(tmp_path, token=token)


class TestBearer:
    def test_reading_and_writing(self, client, tokens):
        for token, may in ((tokens.read, False), (tokens.write, True), (TOKEN, True)):
            assert client.get("/api/v1/images", headers=bearer(token)).status_code == 200
            assert client.head("/api/v1/images", headers=bearer(token)).status_code == 200
            assert client.options("/api/v1/images", headers=bearer(token)).status_code == 200
            assert client.post("/api/v1/similar", headers=bearer(token)).status_code == 200
            assert client.get("/metrics", headers=bearer(token)).status_code == 200
            expected = 200 if may else 403
            for method, path in (
                ("POST", "/api/v1/images"), ("DELETE", "/api/v1/images/1"), ("PATCH", "/api/v1/clusters/1"),
                ("POST", "/themes"),
            ):  # fmt: skip
                assert client.open(path, method=method, headers=bearer(token)).status_code == expected
        answer = client.post("/api/v1/images", headers=bearer(tokens.read))
        assert answer.json["detail"] == "This token is read-only."
        assert answer.headers["WWW-Authenticate"] == 'Bearer error="insufficient_scope"'

    def test_nobody_in_without_a_token(self, client):
        for method in ("GET", "HEAD", "OPTIONS", "POST", "DELETE", "TRACE", "BREW"):
            for path in ("/api/v1/images", "/metrics", "/api/v1/nowhere", "/api/v1/similar"):
                answer = client.open(path, method=method)
                assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert client.get("/nowhere").status_code == 401  # nor is said what there is

    def test_some_are_open(self, client):
        for path in ("/health", "/ready", "/login", "/static/nothing.css"):
            assert client.get(path).status_code in (200, 404)
        for path in ("/static/../themes", "/static/%2e%2e/themes", "//health/", "/health/../themes", "/login/"):
            assert client.get(path, base_url="http://localhost").status_code in (401, 404)

    @pytest.mark.parametrize(
        "header",
        [
            "Bearer",
            "Bearer ",
            "Bearer wrong",
            f"Bearer {TOKEN}x",
            f"Bearer {TOKEN} {TOKEN}",
            f"Bearer {TOKEN.upper()}",
            f"Basic {TOKEN}",
            TOKEN,
            "Bearer пароль".encode().decode("latin-1"),
            "Bearer \xff\x00",
            "Bearer " + "x" * 200_000,
            f"Bearer, Bearer {TOKEN}",
            f"Bearer\t{TOKEN}",
            "Digest username=x",
        ],
    )
    def test_a_wrong_header(self, client, header):
        answer = client.get("/api/v1/images", headers={"Authorization": header})
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert TOKEN not in answer.text

    @pytest.mark.parametrize("scheme", ["bearer", "BEARER"])
    def test_the_scheme_in_any_case(self, client, scheme):
        assert client.get("/api/v1/images", headers={"Authorization": f"{scheme} {TOKEN}"}).status_code == 200

    def test_the_hash_of_a_token_is_no_token(self, client):
        assert client.get("/themes", headers=bearer(hashlib.sha256(TOKEN.encode()).hexdigest())).status_code == 401

    def test_a_token_counts_nowhere_else(self, client):
        for path in (f"/api/v1/images?token={TOKEN}", f"/api/v1/images?access_token={TOKEN}"):
            assert client.get(path).status_code == 401
        assert (
            client.get("/api/v1/images", headers={"X-Api-Key": TOKEN, "Cookie": f"imgindex={TOKEN}"}).status_code == 401
        )

    def test_no_method_is_taken_for_another(self, client, tokens):
        for header in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
            answer = client.post("/api/v1/similar", headers=bearer(tokens.read, **{header: "DELETE"}))
            assert answer.status_code == 200
            answer = client.get("/api/v1/images/1", headers=bearer(tokens.read, **{header: "DELETE"}))
            assert answer.status_code == 200
        assert client.post("/api/v1/images/1?_method=GET", headers=bearer(tokens.read)).status_code == 403
        assert client.post("/api/v1/similar/", headers=bearer(tokens.read)).status_code == 403

    def test_every_token_is_compared(self, client, tokens, monkeypatch):
        compared = []
        monkeypatch.setattr(
            "imgindex.server.middleware.tokens.compare_digest", lambda a, b: compared.append(a) or a == b
        )
        for token in (tokens.read, TOKEN, "wrong"):
            client.get("/themes", headers=bearer(token))
        assert len(compared) == 9


class TestFailures:
    def test_many_wrong_tokens_are_too_many(self, client):
        for _ in range(10):
            assert client.get("/themes", headers=bearer("wrong")).status_code == 401
        answer = client.get("/themes", headers=bearer("wrong"))
        assert answer.status_code == 429
        assert 1 <= int(answer.headers["Retry-After"]) <= 60
        assert re.fullmatch(r"Too many wrong tokens; try again in \d+ s\.", answer.json["detail"])

    def test_then_not_even_the_right_one_from_there(self, client):
        for _ in range(11):
            sign_in(client, "wrong")
        assert client.get("/themes", headers=bearer(TOKEN)).status_code == 429
        assert sign_in(client).status_code == 429
        assert client.get("/themes").status_code == 401
        elsewhere = {"environ_base": {"REMOTE_ADDR": "192.168.1.7"}}
        assert client.get("/themes", headers=bearer(TOKEN), **elsewhere).status_code == 200

    def test_but_who_was_in_stays_in(self, app, client, tokens):
        sign_in(client)
        assert client.get("/api/v1/images", headers=bearer(tokens.read)).status_code == 200
        for _ in range(20):
            app.test_client().get("/themes", headers=bearer("wrong"))
        assert client.get("/themes").status_code == 200
        assert client.get("/api/v1/images", headers=bearer(tokens.read)).status_code == 200
        assert client.get("/api/v1/images", headers=bearer(tokens.write)).status_code == 429

    def test_one_customer_has_many_ipv6_addresses(self, client):
        for i in range(12):
            where = {"REMOTE_ADDR": f"2001:db8:0:1::{i:x}"}
            answer = client.get("/themes", headers=bearer("wrong"), environ_base=where)
        assert answer.status_code == 429
        other = {"REMOTE_ADDR": "2001:db8:0:2::1"}
        assert client.get("/themes", headers=bearer("wrong"), environ_base=other).status_code == 401

    def test_nobody_says_where_they_are(self, client):
        for i in range(12):
            headers = bearer("wrong", **{"X-Forwarded-For": f"10.0.0.{i}", "X-Real-IP": f"10.0.0.{i}"})
            answer = client.get("/themes", headers=headers, environ_base={"REMOTE_ADDR": "192.168.1.7"})
        assert answer.status_code == 429


class TestSignIn:
    def test_a_browser_is_sent_to_sign_in_and_back(self, client):
        answer = client.get("/themes?sort=size&x=%2F", headers=BROWSER)
        assert (answer.status_code, answer.location) == (302, "/login?next=/themes?sort%3Dsize%26x%3D%252F")
        page = client.get(answer.location, headers=BROWSER)
        assert (page.status_code, page.headers["Cache-Control"]) == (200, "no-store")
        assert 'name="next" value="/themes?sort=size&amp;x=%2F"' in page.text
        answer = sign_in(client, next="/themes?sort=size&x=%2F")
        assert (answer.status_code, answer.location) == (303, "/themes?sort=size&x=%2F")
        assert client.get("/themes", headers=BROWSER).status_code == 200
        assert client.post("/api/v1/images").status_code == 200

    def test_the_cookie(self, client):
        (cookie,) = sign_in(client).headers.getlist("Set-Cookie")
        assert cookie.startswith("imgindex=")
        for flag in ("HttpOnly", "SameSite=Strict", "Path=/", "Expires="):
            assert flag in cookie
        assert "Secure" not in cookie
        assert "Domain" not in cookie
        assert TOKEN not in cookie
        assert "Set-Cookie" not in client.get("/themes").headers
        secure = client.post("/login", data={"token": TOKEN}, base_url="https://localhost")
        assert "Secure" in secure.headers["Set-Cookie"]

    def test_who_may_only_read(self, client, tokens):
        sign_in(client, tokens.read)
        assert client.get("/themes").status_code == 200
        assert client.post("/themes").status_code == 403
        assert client.post("/logout").status_code == 303

    def test_a_wrong_token(self, client):
        for token in ("", "wrong", " ", "\x00", "ÿ", "\ud800", "x" * 9_000):
            answer = client.post("/login", data={"token": token.encode("utf-8", "surrogatepass"), "next": "/themes"})
            assert answer.status_code == 401
            assert "Set-Cookie" not in answer.headers
            assert 'value="/themes"' in answer.text
        assert client.post("/login").status_code == 401
        assert client.post("/login", data=b"token=" + b"x" * 20_000, content_type=FORM).status_code == 413

    def test_signing_out_ends_the_session_wherever_its_cookie_is(self, app, client):
        cookie = sign_in(client).headers["Set-Cookie"].partition(";")[0]
        thief = app.test_client(use_cookies=False)
        assert thief.get("/themes", headers={"Cookie": cookie}).status_code == 200
        answer = client.post("/logout")
        assert (answer.status_code, answer.location) == (303, "/login")
        assert client.get("/themes").status_code == 401
        assert thief.get("/themes", headers={"Cookie": cookie}).status_code == 401

    def test_a_session_is_new_each_time(self, app, client):
        before = sign_in(client).headers["Set-Cookie"].partition(";")[0]
        after = sign_in(client).headers["Set-Cookie"].partition(";")[0]
        assert before != after
        assert app.test_client(use_cookies=False).get("/themes", headers={"Cookie": before}).status_code == 401

    def test_a_made_up_cookie(self, app, client, tmp_path):
        cookie = sign_in(client).headers["Set-Cookie"].partition(";")[0]
        for wrong in (
            cookie[:-3] + "AAA",
            "imgindex=",
            "imgindex=e30.x.y",
            "imgindex=" + "A" * 5_000,
            cookie.swapcase(),
        ):
            assert app.test_client(use_cookies=False).get("/themes", headers={"Cookie": wrong}).status_code == 401
        restarted = make_app(tmp_path, token=TOKEN).test_client(use_cookies=False)
        assert restarted.get("/themes", headers={"Cookie": cookie}).status_code == 401

    def test_it_ends_after_a_week(self, client, monkeypatch):
        sign_in(client)
        now = time.time()
        monkeypatch.setattr("itsdangerous.timed.time.time", lambda: now + 8 * 86_400)
        assert client.get("/themes").status_code == 401

    def test_only_so_many_are_remembered(self, app, client, monkeypatch):
        monkeypatch.setattr(auth, "SESSIONS", 3)
        first = app.test_client()
        sign_in(first)
        for _ in range(3):
            sign_in(client)
        assert client.get("/themes").status_code == 200
        assert first.get("/themes").status_code == 200  # signing in again replaced the client's own
        for _ in range(3):
            sign_in(app.test_client())
        assert first.get("/themes").status_code == 401

    def test_programs_are_not_sent_there(self, client):
        assert client.get("/themes").status_code == 401
        assert client.get("/api/v1/images", headers=BROWSER).status_code == 401
        assert client.post("/themes", headers=BROWSER).status_code == 401

    def test_an_open_page_goes_there_by_itself(self, client):
        answer = client.get("/themes", headers={"HX-Request": "true"})
        assert (answer.status_code, answer.headers["HX-Redirect"]) == (401, "/login")
        assert "HX-Redirect" not in client.get("/themes").headers

    @pytest.mark.parametrize(
        "evil",
        [
            "//evil.example",
            "\\\\evil.example",
            "/\\evil.example",
            "/\t/evil.example",
            "\t//evil.example",
            "/\n/evil.example",
            "http://evil.example",
            "https:evil.example",
            "javascript:alert(1)",
            "evil.example",
            "/\r\nSet-Cookie: a=b",
            " /themes",
            "///evil.example",
            "/\x00/evil.example",
            "",
            "\u2028//evil.example",
            "/\uff0fevil.example",
            "@evil.example",
            "/\x85/e",
        ],
    )
    def test_nobody_is_sent_elsewhere(self, client, evil):
        assert sign_in(client, next=evil).location == "/"
        page = client.get("/login", query_string={"next": evil})
        assert 'value="/"' in page.text

    @pytest.mark.parametrize(
        "path", ["//evil.example", "/%5Cevil.example", "/%09/evil.example", "/%0d%0aX: y", "/a%22%3E<b>"]
    )
    def test_nor_by_the_address_that_they_asked_for(self, client, path):
        answer = client.get(path, headers=BROWSER, base_url="http://localhost")
        assert answer.status_code in (302, 308)
        target = answer.location if answer.status_code == 302 else "/login"
        assert target.startswith("/login")
        assert "\n" not in target
        hidden = re.search(r'name="next" value="([^"]*)"', client.get(target).text)[1]
        assert re.match(r"/(?!/|\\)", hidden)
