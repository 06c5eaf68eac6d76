"""What a request may send: judged by its head, before a byte of its body is kept; and numbers that are none."""

import tempfile
import time

import pytest

from imgindex.server import crowd, parser
from imgindex.server.middleware.tokens import add_token
from tests.support.serving import app_of
from tests.support.wire import OTHER, read, status, until, wired

SLOW = 1.0  # seconds within which anybody is answered


@pytest.fixture
def wire(tmp_path):
    with app_of(tmp_path, PORT=0) as app, wired(app) as wire:
        yield wire


UPLOAD = b"POST /api/v1/images HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"
SIZE = 100_000_000


class TestBodies:
    @pytest.fixture
    def tokens(self, tmp_path):
        return tmp_path / "tokens", add_token(tmp_path / "tokens", read_only=True)

    @pytest.fixture
    def guarded(self, tmp_path, tokens):
        with app_of(tmp_path, PORT=0, TOKENS=tokens[0]) as app, wired(app) as wire:
            yield wire

    @pytest.mark.parametrize(
        ("header", "expected"),
        [
            (b"Cookie: a=b", 401),
            (b"Cookie: imgindex=eyJpZCI6IngifQ.aaaaaa.AAAAAAAAAAAAAAAAAAAAAAAAAAA", 401),
            (b"Authorization: Bearer wrong", 401),
            (b"Authorization: Basic eDp5", 401),
            (b"Authorization: Bearer READING", 403),
            (b"X-Forwarded-For: 192.0.2.1", 400),
            (b"Origin: http://evil.example", 403),
            (b"Sec-Fetch-Site: cross-site", 403),
            (b"X: y", 401),
        ],
    )
    @pytest.mark.parametrize("how", [b"Content-Length: %d\r\n\r\n" % SIZE, b"Transfer-Encoding: chunked\r\n\r\n"])
    def test_who_may_write_is_asked_before_one_is_taken(self, guarded, tokens, header, expected, how):
        header = header.replace(b"READING", tokens[1].encode())
        began = time.monotonic()
        sending = guarded.connect(UPLOAD + header + b"\r\n" + how)
        answer = sending.recv(65_536)
        assert status(answer) == [expected]
        assert b"application/problem+json" in answer
        assert b"Connection: close\r\n" in answer
        assert time.monotonic() - began < SLOW

    def test_one_that_is_refused_is_nowhere_on_the_disk(self, guarded, tmp_path, monkeypatch):
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))  # a file there would be an error
        for header in (b"Cookie: a=b\r\n", b"Authorization: Bearer x\r\n"):
            sending = guarded.connect(UPLOAD + header + b"Content-Length: %d\r\n\r\n" % SIZE)
            for _ in range(5):  # and who sends it all the same reads why it was refused
                sending.sendall(b"x" * 1_000_000)
            assert status(read(sending, 1)) == [401]

    def test_one_that_was_refused_by_its_head_never_runs_without_its_body(self, wire, monkeypatch):
        monkeypatch.setattr("imgindex.server.door.ask", lambda *_: 0)  # the rate is over by the time that the app asks
        head = b"POST /themes/1/name HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        answer = wire.ask(head + b"Content-Length: 6\r\n\r\nname=x")
        assert status(answer) == [503]
        assert b"Retry-After: 2\r\n" in answer

    def test_wrong_tokens_are_counted_once(self, guarded):
        request = UPLOAD + b"Authorization: Bearer wrong\r\nContent-Length: 50000\r\n\r\n"
        assert [status(guarded.ask(request))[0] for _ in range(11)] == [401] * 10 + [429]

    @pytest.mark.parametrize("method", [b"GET", b"HEAD", b"OPTIONS"])
    def test_who_reads_sends_next_to_nothing(self, wire, method):
        head = method + b" / HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        answer = wire.connect(head + b"Content-Length: 1000001\r\n\r\n").recv(65_536)  # before any of it came
        assert status(answer)[0] in (200, 413)  # some routes look at what came
        assert b"Connection: close\r\n" in answer

    def test_a_form_that_is_no_upload_is_small(self, wire):
        head = b"PUT /api/v1/policies HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        assert status(wire.connect(head + b"Content-Length: 1000001\r\n\r\n").recv(65_536)) == [413]

    @pytest.mark.parametrize("kind", [b"text/plain", b"multipart/form-data; boundary=x"])
    def test_of_one_that_only_reads_are_small(self, wire, kind):
        head = b"GET /api/v1/images HTTP/1.1\r\nHost: localhost\r\nContent-Type: " + kind + b"\r\n"
        sending = wire.connect(head + b"Content-Length: 20000000\r\n\r\n")
        answer = sending.recv(65_536)
        assert status(answer) == [413]
        assert b"Connection: close\r\n" in answer

    def test_of_one_client_are_bounded(self, wire, monkeypatch):
        monkeypatch.setattr(crowd, "BODIES", 3_000_000)
        monkeypatch.setattr(parser, "STEP", 100_000)
        head = UPLOAD + b"Content-Length: 100000000\r\n\r\n"
        sending = [wire.connect(head + b"x" * 1_400_000) for _ in range(2)]
        until(lambda: sum(one.held for one in wire.server._channels()) == 2_800_000)
        third = wire.connect(head + b"x" * 1_400_000)
        assert status(read(third, 1)) == [429]
        assert sum(one.held for one in wire.server._channels()) <= 3_000_000
        other = wire.connect(head + b"x" * 1_400_000, source=OTHER)
        until(lambda: sum(one.held for one in wire.server._channels()) == 4_200_000)
        assert len({*sending, other}) == 3

    def test_one_alone_may_be_larger(self, wire, monkeypatch):
        monkeypatch.setattr(crowd, "BODIES", 1_000_000)
        monkeypatch.setattr(parser, "STEP", 100_000)
        wire.connect(UPLOAD + b"Content-Length: 3000001\r\n\r\n" + b"x" * 3_000_000)
        until(lambda: sum(one.held for one in wire.server._channels()) == 3_000_000)


