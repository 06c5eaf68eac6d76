"""Errors as answers: RFC 9457 problem details, and for a browser a page with the same sentence."""

import json
import logging
from collections.abc import Iterator, Mapping
from typing import Any

from apiflask import APIFlask, HTTPError
from flask import Response, render_template, request
from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.http import HTTP_STATUS_CODES

from imgindex import (
    BusyError,
    DiskFullError,
    FileGoneError,
    ImgindexError,
    NotIndexedError,
    StorageError,
    UnreadablePictureError,
    UsageError,
    WeightsError,
)
from imgindex.rendering.paths import utf8
from imgindex.server.errors import OverloadedError

log = logging.getLogger("imgindex.server")

STATUSES: tuple[tuple[type[ImgindexError], int], ...] = (
    (UsageError, 400),
    (NotIndexedError, 404),
    (FileGoneError, 404),  # 410 would promise that it never comes back
    (BusyError, 409),
    (UnreadablePictureError, 422),
    (OverloadedError, 503),
    (WeightsError, 503),
    (DiskFullError, 507),
    (StorageError, 503),
)
SENTENCES = {
    400: "The request is invalid.",
    403: "This is not allowed.",
    404: "There is nothing at this address.",
    413: "The request is larger than this server allows; send fewer or smaller files.",
    415: "Unsupported media type; the description at /docs says what to send.",
    416: "The file has no such range of bytes.",
    429: "Too many requests; try again in a moment.",
    500: "The server failed to handle this request; its log says why.",
}
BUSY = 10  # seconds before a retry makes sense: another process is writing, or the disk is full
SHOWN = 20  # errors of one request that are listed: a person fixes the first ones first
LONGEST = 200  # characters of what the client sent that are sent back


def register(app: APIFlask) -> None:
    """Answer every error of an app as a problem."""
    app.error_processor(_apiflask)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(ImgindexError, _imgindex)
    app.register_error_handler(Exception, _unknown)


def problem(status: int, detail: str, *, headers: Mapping[str, str] | None = None, **more: Any) -> Response:
    """The answer to a request that failed: `detail` is one sentence, `more` goes into the JSON as it is."""
    body = {
        "type": "about:blank",
        "title": HTTP_STATUS_CODES.get(status, "Error"),
        "status": status,
        "detail": _utf8(detail),
        **more,
    }
    page = _page(body) if wants_page() else None
    response = Response(page or json.dumps(body), status, mimetype="text/html" if page else "application/problem+json")
    response.headers["Cache-Control"] = "no-store"
    response.headers.update(headers or {})
    return response


def wants_page() -> bool:
    """Whether a browser asks for a page, rather than a program for data."""
    kinds = ["application/problem+json", "application/json", "text/html"]
    return not request.path.startswith("/api/") and request.accept_mimetypes.best_match(kinds) == "text/html"


def _utf8(text: str) -> str:
    """Bytes of a path that are not UTF-8, and lone surrogates that a client sent, are escaped."""
    try:
        return utf8(text)
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()


def _page(body: Mapping[str, Any]) -> str | None:
    try:
        return render_template("problem.html", **body)
    except Exception:
        log.exception("The page for a problem could not be rendered.")
        return None


def _imgindex(error: ImgindexError) -> Response:
    status = next((status for kind, status in STATUSES if isinstance(error, kind)), 500)
    if status >= 500 and not isinstance(error, OverloadedError):  # a crowd would fill the log with it
        log.error("%s", error)
    headers = {}
    if isinstance(error, OverloadedError):
        headers["Retry-After"] = str(error.retry_after)
    elif isinstance(error, BusyError) or (isinstance(error, StorageError) and status == 503):
        headers["Retry-After"] = str(BUSY)
    return problem(status, str(error), headers=headers)


def _http(error: HTTPException) -> Any:
    if error.response is not None or error.code is None or error.code < 400:
        return error.get_response()
    said = vars(error).get("description")  # set by whoever raised it; the default is on the class
    headers = {name: value for name, value in error.get_headers() if name.lower() != "content-type"}
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        said = f"This address only accepts {', '.join(sorted(error.valid_methods))}."
        headers["Allow"] = ", ".join(sorted(error.valid_methods))
    return problem(error.code, said or SENTENCES.get(error.code, f"{error.name}."), headers=headers)


def _apiflask(error: HTTPError) -> Response:
    """What APIFlask refuses by itself: parameters and bodies that do not match their description."""
    headers = dict(Headers(error.headers))
    errors = list(_flat(error.detail)) if isinstance(error.detail, dict) else []
    if not errors:
        return problem(error.status_code, str(error.message), headers=headers)
    first = errors[0]
    detail = f"{first['name']}: {first['detail']}" if first["name"] else first["detail"]
    if len(errors) > 1:
        detail = f"{detail.removesuffix('.')} (and {len(errors) - 1} more)."
    return problem(error.status_code, detail, headers=headers, errors=errors[:SHOWN])


def _flat(detail: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """{"query": {"k": ["Not a valid integer."]}} as a list of {"in", "name", "detail"}."""

    def walk(part: Any, name: str) -> Iterator[tuple[str, str]]:
        if isinstance(part, dict):
            for key, inner in part.items():
                yield from walk(inner, name if key == "_schema" else f"{name}.{key}" if name else str(key))
        elif isinstance(part, list):
            for inner in part:
                yield from walk(inner, name)
        else:
            yield name, str(part)

    for place, errors in detail.items():
        for name, text in walk(errors, ""):
            field = name.partition(".")[0] if place == "files" else name  # parts of an upload share one name
            yield {"in": str(place), "name": _utf8(field[:LONGEST]), "detail": _utf8(text[:LONGEST])}


def _unknown(error: Exception) -> Response:
    log.error("%r %r failed.", request.method, request.path, exc_info=error)
    return problem(500, SENTENCES[500])
