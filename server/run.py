"""Serve the app by waitress: threads in one process, errors of the wire as problems, an end that loses nothing."""

import json
import logging
import signal
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

from waitress.channel import HTTPChannel
from waitress.server import BaseWSGIServer, create_server
from waitress.task import ErrorTask

from imgindex import UsageError, one_thread
from server.app import create_app
from server.schedule import Schedule
from server.service import Service
from server.settings import LOOPBACK, Settings

THREADS = 16  # requests that are worked on at once
CONNECTIONS = 200
FORM = 1_000_000  # bytes around the files of an upload
IDLE = 60  # seconds until a silent connection is closed


class _WireError(ErrorTask):  # type: ignore[misc]
    """What is no HTTP, or far too large, never reaches the app; it is answered in the same shape."""

    def execute(self) -> None:
        error = self.request.error
        problem = {"type": "about:blank", "title": error.reason, "status": error.code, "detail": f"{error.body}."}
        body = json.dumps(problem).encode()
        self.status = f"{error.code} {error.reason}"
        self.response_headers += [("Content-Type", "application/problem+json"), ("X-Content-Type-Options", "nosniff")]
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class _Channel(HTTPChannel):  # type: ignore[misc]
    error_task_class = _WireError


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
            one.channel_class = _Channel
        name = "127.0.0.1" if settings.host in (*LOOPBACK, "0.0.0.0", "::") else settings.host
        self.address = f"http://{f'[{name}]' if ':' in name else name}:{listening[0].effective_port}"

    def run(self) -> None:
        """Answer requests until `close`, or Ctrl-C."""
        self._server.run()

    def close(self) -> None:
        """End what runs, at most 5 seconds, and stop listening."""
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
        before = signal.signal(signal.SIGTERM, _interrupt)
        schedule.start()
        try:
            started(server.address)
            with one_thread():  # many requests at once need no more
                server.run()
        finally:
            schedule.close()
            server.close()
            signal.signal(signal.SIGTERM, before)
    finally:
        service.close()


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