DIGITS = b"9" * 5_000


class TestNumbers:
    @pytest.mark.parametrize(
        ("length", "expected"),
        [
            (DIGITS, 413), (b"9" * 4_000, 413), (b"1" + b"0" * 5_000, 413), (b"+5", 400), (b"-1", 400), (b"0x10", 400),
            ("\u0665".encode(), 400), (b"\xb2", 400), (b"5, 5", 400), (b"5\r\nContent-Length: 6", 400), (b"1_0", 400),
            (b"", 400), (b"5.0", 400), (b"1e9", 400), (b"-" + DIGITS, 400),
        ],
    )  # fmt: skip
    def test_lengths_that_are_none(self, wire, length, expected, caplog):
        answer = wire.ask(b"POST /api/v1/images HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + length + b"\r\n\r\n")
        assert status(answer) == [expected]
        assert b"application/problem+json" in answer
        assert not [record for record in caplog.records if record.levelname == "ERROR"]

    @pytest.mark.parametrize(
        ("chunk", "expected"),
        [
            (b"f" * 5_000 + b"\r\n", 413), (b"f" * 500 + b"\r\n", 413), (b"7fffffffffffffff\r\n", 413),
            (b"+5\r\n", 400), (b"-1\r\n", 400), (b"0x10\r\n", 400), (b"5;" + b"a" * 1_000_000, 400),
            (b"9" * 100_000, 400), (b"0\r\nX: " + b"y" * 1_000_000, 400),
            (b"1\r\nxyz", 400),
        ],
    )  # fmt: skip
    def test_chunks_that_are_none(self, wire, chunk, expected, caplog):
        answer = wire.ask(UPLOAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk)
        assert status(answer) in ([expected], [413])
        assert not [record for record in caplog.records if record.levelname == "ERROR"]

    @pytest.mark.parametrize(
        "line",
        [
            b"GET http://[::x/ HTTP/1.1", b"GET /api/v1/images?limit=" + DIGITS + b" HTTP/1.1",
            b"GET /api/v1/images/" + DIGITS + b" HTTP/1.1", b"GET / HTTP/" + DIGITS,
        ],
    )  # fmt: skip
    def test_other_places(self, wire, line, caplog):
        answer = wire.ask(line + b"\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert status(answer)[0] in (400, 404, 422)
        assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_what_was_refused_by_its_head_never_runs_without_its_body(tmp_path, photos, monkeypatch):
    """A minute may be over, or the tokens readable again, between the question and the answer."""
    body = b"name=lake"
    with app_of(tmp_path, PORT=0) as app, wired(app) as wire:
        index = app.extensions["imgindex"].index
        index.add([photos])
        index.themes.recluster(2)
        theme = index.themes.current().themes[0].id
        index.themes.rename(theme, "a name")
        monkeypatch.setattr("imgindex.server.door.ask", lambda *_: 0)
        answer = wire.ask(
            b"POST /themes/%d/name HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            b"Content-Length: %d\r\n\r\n" % (theme, len(body)) + body
        )
        assert status(answer) == [503]
        assert [one.name for one in index.themes.current().themes if one.id == theme] == ["a name"]
