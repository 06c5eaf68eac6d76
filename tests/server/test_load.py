"""One client who holds all that he can: others are answered meanwhile, and so is he."""

import contextlib
import tempfile
import time

import cv2
import numpy as np
import pytest
from flask import Response

from imgindex.server import channel, crowd, parser
from imgindex.server.channel import _forwarded
from imgindex.server.middleware.tokens import add_token
from tests.support.serving import app_of
from tests.support.wire import OTHER, get, read, status, until, wired

LARGE = (3_600, 2_800)  # pixels of a BMP of 30 MB: more than waitress keeps before a thread has to wait
SLOW = 1.0  # seconds within which anybody is answered


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A server with a large original, and its bytes."""
    folder = tmp_path_factory.mktemp("large")
    (folder / "p").mkdir()
    pixels = np.repeat(np.random.default_rng(0).integers(0, 256, (*LARGE[::-1], 1), np.uint8), 3, axis=2)
    cv2.imwrite(str(folder / "p" / "a.bmp"), pixels)
    with app_of(folder, PORT=0) as app:
        app.extensions["imgindex"].index.add([folder / "p"])
        app.test_client().get("/api/v1/images/1/thumbnail")
        yield app, (folder / "p" / "a.bmp").read_bytes()


@pytest.fixture
def wire(tmp_path):
    with app_of(tmp_path, PORT=0) as app, wired(app) as wire:
        yield wire


ORIGINAL = "/api/v1/images/1/file"


class TestAnswersThatNobodyReads:
    @pytest.mark.parametrize(
        "request_",
        [get(ORIGINAL, "Range: bytes=1-"), get(ORIGINAL), 3 * get(ORIGINAL, keep=True)],
        ids=["ranges", "whole", "behind each other"],
    )
    def test_hold_no_thread(self, large, request_):
        with wired(large[0]) as wire:
            for _ in range(40):
                wire.connect(request_, buffer=4_096)
            time.sleep(0.2)
            until(lambda: all(one.state != "working" for one in wire.server._channels()))
            for path in ("/health", "/", "/api/v1/images", "/api/v1/images/1/thumbnail"):
                assert wire.seconds(path) < SLOW
                assert wire.seconds(path, source=OTHER) < SLOW

    def test_are_ended(self, large, monkeypatch):
        monkeypatch.setattr(channel, "STALLED", 0.5)
        with wired(large[0]) as wire:
            holding = wire.connect(get(ORIGINAL), buffer=4_096)
            until(lambda: wire.server._channels() and wire.server._channels()[0].state == "giving")
            until(lambda: not wire.server._channels())
            assert len(read(holding)) < len(large[1])

    def test_make_room_where_they_are_kept(self, tmp_path, monkeypatch):
        monkeypatch.setattr(crowd, "ANSWERS", 10_000_000)
        with app_of(tmp_path, PORT=0) as app:
            app.add_url_rule("/export", "export", lambda: Response(bytes(8_000_000)))
            with wired(app) as wire:
                for _ in range(8):
                    wire.connect(3 * get("/export", keep=True), buffer=4_096)
                until(lambda: [one.state for one in wire.server._channels()].count("giving") > 1)
                until(lambda: sum(one.spooled for one in wire.server._channels()) <= 10_000_000)
                assert wire.server._channels()
                assert wire.seconds("/health") < SLOW

    @pytest.mark.parametrize(
        ("asked", "part"),
        [
            ("0-0", slice(0, 1)), ("1-", slice(1, None)), ("-7", slice(-7, None)), ("99-2999999", slice(99, 3_000_000)),
        ],
    )  # fmt: skip
    def test_a_range_is_what_was_asked_for(self, large, asked, part):
        app, data = large
        with wired(app) as wire:
            answer = wire.ask(get(ORIGINAL, f"Range: bytes={asked}"))
        head, _, body = answer.partition(b"\r\n\r\n")
        assert status(head) == [206]
        assert f"Content-Length: {len(data[part])}\r\n".encode() in head
        assert body == data[part]
        inside = app.test_client().get(ORIGINAL, buffered=True, headers={"Range": f"bytes={asked}"})
        assert (inside.status_code, inside.data) == (206, data[part])

    def test_what_comes_behind_a_request_is_answered_in_turn(self, large):
        with wired(large[0]) as wire:
            answer = wire.ask(3 * get("/health", keep=True) + b"\r\n" + get("/nowhere", keep=True) + get("/health"))
        assert status(answer) == [200, 200, 200, 404, 200]


class TestConnections:
    @pytest.mark.parametrize("first", [b"", b"GET /health HT", b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: "])
    def test_that_only_wait_make_room(self, wire, first):
        slow = [wire.connect(first) for _ in range(200)]
        for path in ("/health", "/"):
            assert wire.seconds(path) < SLOW
            assert wire.seconds(path, source=OTHER) < SLOW
        assert len(wire.server._channels()) <= crowd.PER_CLIENT + 1
        assert len(slow) == 200

    def test_of_many_addresses_make_room_too(self, wire):
        for number in range(300):
            wire.connect(b"GET / HT", source=f"127.0.1.{1 + number % 100}")
        until(lambda: len(wire.server._channels()) <= crowd.CONNECTIONS + 1)
        assert wire.seconds("/health", source=OTHER) < SLOW

    def test_a_browser_and_its_friends_are_all_answered(self, wire):
        for _ in range(3):
            open_ = [wire.connect() for _ in range(48)]
            for one in open_:
                one.sendall(get("/health"))
            assert [status(read(one)) for one in open_] == [[200]] * 48

    def test_one_too_many_is_told_so(self, wire, monkeypatch):
        monkeypatch.setattr(crowd, "PER_CLIENT", 2)
        monkeypatch.setattr(crowd, "QUIET", 5)
        head = b"POST /api/v1/images HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data\r\n"
        for _ in range(2):
            wire.connect(head + b"Content-Length: 1000\r\n\r\nx")
        until(lambda: [one.state for one in wire.server._channels()] == ["taking"] * 2)
        answer = read(wire.connect())
        assert status(answer) == [429]
        assert b"Retry-After: 2\r\n" in answer
        assert b"Too much at once from this address; try again in 2 s." in answer
        assert wire.seconds("/health", source=OTHER) < SLOW

    def test_of_a_proxy_belong_to_its_clients(self, tmp_path, monkeypatch):
        monkeypatch.setattr(crowd, "PER_CLIENT", 2)
        monkeypatch.setattr(crowd, "QUIET", 5)

        def head(client: str) -> bytes:
            return (
                b"POST /api/v1/images HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data\r\n"
                b"X-Forwarded-For: %s\r\nContent-Length: 1000\r\n\r\nx" % client.encode()
            )

        with app_of(tmp_path, PORT=0, PROXY=True, TOKEN="correct-horse-battery-staple") as app, wired(app) as wire:
            monkeypatch.setattr("imgindex.server.door.ask", lambda *_: 1_000)
            for number in range(4):
                wire.connect(head(f"192.0.2.{number // 2}"))
            until(lambda: [one.state for one in wire.server._channels()] == ["taking"] * 4)
            assert status(wire.ask(head("1.2.3.4, 192.0.2.1"))) == [429]
            assert status(wire.ask(get("/health", "X-Forwarded-For: 192.0.2.1"))) == [429]
            assert status(wire.ask(get("/health", "X-Forwarded-For: 192.0.2.3"))) == [200]

    @pytest.mark.parametrize(
        ("header", "client"),
        [
            ("", ""), ("192.0.2.1", "192.0.2.1"), ("10.0.0.1, 192.0.2.1:80", "192.0.2.1"), ("unknown", "unknown"),
            ('"[2001:db8::1]:443"', "2001:db8::1"), ("2001:db8::1", "2001:db8::1"),
        ],
    )  # fmt: skip
    def test_whom_a_proxy_names(self, header, client):
        assert _forwarded(header) == client


class TestSlowRequests:
    @pytest.mark.parametrize(
        "request_",
        [
            b"GET /health HTTP/1.1\r\nHost: loc",
            b"POST /api/v1/images HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\nx",
            b"POST /api/v1/images HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nxx",
        ],
        ids=["head", "body", "chunks"],
    )
    def test_are_answered_and_closed(self, wire, monkeypatch, request_):
        monkeypatch.setattr(channel, "HEAD", 0.3)
        monkeypatch.setattr(channel, "GRACE", 0.3)
        began = time.monotonic()
        answer = wire.ask(request_)
        assert status(answer) == [408]
        assert b"too slowly" in answer
        assert 0.3 < time.monotonic() - began < 5

    def test_a_head_that_trickles_is_no_better(self, wire, monkeypatch):
        monkeypatch.setattr(channel, "HEAD", 0.5)
        trickling = wire.connect(b"GET /health HTTP/1.1\r\nX: ")
        trickling.settimeout(0.05)
        answer, began = b"", time.monotonic()
        while not answer and time.monotonic() - began < 5:
            trickling.send(b"x")
            with contextlib.suppress(TimeoutError):
                answer = trickling.recv(65_536)
        assert status(answer) == [408]

    def test_a_body_that_keeps_up_may_take_its_time(self, wire, monkeypatch):
        monkeypatch.setattr(channel, "GRACE", 0.3)
        monkeypatch.setattr(channel, "RATE", 10)
        body = b"x" * 100
        sending = wire.connect(
            b"POST /api/v1/similar HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 100\r\n\r\n"
        )
        for at in range(0, 100, 4):
            sending.sendall(body[at : at + 4])
            time.sleep(0.06)
        assert status(read(sending)) in ([415], [422], [400])


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

    def test_wrong_tokens_are_counted_once(self, guarded):
        request = UPLOAD + b"Authorization: Bearer wrong\r\nContent-Length: 50000\r\n\r\n"
        assert [status(guarded.ask(request))[0] for _ in range(11)] == [401] * 10 + [429]

    def test_a_form_that_is_no_upload_is_small(self, wire):
        head = b"PUT /api/v1/policies HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        assert status(wire.connect(head + b"Content-Length: 1000001\r\n\r\n").recv(65_536)) == [413]

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

    @pytest.mark.parametrize(
        "header",
        ["Range: bytes=0-", "Range: bytes=-", "If-Modified-Since: ", "Max-Forwards: ", "Keep-Alive: ", "Age: "],
    )
    def test_other_headers(self, large, header, caplog):
        with wired(large[0]) as wire:
            (code,) = status(wire.ask(get(ORIGINAL, header + DIGITS.decode()))[:100])
        assert code in (200, 206, 400, 416)
        assert not [record for record in caplog.records if record.levelname == "ERROR"]
