"""One client who holds all that he can: others are answered meanwhile, and so is he."""

import contextlib
import time
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from flask import Response

from imgindex.server import channel, crowd
from imgindex.server.channel import _forwarded
from imgindex.server.parser import Parser
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
        monkeypatch.setattr(crowd, "UNREAD", 0.5)
        with app_of(tmp_path, PORT=0) as app:
            app.add_url_rule("/export", "export", lambda: Response(bytes(8_000_000)))
            with wired(app) as wire:
                for _ in range(8):
                    wire.connect(3 * get("/export", keep=True), buffer=4_096)
                until(lambda: [one.state for one in wire.server._channels()].count("giving") > 1)
                until(lambda: sum(one.spooled for one in wire.server._channels()) <= 10_000_000)
                assert wire.server._channels()
                assert wire.seconds("/health") < SLOW

    @pytest.mark.parametrize(("count", "unread"), [(1, 0), (2, 10)])
    def test_one_alone_and_those_read_slowly_are_not_ended(self, count, unread, monkeypatch):
        monkeypatch.setattr(crowd, "UNREAD", unread)
        since = time.monotonic() - 1.1  # what a reader at 100 KB/s leaves the sender silent
        given = [
            SimpleNamespace(client="a", will_close=False, state="giving", since=since, spooled=2 * crowd.ANSWERS)
            for _ in range(count)
        ]
        crowd.Crowd(lambda: given).trim()
        assert [one.will_close for one in given] == [False] * count

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

    def test_a_fault_in_what_comes_behind_ends_one_connection(self, large, monkeypatch):
        taken = Parser.received

        def faulty(self, data):
            if data.startswith(b"GET /fault"):
                raise RuntimeError("a fault")
            return taken(self, data)

        monkeypatch.setattr(Parser, "received", faulty)
        with wired(large[0]) as wire:
            assert status(wire.ask(get("/nowhere", keep=True) + get("/fault"))) == [404]
            assert wire.seconds("/health") < 5

    @pytest.mark.parametrize(
        "header",
        ["Range: bytes=0-", "Range: bytes=-", "If-Modified-Since: ", "Max-Forwards: ", "Keep-Alive: ", "Age: "],
    )
    def test_numbers_of_5000_digits_in_headers_are_no_faults(self, large, header, caplog):
        with wired(large[0]) as wire:
            (code,) = status(wire.ask(get(ORIGINAL, header + 5_000 * "9"))[:100])
        assert code in (200, 206, 400, 416)
        assert not [record for record in caplog.records if record.levelname == "ERROR"]


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
        ("state", "count", "body", "room"),
        [
            ("working", 100, False, True), ("working", 128, False, False), ("working", 64, True, False),
            ("giving", 64, False, False), ("taking", 64, False, False),
        ],
    )  # fmt: skip
    def test_of_a_proxy_may_queue_where_they_have_no_body(self, state, count, body, room):
        since = time.monotonic()
        busy = [
            SimpleNamespace(client="a", will_close=False, state=state, since=since, spooled=0, held=0)
            for _ in range(count)
        ]
        new = SimpleNamespace(client="a", will_close=False, state="taking", since=since, spooled=0, held=0)
        assert crowd.Crowd(lambda: [*busy, new]).room_for_request(new, body=body) is room

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
