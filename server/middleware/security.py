"""What is refused from anyone: other names for this server, pages of other sites, too many requests."""

import re
from ipaddress import ip_address

from apiflask import APIFlask
from flask import Response, request

from imgindex.server.middleware.rate_limit import RateLimit, client, is_loopback
from imgindex.server.problems import problem
from imgindex.server.settings import Settings

SAFE = ("GET", "HEAD", "OPTIONS")
UNSAFE_RATE = "200 per second"  # from one address: above what a script of uploads reaches; reads are cheap
PLAIN = 1_000_000  # bytes of a body that is not an upload: decisions take some hundred
FIELDS = 64  # parts of an upload beside its files: our forms have three
FIELD = 100_000  # bytes of them in all: no field is longer than a path
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "font-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "private, no-cache",
}
# What proxies add: one that the server was not told of would make all its clients, wherever they are, clients of here.
FORWARDED = (
    "forwarded", "via", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "cf-connecting-ip", "true-client-ip"
)  # fmt: skip
UNNAMED = "A proxy stands before this server, which was not told of one; start the server with --proxy to allow it."
WATCHED = ("/health", "/ready")  # tell nothing, and programs that watch over servers may come through a proxy
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\[\]:]+)(?::[0-9]{1,5})?")
ANY = ("0.0.0.0", "::", "")  # every address of this machine


def register(app: APIFlask) -> None:
    """Protect an app according to its settings."""
    settings: Settings = app.extensions["imgindex"].settings
    hosts, rate, door = Hosts(settings), RateLimit(UNSAFE_RATE), app.extensions.setdefault("imgindex.door", [])
    app.config.update(
        MAX_CONTENT_LENGTH=settings.body,
        MAX_FORM_PARTS=settings.files + FIELDS,
        MAX_FORM_MEMORY_SIZE=FIELD,
    )

    def refusal() -> Response | None:
        if not settings.proxy and _forwarded() and request.path not in WATCHED:
            return problem(400, UNNAMED)
        host = request.headers.get("Host", "").lower()
        if host not in hosts:
            return problem(
                400, "The Host header is not a name of this server; start the server with this name to allow it."
            )
        if _foreign(host):
            return problem(403, "Pages of other sites may only link to this server.")
        if request.method in SAFE or request.mimetype != "multipart/form-data":
            request.max_content_length = min(PLAIN, settings.body)
        return None

    def check() -> Response | None:
        if refused := refusal():
            return refused
        if request.method not in SAFE and (wait := rate.hit(client())):
            return problem(429, f"Too many requests; try again in {wait} s.", headers={"Retry-After": str(wait)})
        return None

    def may_send() -> bool:
        return refusal() is None and (request.method in SAFE or not rate.wait(client()))

    door.append(may_send)
    app.before_request(check)
    app.after_request(_protect)


class Hosts:
    """The names by which a server may be called, without ports; a foreign name could be made to resolve to it."""

    def __init__(self, settings: Settings) -> None:
        own = [] if settings.host in ANY else [settings.host]
        self._names = {_bracketed(name.lower()) for name in ("localhost", "127.0.0.1", "::1", *own, *settings.hosts)}
        self._numbers = settings.host in ANY  # an address needs no DNS, so nobody can rebind it

    def __contains__(self, host: str) -> bool:
        matched = _HOST.fullmatch(host)
        if not matched:
            return False
        name = matched[1]
        return name in self._names or (self._numbers and _is_number(name.strip("[]")))


def _bracketed(name: str) -> str:
    return f"[{name}]" if ":" in name and _is_number(name) else name


def _is_number(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _forwarded() -> bool:
    """Whether a program on this machine passed on what came from elsewhere."""
    return is_loopback(request.remote_addr) and any(
        name.lower() in FORWARDED or name.lower().startswith("x-forwarded-") for name, _ in request.headers
    )


def _foreign(host: str) -> bool:
    """Whether a page of another site or port sent this; programs other than browsers send neither header."""
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site in ("same-origin", "none"):
        return False
    if request.method in SAFE:
        return site is not None and not (
            request.headers.get("Sec-Fetch-Mode") == "navigate" and request.headers.get("Sec-Fetch-Dest") == "document"
        )
    return site is not None or (origin is not None and origin.lower().partition("://")[2] != host)


def _protect(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response
