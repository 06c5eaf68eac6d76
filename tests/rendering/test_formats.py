"""What every row of the table of formats must do: the text, the command line, the API and its description."""

import pytest

from imgindex.rendering.formats import FORMATS
from tests.support.serving import app_of


@pytest.fixture(params=list(FORMATS))
def row(request):
    return FORMATS[request.param]


@pytest.fixture
def app(tmp_path, photos):
    """The service of five pictures, one of them twice, in a file whose name is not UTF-8."""
    (photos / "0 copy \udcff.png").write_bytes((photos / "0.png").read_bytes())
    with app_of(tmp_path) as app:
        app.extensions["imgindex"].index.add([photos])
        yield app


def test_its_text_is_valid_and_comes_in_pieces(app, row):
    index = app.extensions["imgindex"].index
    for pieces in row.report(index.reports.preview()), row.duplicates(index.duplicates.find(), index.images):
        parts = list(pieces)
        assert all(isinstance(part, str) for part in parts)
        assert len("".join(parts).encode()) > 20


def test_the_api_answers_in_it_and_describes_it(app, row):
    client = app.test_client()
    answer = client.get(f"/api/v1/report?format={row.name}")
    assert (answer.status_code, answer.mimetype) == (200, row.media_type)
    content = client.get("/openapi.json").json["paths"]["/api/v1/report"]["get"]["responses"]["200"]["content"]
    assert set(content) == {one.media_type for one in FORMATS.values()}
    refused = client.get("/api/v1/report?format=docx")
    assert refused.status_code == 422
    assert row.name in refused.json["detail"]


def test_the_report_page_offers_it(app, row):
    page = app.test_client().get("/report", headers={"Accept": "text/html"}).text
    assert f'href="/api/v1/report?format={row.name}" download="report.{row.extension}"' in page


@pytest.mark.parametrize("command", ["report", "duplicates"])
def test_the_command_line_gives_it(run, photos, tmp_path, row, command):
    (photos / "0 copy.png").write_bytes((photos / "0.png").read_bytes())
    assert run("add", photos).code == 0
    if row.printed:
        assert len(run(command, f"--{row.name}").out) > 20
    else:
        file = tmp_path / f"out.{row.extension}"
        assert "of 6 files" in run(command, f"--{row.name}", file).out  # and the text for a person
        assert len(file.read_text(encoding="utf-8")) > 20
    assert row.about.rstrip(".") in " ".join(run(command, "--help").out.split())


def test_a_file_is_written_beside_what_is_printed_and_json_wins(run, photos, tmp_path):
    assert run("add", photos).code == 0
    result = run("report", "--csv", "--json", "--html", tmp_path / "report.html")
    assert result.json["files"] == 5
    assert (tmp_path / "report.html").read_text().startswith("<!DOCTYPE html>")
