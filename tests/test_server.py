"""The service's factory."""

from server import create_app


def test_health():
    answer = create_app({"TESTING": True}).test_client().get("/health")
    assert (answer.status_code, answer.json) == (200, {"status": "ok"})
