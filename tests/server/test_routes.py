"""What stands beside each route: who may call it, and that its pages vary."""

import re

import pytest

from imgindex.server.middleware.security import SAFE
from imgindex.server.middleware.tokens import add_token
from imgindex.server.pages import cleaning, duplicates, layout, library, report, themes
from imgindex.server.routing import Id, marked
from tests.support.serving import app_of


@pytest.fixture
def token(tmp_path):
    return add_token(tmp_path / "tokens", read_only=True)


@pytest.fixture
def app(tmp_path, token):  # noqa: ARG001  # makes the file
    with app_of(tmp_path, TOKENS=tmp_path / "tokens") as app:
        yield app


def address(rule):
    return re.sub(r"<[^>]*>", "1", rule.rule)


def test_a_route_that_is_sent_something_is_marked_or_refused_to_a_token_for_reading(app, token):
    client, refused = app.test_client(), 0
    for rule in app.url_map.iter_rules():
        with app.app_context():
            may = marked("reads_only", rule.endpoint) or marked("open_to_all", rule.endpoint)
        for method in rule.methods - {*SAFE}:
            answer = client.open(address(rule), method=method, headers={"Authorization": f"Bearer {token}"})
            assert (answer.status_code == 403) == (not may), (method, rule.rule)
            refused += not may
    assert refused >= 15


def test_what_is_open_and_what_only_reads(app):
    with app.app_context():
        rules = list(app.url_map.iter_rules())
        open_to_all = {rule.rule for rule in rules if marked("open_to_all", rule.endpoint)}
        reads_only = {rule.rule for rule in rules if marked("reads_only", rule.endpoint)}
    assert open_to_all == {"/health", "/ready", "/login", "/logout", "/static/<path:filename>"}
    assert reads_only == {"/api/v1/contains", "/api/v1/similar", "/search"}


def test_every_page_says_that_it_varies(app, token):
    names = {module.pages.name for module in (layout, library, duplicates, cleaning, themes, report)}
    rules = [rule for rule in app.url_map.iter_rules() if rule.endpoint.partition(".")[0] in names]
    assert len(rules) > 20
    for rule in rules:
        for method in rule.methods & {"GET", "POST"}:
            headers = {"Authorization": f"Bearer {token}", "Accept": "text/html"}
            answer = app.test_client().open(address(rule), method=method, headers=headers)
            assert "HX-Request" in answer.vary, (method, rule.rule)


def test_every_blueprint_of_pages_is_made_by_the_one_function(app):
    others = {"docs", "metrics", "access", "openapi"}
    pages = [bp for name, bp in app.blueprints.items() if not name.startswith("api_") and name not in others]
    assert len(pages) == 6
    assert all(layout._vary in bp.after_request_funcs[None] for bp in pages)


def test_numbers_in_addresses_are_ids_everywhere(app):
    for rule in app.url_map.iter_rules():
        assert "<int:" not in rule.rule
        for converter in rule._converters.values():
            if isinstance(converter, Id):
                assert converter.to_python("7") == 7
    client = app.test_client()
    with app.test_request_context():
        for text in ("9" * 19, "9" * 5_000, "-1", "1.5", "٣"):
            for path in (f"/images/{text}", f"/api/v1/images/{text}"):
                assert client.get(path).status_code in (302, 401, 404)
