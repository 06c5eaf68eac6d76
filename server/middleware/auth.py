"""Who may do what: local clients where no token is set, else whoever sends a token or has signed in with one."""

import re
import secrets
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from apiflask import APIFlask
from flask import (
    Blueprint,
    Flask,
    Request,
    Response,
    g,
    make_response,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from werkzeug.wrappers import Response as AnyResponse

from imgindex import UsageError
from imgindex.server.middleware.keyring import Keyring
from imgindex.server.middleware.rate_limit import RateLimit, client, is_loopback
from imgindex.server.middleware.security import SAFE
from imgindex.server.middleware.tokens import Token, given_token
from imgindex.server.problems import problem, wants_page
from imgindex.server.routing import marked, open_to_all
from imgindex.server.settings import LOOPBACK, Settings

FAILURES = "10 per minute"  # wrong tokens from one address: a person's typos, not a program's guesses
SESSIONS = 1000  # signed in at a time, and addresses remembered for a valid token: far above a household's, bounded
FORM = 10_000  # bytes of a body without a token: the form to sign in takes some hundred
BROKEN = "The server's tokens cannot be read; its log says why."
LASTS = timedelta(days=7)  # of a session: one sign-in a week
_LOCAL = re.compile(r"/(?![/\\])[!-\[\]-~]*")  # a path of this server, whatever a browser makes of it


def register(app: APIFlask) -> None:
    """Guard an app by its tokens. Raises UsageError when it has none and other machines can reach it."""
    settings: Settings = app.extensions["imgindex"].settings
    given = None if settings.token is None else given_token(settings.token)
    keyring = app.extensions["imgindex.keyring"] = Keyring(given=given, file=settings.tokens)
    if not keyring and settings.host not in LOOPBACK:
        raise UsageError(
            f"Other machines can reach {settings.host or 'every address'}, so the server needs a token; set one.",
            hint="Use --token or --tokens FILE; `imgindex token` makes one.",
        )
    authenticator = Authenticator(keyring)
    app.extensions.setdefault("imgindex.door", []).append(authenticator.may_send)
    app.config.update(
        SECRET_KEY=secrets.token_bytes(32),  # new at each start, so a restart signs everyone out
        SESSION_COOKIE_NAME="imgindex",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Strict",
        SESSION_REFRESH_EACH_REQUEST=False,
        PERMANENT_SESSION_LIFETIME=LASTS,
    )
    app.session_interface = _Sessions()
    app.before_request(authenticator.check)
    names = ("let_in", "may_write", "signed_in")
    app.context_processor(lambda: {name: g.get(name, False) for name in names})
    bp = Blueprint("access", __name__)
    bp.add_url_rule("/login", "login", authenticator.show, methods=["GET"])
    bp.add_url_rule("/login", "enter", authenticator.enter, methods=["POST"])
    bp.add_url_rule("/logout", "logout", authenticator.leave, methods=["POST"])
    app.register_blueprint(bp)
    open_to_all(app.view_functions["static"])


class _Sessions(SecureCookieSessionInterface):
    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        sent = self.get_cookie_name(app) in request.cookies
        return super().open_session(app, request) if sent else self.session_class()  # most programs send none

    def get_cookie_secure(self, app: Flask) -> bool:  # noqa: ARG002  # as Flask calls it
        return request.is_secure


class Authenticator:
    """The tokens of an app, and who signed in with one."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self._signed_in: dict[str, Token] = {}
        self._known: dict[tuple[str, bytes], None] = {}  # addresses, and tokens that were right from there
        self._failures = RateLimit(FAILURES)

    def check(self) -> AnyResponse | None:
        """None when the request may go on, else the refusal."""
        if not self._keyring:
            g.let_in = g.may_write = is_loopback(request.remote_addr)
            return None if g.may_write else problem(403, "Only local requests are allowed because no token is set.")
        if marked("open_to_all"):
            request.max_content_length = FORM
            return None
        secret = _bearer()
        found = self._of_session() if secret is None else self._try(secret)
        if isinstance(found, Response):
            return found
        if found is None:
            return self._closed() or self._ask(wrong=secret is not None)
        g.let_in, g.may_write, g.signed_in = True, found.role == "read-write", secret is None
        if not g.may_write and request.method not in SAFE and not marked("reads_only"):
            return problem(403, "This token is read-only.", headers=_challenge("insufficient_scope"))
        return None

    def may_send(self) -> bool:
        """Whether `check` would let the request go on, and nothing is counted; asked before its body is taken."""
        if not self._keyring:
            return is_loopback(request.remote_addr)
        if marked("open_to_all"):
            request.max_content_length = FORM
            return True
        secret = _bearer()
        found = self._of_session() if secret is None else self._right(secret)
        return found is not None and (found.role == "read-write" or request.method in SAFE or marked("reads_only"))

    @open_to_all
    def show(self) -> AnyResponse:
        """The page to sign in."""
        after = _local(request.args.get("next", ""))
        return self._form(after) if self._keyring else redirect(after)

    @open_to_all
    def enter(self) -> AnyResponse:
        """Sign in."""
        after = _local(request.form.get("next", ""))
        found = self._try(request.form.get("token", "").strip()) if self._keyring else None
        if isinstance(found, Response):
            return found
        if found is None:
            return self._closed() or self._form(after, wrong=True) if self._keyring else redirect(after, 303)
        self._forget()
        session["id"], session.permanent = secrets.token_urlsafe(), True
        self._signed_in[session["id"]] = found
        _keep_newest(self._signed_in)
        return redirect(after, 303)

    @open_to_all
    def leave(self) -> AnyResponse:
        """Sign out; any copy of the cookie is worthless then."""
        self._forget()
        return redirect(url_for("access.login") if self._keyring else "/", 303)

    def _forget(self) -> None:
        self._signed_in.pop(session.get("id", ""), None)
        session.clear()

    def _of_session(self) -> Token | None:
        """The token that was signed in with, as long as it counts."""
        signed_in = self._signed_in.get(session.get("id", ""))
        return self._keyring.still(signed_in) if signed_in else None

    def _right(self, secret: str) -> Token | None:
        """The token, unless `_try` would refuse it; nothing is counted."""
        found, address = self._keyring.find(secret), client()
        return found if found and (self._knows(address, found) or not self._failures.wait(address)) else None

    def _knows(self, address: str, token: Token) -> bool:
        return (address, token.digest) in self._known

    def _try(self, secret: str) -> Token | Response | None:
        """The token; after many wrong ones from an address, a refusal, unless this one was valid from there before."""
        found, address = self._keyring.find(secret), client()
        wait = self._failures.wait(address)
        if found and (self._knows(address, found) or not wait):
            self._known[address, found.digest] = None
            _keep_newest(self._known)
            return found
        if found is None and not self._keyring.broken:
            self._failures.hit(address)
        if wait:
            return problem(429, f"Too many wrong tokens; try again in {wait} s.", headers={"Retry-After": str(wait)})
        return None

    def _closed(self) -> Response | None:
        """The refusal while the file of tokens cannot be read; it may hold the one that was sent."""
        if self._keyring.broken is None:
            return None
        return problem(503, BROKEN, headers={"Retry-After": "10"})

    @staticmethod
    def _ask(*, wrong: bool) -> AnyResponse:
        if request.method in ("GET", "HEAD") and wants_page() and not wrong:
            query = request.query_string.decode("latin-1")
            return redirect(url_for("access.login", next=quote(request.path) + (f"?{query}" if query else "")))
        text = "This token is not valid." if wrong else "Send a token as Authorization: Bearer TOKEN."
        headers = _challenge("invalid_token" if wrong else None)
        if "HX-Request" in request.headers:  # a part of a page that was open when the session ended
            headers["HX-Redirect"] = url_for("access.login")
        return problem(401, text, headers=headers)

    @staticmethod
    def _form(after: str, *, wrong: bool = False) -> AnyResponse:
        response = make_response(render_template("login.html", next=after, wrong=wrong), 401 if wrong else 200)
        response.headers["Cache-Control"] = "no-store"
        if wrong:
            response.headers.update(_challenge("invalid_token"))
        return response


def _bearer() -> str | None:
    """The token of the Authorization header; other schemes are a proxy's, not ours."""
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else None


def _challenge(error: str | None) -> dict[str, str]:
    return {"WWW-Authenticate": "Bearer" + (f' error="{error}"' if error else "")}


def _local(target: str) -> str:
    return target if _LOCAL.fullmatch(target) else "/"


def _keep_newest(remembered: dict[Any, Any]) -> None:
    for old in list(remembered)[:-SESSIONS]:
        remembered.pop(old, None)
