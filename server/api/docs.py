"""The API's description: OpenAPI 3.1 at /openapi.json, and Swagger UI at /docs, both served from here."""

import re
from http import HTTPStatus
from importlib.resources import files
from typing import Any

from apiflask import APIFlask
from flask import Blueprint, Response, abort, current_app, send_from_directory

from imgindex import LARGEST_ID, __version__
from imgindex.server.api.requests import DECISIONS
from imgindex.server.routing import marked
from imgindex.server.service import current

ABOUT = "Find the copies, find images like this, and keep a growing collection sorted."
PROBLEM = {
    "type": "object",
    "description": "What went wrong, in one sentence (RFC 9457).",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
    "required": ["type", "title", "status", "detail"],
}
ALWAYS = (400, 429, 500)  # what any route may answer: an invalid request, too many of them, a fault
GUARDED = (401, 403)  # what any route may answer where a token is needed
DAY = 86_400  # seconds: Swagger UI changes only with a new version of the server

# Swagger UI sets styles from its script; everything else is as strict as on the other pages.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
)
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>imgindex: API</title>
<link rel="icon" href="docs/favicon-32x32.png">
<link rel="stylesheet" href="docs/swagger-ui.css">
<div id="docs"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="static/docs.js"></script>
</html>
"""
SERVED = ("swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png")

bp = Blueprint("docs", __name__)


@bp.get("/docs")
def page() -> Response:
    """The API, to read and to try out."""
    response = Response(PAGE, mimetype="text/html")
    response.headers["Content-Security-Policy"] = POLICY
    return response


@bp.get("/docs/<name>")
def part(name: str) -> Response:
    """A file of Swagger UI."""
    if name not in SERVED:
        abort(404)
    return send_from_directory(str(files("flask_swagger_ui") / "dist"), name, max_age=DAY)


def register(app: APIFlask) -> None:
    """Describe an app's API."""
    app.config.update(
        OPENAPI_VERSION="3.1.0",
        DESCRIPTION=ABOUT,
        AUTO_SERVERS=False,  # it would keep the Host header of the first client
        SECURITY_SCHEMES={"bearer": {"type": "http", "scheme": "bearer"}},
    )
    app.version = __version__
    app.spec_processor(_finish)
    app.register_blueprint(bp)


def _finish(spec: Any) -> Any:
    """Add what is true of every route and APIFlask does not know: ids, problems, tokens, required bodies."""
    settings = current().settings
    guarded = bool(settings.token or settings.tokens)
    spec["tags"] = [{"name": name} for name in dict.fromkeys(tag["name"] for tag in spec["tags"])]
    schemas = spec["components"]["schemas"]
    for name in ("HTTPError", "ValidationError"):
        schemas.pop(name, None)
    schemas.update(Problem=PROBLEM, Decision=DECISIONS)
    rules = {re.sub(r"<(?:[^<:]+:)?([^>]+)>", r"{\1}", rule.rule): rule for rule in current_app.url_map.iter_rules()}
    for path, operations in spec["paths"].items():
        ids = set(re.findall("<id:([^>]+)>", rules[path].rule))
        open_to_all = marked("open_to_all", rules[path].endpoint)
        for operation in operations.values():
            for parameter in operation["parameters"]:
                if parameter["in"] == "path" and parameter["name"] in ids:
                    parameter["schema"] = {"type": "integer", "minimum": 1, "maximum": LARGEST_ID}
            if guarded and not open_to_all:
                operation["security"] = [{"bearer": []}]
            more = ALWAYS if open_to_all else (*ALWAYS, *GUARDED)
            if "requestBody" in operation:
                more = (*more, 413)
                if "required" in _body(operation, schemas):
                    operation["requestBody"]["required"] = True
            _say_problems(operation["responses"], more)
    return spec


def _say_problems(responses: dict[str, Any], more: tuple[int, ...]) -> None:
    for code in more:
        responses.setdefault(str(code), {})
    for status, response in responses.items():
        code = int(status)
        response.setdefault("description", HTTPStatus(code).phrase)
        if code >= 400:
            response["content"] = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
        elif code in (204, 304):
            response.pop("content", None)


def _body(operation: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    (content,) = operation["requestBody"]["content"].values()
    name: str = content["schema"]["$ref"].rsplit("/", 1)[1]
    schema: dict[str, Any] = schemas[name]
    return schema["oneOf"][0] if "oneOf" in schema else schema
