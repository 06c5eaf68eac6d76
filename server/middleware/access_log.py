"""One line of JSON for each request, on the logger `imgindex.server.requests`."""

import json
import logging
import re
import secrets
import time
from datetime import UTC, datetime

from apiflask import APIFlask
from flask import Flask, Response, g, request, request_started

log = logging.getLogger("imgindex.server.requests")
log.setLevel(logging.INFO)

_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def register(app: APIFlask) -> None:
    """Log an app's requests, refused ones included."""
    request_started.connect(_begin, app)
    app.after_request(_end)


def _begin(_app: Flask, **_: object) -> None:
    given = request.headers.get("X-Request-ID", "")
    g.request_id = given if _ID.fullmatch(given) else new_id()
    g.started = time.perf_counter()


def _end(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.request_id
    write_line(
        name=g.request_id,
        client=request.remote_addr,
        method=request.method,
        path=request.path,
        status=response.status_code,
        seconds=time.perf_counter() - g.started,
        size=response.content_length,
    )
    return response


def new_id() -> str:
    """An id for a request that came without one."""
    return secrets.token_hex(8)


def write_line(
    *,
    name: str,
    client: str | None,
    method: str | None,
    path: str | None,
    status: int,
    seconds: float,
    size: int | None,
) -> None:
    """JSON, in ASCII whatever is in a path; without the query, which may be private."""
    line = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "id": name,
        "client": client,
        "method": method,
        "path": path,
        "status": status,
        "milliseconds": round(1000 * seconds, 1),
        "bytes": size,
    }
    log.info("%s", json.dumps(line))
