"""What every answer of the API is made with: JSON, and 304 for a client that has it already."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

from flask import Response, request

from imgindex.rendering.exports import utf8
from imgindex.server.service import current


def answer(payload: Any, status: int = 200, **headers: str) -> Response:
    """JSON in UTF-8; in paths, bytes that are not UTF-8 become \\xff."""
    try:
        body = _encoded(payload)
    except UnicodeEncodeError:
        body = _encoded(_valid(payload))
    response = Response(body, status, mimetype="application/json")
    response.headers["Cache-Control"] = "no-store"
    response.headers.update(headers)
    return response


def unless_known(make: Callable[[], Response]) -> Response:
    """What `make` answers, with an ETag that lasts as long as the index stays as it is; 304 to who sends that."""
    tag = hashlib.sha256(f"{current().etag()} {request.full_path}".encode("utf-8", "replace")).hexdigest()[:32]
    sent = request.if_none_match
    known = not sent.star_tag and sent.contains_weak(tag)  # * is true of what is there only
    response = Response(status=304) if known else make()
    response.set_etag(tag, weak=True)
    response.headers["Cache-Control"] = "private, no-cache"
    return response


def _encoded(payload: Any) -> bytes:
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()


def _valid(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _valid(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_valid(item) for item in value]
    return utf8(value) if isinstance(value, str) else value
