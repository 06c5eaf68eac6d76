"""The API does what /openapi.json says of it, whatever is sent: schemathesis makes the requests."""

from collections import Counter

import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

from tests.conftest import write_picture
from tests.support.serving import app_of

SETTINGS = {
    "seed": 1,
    "generation": {"deterministic": True, "max-examples": 10},
    "checks": {"positive_data_acceptance": {"enabled": False}},  # pictures and cursors must also be real ones
    "continue-on-failure": True,
}


@pytest.fixture
def app(tmp_path):
    """With copies and themes."""
    for seed in range(6):
        for name in "ab"[: 1 + seed % 2]:
            write_picture(tmp_path / "photos" / f"{seed}{name}.png", seed)
    with app_of(tmp_path) as app:
        index = app.extensions["imgindex"].index
        index.add([tmp_path / "photos"])
        index.themes.recluster(2)
        assert len(index.duplicates.find().groups) == 3
        yield app


def run(app) -> tuple[list[str], Counter]:
    """What is not as described, and how often each operation was answered with which status."""

    def local(environ, start):
        environ["REMOTE_ADDR"] = "127.0.0.1"
        answer = app(environ, start)
        try:
            return [b"".join(answer)]
        finally:
            answer.close()

    config = SchemathesisConfig.from_dict(SETTINGS)
    schema = schemathesis.openapi.from_wsgi("/openapi.json", local, config=config)
    failures, statuses = [], Counter()
    for event in from_schema(schema).execute():
        if isinstance(event, events.NonFatalError | events.FatalError):
            failures.append(f"{event.info.format() if hasattr(event, 'info') else event.exception}")
        if isinstance(event, events.ScenarioFinished):
            for case, interaction in event.recorder.interactions.items():
                if interaction.response is not None:
                    label = event.recorder.cases[case].value.operation.label
                    statuses[label, interaction.response.status_code] += 1
            for checks in event.recorder.checks.values():
                found = [check.failure_info for check in checks if check.failure_info]
                failures += [f"{one.failure.operation}: {one.failure}\n{one.code_sample}" for one in found]
    return failures, statuses


def test_every_answer_is_as_described(app):
    failures, statuses = run(app)
    assert not failures, "\n\n".join(failures[:10])
    described = app.test_client().get("/openapi.json").json["paths"]
    tried = {f"{method.upper()} {path}" for path, operations in described.items() for method in operations}
    assert {label for label, _ in statuses} == tried
    served = {label for label, status in statuses if status < 300}
    assert tried - served <= {"POST /api/v1/duplicates/{group}/decision", "GET /api/v1/duplicates/{group}"}
    assert not [status for _, status in statuses if status >= 500]
