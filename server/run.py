"""Serve the app with waitress: threads in one process, and a shutdown that loses nothing."""

import ctypes
import logging
import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import FrameType
from typing import Any

from waitress import wasyncore
from waitress.server import BaseWSGIServer, create_server

from imgindex import UsageError, one_thread
from imgindex.server.app import create_app
from imgindex.server.channel import IDLE, Channel
from imgindex.server.crowd import CONNECTIONS, Crowd
from imgindex.server.door import Door
from imgindex.server.middleware.rate_limit import customer
from imgindex.server.refusals import turn_away
from imgindex.server.scheduler import Scheduler
from imgindex.server.service import Service
from imgindex.server.settings import LOOPBACK, Settings

THREADS = 24  # requests at once: middleware.admission admits 16 uploads, so eight threads are left for reads
HEADERS = 64_000  # bytes of a head: a path takes at most 4,096, and browsers send some 2,000
M_ARENA_MAX = -8  # of malloc.h
FORM = 1_000_000  # bytes of an upload beside its files: 64 headers and fields take a tenth of it
ENDINGS = (signal.SIGINT, signal.SIGTERM)
LOOK = 0.2  # seconds until a stop is noticed: too short for a person to wait
WATCH = 1  # seconds between two looks at what takes too long: each bound is ten times as long, or more
TERMINAL = "/dev/tty"

logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # it warns whenever a request waits its turn


class Server:
    """Listens from the start; `run` answers until `stop`, `close` ends it."""

    def __init__(self, app: Any, settings: Settings) -> None:
        self._stopped = self._reloads = False
        self._keyring = app.extensions["imgindex.keyring"]
        self._watched = 0.0
        self._sockets: dict[int, Any] = {}
        try:
            self._server = create_server(
                Door(app),
                map=self._sockets,
                host=settings.host,
                port=settings.port,
                threads=THREADS,
                connection_limit=2 * CONNECTIONS,  # the crowd makes room long before
                channel_timeout=IDLE,
                max_request_header_size=HEADERS,
                max_request_body_size=settings.body
                + FORM,  # slightly larger ones reach the app, which refuses them in its own words
                ident=None,
                **_proxy(settings),
            )
        except (OSError, ValueError) as error:
            raise UsageError(
                f"The server cannot listen on {settings.host}:{settings.port} ({error}); choose another host or port.",
                hint="Use --host or --port.",
            ) from error
        self._trusted: str | None = self._server.adj.trusted_proxy
        self._crowd = Crowd(self._channels)
        listening = [one for one in self._sockets.values() if isinstance(one, BaseWSGIServer)]
        for one in listening:
            one.channel_class = self._open
        name = "127.0.0.1" if settings.host in (*LOOPBACK, "0.0.0.0", "::") else settings.host
        self.address = f"http://{f'[{name}]' if ':' in name else name}:{listening[0].effective_port}"

    def run(self) -> None:
        """Answer requests until `stop` or Ctrl-C."""
        with suppress(KeyboardInterrupt):
            while not self._stopped:
                wasyncore.loop(timeout=LOOK, use_poll=True, map=self._sockets, count=1)
                self._watch(time.monotonic())
                for channel in self._channels():
                    if channel.will_close:  # waitress waits until there is room to write, which may be never
                        channel.handle_close()

    def reload(self) -> None:
        """Make `run` read the tokens again, in whichever thread it is."""
        self._reloads = True

    def stop(self) -> None:
        """Make `run` return, in whichever thread it is."""
        self._stopped = True

    def close(self) -> None:
        """Close all connections, once all requests are done or after 5 seconds; `run` must have returned."""
        self._server.task_dispatcher.shutdown()
        for channel in self._channels():
            channel.handle_close()
        self._server.close()
        wasyncore.close_all(self._sockets)

    def _channels(self) -> list[Channel]:
        return [one for one in self._sockets.values() if isinstance(one, Channel)]

    def _open(self, server: Any, sock: Any, addr: Any, adj: Any, **more: Any) -> None:
        """A new connection, unless its client has too many that are all busy."""
        proxied = self._trusted in ("*", addr[0])
        if self._crowd.room(None if proxied else customer(addr[0])):
            Channel(server, sock, addr, adj, crowd=self._crowd, proxied=proxied, **more)
        else:
            turn_away(sock, addr[0])

    def _watch(self, now: float) -> None:
        if self._reloads:
            self._reloads = False
            self._keyring.reload()
        if now - self._watched < WATCH:
            return
        self._watched = now
        for channel in self._channels():
            channel.look(now)
        self._crowd.trim()


def serve(config: Mapping[str, Any], *, started: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM; `started` gets the address once it listens.

    `config` is as for `create_app`. Raises UsageError when the port is taken or the host is not of this machine.
    """
    _share_memory()
    app = create_app(config)
    service: Service = app.extensions["imgindex"]
    try:
        scheduler = Scheduler(service, synced=app.extensions["imgindex.metrics"].synced)
        server = Server(app, service.settings)
    except BaseException:
        service.close()
        raise
    before = {number: signal.signal(number, _interrupt) for number in ENDINGS}
    if hasattr(signal, "SIGHUP"):
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, _hang_up(server))
    try:
        scheduler.start()
        started(server.address)
        with one_thread():  # requests run side by side already
            server.run()
    finally:
        scheduler.close()
        service.close()  # which ends the requests that are still running
        server.close()
        for number, handler in before.items():
            signal.signal(number, handler)


def _proxy(settings: Settings) -> dict[str, Any]:
    """What waitress is told about a proxy; on a loopback address every client is on this machine, also over IPv6."""
    if not settings.proxy:
        return {"clear_untrusted_proxy_headers": False}  # middleware.security looks for them
    return {
        "trusted_proxy": "*" if settings.host in LOOPBACK else "127.0.0.1",
        "trusted_proxy_count": 1,
        "trusted_proxy_headers": {"x-forwarded-for", "x-forwarded-proto"},
    }


def _hang_up(server: Server) -> Callable[[int, FrameType | None], None]:
    """What SIGHUP does: read the tokens again; but it ends a server whose terminal has been closed."""
    attended = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN and _has_terminal()  # nohup ignores it

    def handle(number: int, frame: FrameType | None) -> None:
        if attended and not _has_terminal():
            _interrupt(number, frame)
        server.reload()

    return handle


def _has_terminal() -> bool:
    try:
        os.close(os.open(TERMINAL, os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _share_memory() -> None:
    """By default glibc gives each thread memory that others cannot use: a third more in all, and growing."""
    with suppress(OSError, AttributeError):  # another libc
        ctypes.CDLL("libc.so.6").mallopt(M_ARENA_MAX, 2)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    for number in ENDINGS:  # shutting down takes seconds, and a second Ctrl-C would cut it short
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
