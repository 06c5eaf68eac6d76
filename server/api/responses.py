"""How the API answers: JSON, 304 for a client that has it already, and how OpenAPI describes that."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

from apiflask import Schema
from flask import Response, request

from imgindex.rendering.paths import utf8
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


def json_of(schema: type[Schema]) -> dict[str, Any]:
    """OpenAPI's content of an answer that another status of the same route describes already."""
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema.__name__}"}}}


def described(about: str | None = None, *, content: Any = None, location: str | None = None) -> Any:
    """What OpenAPI says of an answer beyond its schema: other content, or whose address Location is."""
    headers = location and {"Location": {"description": location, "schema": {"type": "string"}}}
    said = {"description": about, "content": content, "headers": headers}
    return {key: value for key, value in said.items() if value is not None}


def unless_known(make: Callable[[], Response]) -> Response:
    """What `make` answers, with an ETag that is valid until the index changes; 304 to a client that sends it."""
    tag = hashlib.sha256(f"{current().etag()} {request.full_path}".encode("utf-8", "replace")).hexdigest()[:32]
    sent = request.if_none_match
    known = not sent.star_tag and sent.contains_weak(tag)  # * matches only what exists
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
