"""Fixtures of the server's tests."""

import pytest

from tests.support.serving import app_of


@pytest.fixture
def app(tmp_path):
    """The service of an empty index, without tokens."""
    with app_of(tmp_path) as app:
        yield app


@pytest.fixture
def client(app):
    return app.test_client()
