"""Serve the app by waitress: threads in one process, and an end that loses nothing."""

import logging
import signal
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

from waitress.server import BaseWSGIServer, create_server

from imgindex import UsageError, one_thread
from server.app import create_app
from server.schedule import Schedule
from server.service import Service
from server.settings import LOOPBACK, Settings
from server.wire import Channel

THREADS = 16  # requests that are worked on at once
CONNECTIONS = 200
FORM = 1_000_000  # bytes around the files of an upload
ENDINGS = (signal.SIGINT, signal.SIGTERM)
IDLE = 60  # seconds until a silent connection is closed

logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # that requests wait their turn is no news


class Server:
    """Listens from the start; `run` answers until `close`."""

    def __init__(self, app: Any, settings: Settings) -> None:
        sockets: dict[int, Any] = {}
        try:
            self._server = create_server(
                app,
                map=sockets,
                host=settings.host,
                port=settings.port,
                threads=THREADS,
                connection_limit=CONNECTIONS,
                channel_timeout=IDLE,
                max_request_body_size=settings.body + FORM,  # what is a little too large, the app refuses in its words
                ident=None,
            )
        except (OSError, ValueError) as error:
            raise UsageError(
                f"{settings.host}:{settings.port} cannot be served ({error}); choose another --host or --port."
            ) from error
        listening = [one for one in sockets.values() if isinstance(one, BaseWSGIServer)]
        for one in listening:
            one.channel_class = Channel
        name = "127.0.0.1" if settings.host in (*LOOPBACK, "0.0.0.0", "::") else settings.host
        self.address = f"http://{f'[{name}]' if ':' in name else name}:{listening[0].effective_port}"

    def run(self) -> None:
        """Answer requests until `close`, or Ctrl-C."""
        self._server.run()

    def close(self) -> None:
        """Stop listening, once nothing runs any more or after 5 seconds."""
        self._server.task_dispatcher.shutdown()
        self._server.close()


def serve(config: Mapping[str, Any], *, started: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM; `started` gets the address once it listens.

    `config` is as for `create_app`. Raises UsageError when the port is taken or the host is not ours.
    """
    app = create_app(config)
    service: Service = app.extensions["imgindex"]
    try:
        schedule = Schedule(service)
        server = Server(app, service.settings)
    except BaseException:
        service.close()
        raise
    before = {number: signal.signal(number, _interrupt) for number in ENDINGS}
    try:
        schedule.start()
        started(server.address)
        with one_thread():  # many requests at once need no more
            server.run()
    finally:
        schedule.close()
        service.close()  # which ends the requests that still run
        server.close()
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    for number in ENDINGS:  # the end takes seconds; a second Ctrl-C would only cut it short
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
