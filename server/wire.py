"""HTTP as it comes in: what never reaches the app is answered in the shape of its problems."""

import json
import tempfile
from typing import Any

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.task import ErrorTask
from waitress.utilities import Error


class _WireError(ErrorTask):  # type: ignore[misc]
    """What is no HTTP, or far too large, or found no room."""

    def execute(self) -> None:
        error = self.request.error
        problem = {"type": "about:blank", "title": error.reason, "status": error.code, "detail": f"{error.body}."}
        body = json.dumps(problem).encode()
        self.status = f"{error.code} {error.reason}"
        self.response_headers += [("Content-Type", "application/problem+json"), ("X-Content-Type-Options", "nosniff")]
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class _NoRoomError(Error):  # type: ignore[misc]
    code = 507
    reason = "Insufficient Storage"


class _Nowhere:
    """The buffer of a body that nobody will read."""

    def append(self, data: bytes) -> None:
        pass

    def close(self) -> None:
        pass


class _Parser(HTTPRequestParser):  # type: ignore[misc]
    """A large body waits in a temporary file; where that finds no room, the client is told when it has sent all."""

    _refused: _NoRoomError | None = None

    def received(self, data: bytes) -> int:
        try:
            consumed = super().received(data)
        except OSError as error:
            self._refused = _NoRoomError(
                f"{tempfile.gettempdir()} cannot be written ({error.strerror}); send this again when there is room"
            )
            self.body_rcv.buf.close()
            self.body_rcv.buf = _Nowhere()
            consumed = super().received(data)
        if self.completed and self._refused:
            self.error = self._refused
        return int(consumed)


class Channel(HTTPChannel):  # type: ignore[misc]
    """One connection."""

    error_task_class = _WireError
    parser_class: Any = _Parser
