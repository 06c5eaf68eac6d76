"""Who may do what: every route and method, for everybody that may ask, from every kind of place."""

import re

import pytest

from imgindex.server.middleware import security
from imgindex.server.middleware.tokens import add_token
from tests.conftest import write_picture
from tests.server.test_auth_and_security import OPEN, READING
from tests.support.serving import app_of

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
NOBODY = (
    *("nothing", "a wrong token", "a password", "a token in the query", "a taken token"),
    *("a taken session", "a left session", "a made-up session"),
)
READERS, WRITERS = ("a reader's token", "a reader's session"), ("a writer's token", "a writer's session")
PLACES = {
    "a program": {},
    "a page of ours": {"Sec-Fetch-Site": "same-origin"},
    "another site": {"Sec-Fetch-Site": "cross-site"},
    "another site's form": {"Origin": "http://evil.example"},
    "another name": {"Host": "evil.example"},
}


class Door:
    """An app, and what everybody sends to it."""

    def __init__(self, app, folder, secrets):
        self._app, self._asked = app, 0
        self._sent = {
            "nothing": {},
            "a wrong token": bearer("wrong"),
            "a password": {"Authorization": "Basic d3JvbmdzOndyb25n"},
            "a token in the query": {},
            "a taken token": bearer(secrets["taken"]),
            "a made-up session": {"Cookie": "imgindex=eyJpZCI6IngifQ.aaaaaa.bbbbbbbbbbbb"},
            "a reader's token": bearer(secrets["reader"]),
            "a writer's token": bearer(secrets["writer"]),
            "a reader's session": self._signed_in(secrets["reader"]),
            "a writer's session": self._signed_in(secrets["writer"]),
            "a taken session": self._signed_in(secrets["taken"]),
            "a left session": self._signed_in(secrets["writer"]),
        }
        self._query = f"?token={secrets['writer']}&access_token={secrets['writer']}"
        self.ask("POST", "/logout", "a left session", "a page of ours")
        lines = (folder / "tokens").read_text().splitlines(keepends=True)
        (folder / "tokens").write_text("".join(lines[:-1]))  # the taken one was the last that was added

    def ask(self, method: str, path: str, who: str, place: str) -> int:
        """The status of the answer; each request comes from an address of its own, so that no limit is met."""
        self._asked += 1
        client = self._app.test_client(use_cookies=False)
        client.environ_base["REMOTE_ADDR"] = f"10.{self._asked >> 16}.{self._asked >> 8 & 255}.{self._asked & 255}"
        path += self._query if who == "a token in the query" else ""
        answer = client.open(path, method=method, headers=self._sent[who] | PLACES[place], buffered=True)
        return int(answer.status_code)

    def _signed_in(self, secret: str) -> dict[str, str]:
        answer = self._app.test_client(use_cookies=False).post("/login", data={"token": secret})
        assert answer.status_code == 303
        return {"Cookie": answer.headers["Set-Cookie"].split(";")[0]}


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


@pytest.fixture
def door(tmp_path):
    secrets = {
        name: add_token(tmp_path / "tokens", read_only=name == "reader") for name in ("reader", "writer", "taken")
    }
    for seed in range(3):
        write_picture(tmp_path / "photos" / f"{seed}.png", seed)
    with app_of(tmp_path, TOKENS=tmp_path / "tokens", PORT=0) as app:
        app.extensions["imgindex"].index.add([tmp_path / "photos"])
        yield Door(app, tmp_path, secrets)


def allowed(method: str, rule: str, who: str, place: str) -> set[int]:
    """The statuses with which a request may be refused; empty: it is let in."""
    if place in ("another site", "another name") or (place == "another site's form" and method not in security.SAFE):
        return {400, 403}
    if rule in OPEN:
        return set()
    if who in NOBODY:
        return {401}
    if who in READERS and method not in security.SAFE and (method, rule) not in READING:
        return {403}
    return set()


@pytest.mark.attack
@pytest.mark.parametrize("place", PLACES)
def test_who_may_do_what(door, place):
    rules = list(door._app.url_map.iter_rules())
    cells = 0
    for who in (*NOBODY, *READERS, *WRITERS):
        for rule in rules:
            path = re.sub(r"<[^>]*>", "1", rule.rule)
            for method in (method for method in METHODS if method in rule.methods):
                if (method, path) == ("POST", "/logout"):
                    continue  # it would end the session that the next ones need; tested in test_auth
                status, refusals = door.ask(method, path, who, place), allowed(method, rule.rule, who, place)
                cell = (who, method, path, place, status)
                if refusals:
                    assert status in refusals, cell
                elif (method, path) != ("POST", "/login"):  # which answers 401 to a form without a token
                    assert status not in (401, 403, 429), cell
                    assert status < 500 or (path, status) == ("/ready", 503), cell
                cells += 1
    assert cells > 450  # 2,256 in all places
