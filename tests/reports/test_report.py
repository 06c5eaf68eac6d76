"""Groups and reports as JSON, CSV, words and pages."""

import csv
import io
import json
import os
import time
from dataclasses import replace

import pytest
from rich.console import Console

from imgindex.duplicates.records import Duplicates, Group, Pair
from imgindex.errors import FileGoneError
from imgindex.records import ImageFile
from imgindex.rendering import exports, tables
from imgindex.rendering import html as pages
from imgindex.rendering import text as report
from imgindex.rendering.paths import printable
from imgindex.rendering.sentences import LOOSE
from imgindex.reports.records import FolderShare, Report, Since, ThemeShare
from tests.support.html import Page, self_contained

EVIL = os.fsdecode(b"/p/\xff\xe2\x80\xae<script>alert('1')</script>\n\r\x1b[31m,\"{{ 7*7 }}\xd7\xa9.jpg")
CALIBRATION = "Never calibrated."


def copy(image: int, path: str = "", width: int = 300, height: int = 200) -> ImageFile:
    return ImageFile(path or f"/p/{image}.jpg", image, width, height, 1000 * image, 0, bytes(32))


def pair(a: int, b: int, score: float = 0.87654) -> Pair:
    return Pair(a, b, "copy", score, 40, (1.0, 0.0, 1 / 3, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0), False, 0.9)


def duplicates(*groups: Group, alike: tuple[Pair, ...] = (), files: int = 420) -> Duplicates:
    return Duplicates(groups, alike, 400, files, sum(len(group.files) - 1 for group in groups), CALIBRATION)


NEAR = Group(3, "near", "it has more pixels", (copy(1), copy(2), copy(2, "/p/2 copy.jpg"), copy(4)), pair(1, 4), True)
EXACT = Group(9, "exact", "it is older", (copy(7), copy(7, EVIL)), None, False)
SOME = duplicates(NEAR, EXACT, alike=(pair(11, 12, 0.5),))
SINCE = Since("2025-01-01T00:00:00+00:00", (3, 9), (), (5,))
CATS, REST = ThemeShare(4, EVIL, 300, 0.75, 320, 3), ThemeShare(6, None, 100, 0.25, 100, 1)
REPORT = Report(
    "2025-02-03T04:05:06+00:00", 400, 420, 4, 2, (FolderShare(EVIL, 3, 2), FolderShare("/p", 7, 0)), (CATS, REST),
    SINCE, CALIBRATION,
)  # fmt: skip


def terminal(text: object) -> str:
    console = Console(soft_wrap=True, file=io.StringIO(), width=80)
    console.print(text, markup=False, highlight=False)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def page(pieces) -> Page:
    return self_contained("".join(pieces))


def test_json_of_duplicates():
    found = json.loads(json.dumps(exports.duplicates_json(SOME)))
    near, exact = found["groups"]
    assert near["id"] == 3
    assert near["kind"] == "near"
    assert near["keep"] == "/p/1.jpg"
    assert near["why"] == "it has more pixels"
    assert near["loose"]
    assert near["files"][0] == {"path": "/p/1.jpg", "image": 1, "width": 300, "height": 200, "bytes": 1000}
    assert {"a": 1, "b": 4, "score": 0.8765, "inliers": 40, "mirrored": False, "overlap": 0.9}.items() <= near[
        "weakest"
    ].items()
    assert len(near["weakest"]["transform"]) == 9
    assert exact["weakest"] == {"a": 7, "b": 7, "score": 1.0}
    assert exact["files"][1]["path"] == EVIL
    assert [(p["a"], p["b"], p["score"]) for p in found["alike"]] == [(11, 12, 0.5)]
    assert (found["images"], found["files"], found["redundant"], found["percent"]) == (400, 420, 4, 0.95)
    assert found["calibration"] == CALIBRATION


def test_json_of_a_report():
    made = json.loads(json.dumps(exports.report_json(REPORT)))
    assert (made["images"], made["files"], made["redundant"], made["percent"], made["groups"]) == (400, 420, 4, 0.95, 2)
    assert made["folders"][0] == {"path": EVIL, "files": 3, "redundant": 2, "percent": 66.67}
    assert made["since_last"] == {"created": SINCE.created, "new": [3, 9], "gone": [], "grown": [5]}
    assert made["clusters"] == [
        {"id": 4, "name": EVIL, "images": 300, "share": 0.75, "files": 320, "redundant": 3, "percent": 0.94},
        {"id": 6, "name": None, "images": 100, "share": 0.25, "files": 100, "redundant": 1, "percent": 1.0},
    ]
    assert made["table"] == [  # total (1 - 2/400) x 100, and each cluster's share of it
        {"cluster": EVIL, "images": 300, "percent": 74.62},
        {"cluster": "Theme 6", "images": 100, "percent": 24.88},
        {"cluster": "Total", "images": 400, "percent": 99.5},
    ]
    first = exports.report_json(replace(REPORT, since_last=None, clusters=()))
    assert first["clusters"] == first["table"] == []
    assert first["since_last"] == {"created": None, "new": [], "gone": [], "grown": []}


def test_csv_reads_back():
    text = "".join(tables.duplicates_csv(SOME))
    text.encode()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [(row["group"], row["keep"]) for row in rows] == [
        ("3", "yes"), ("3", "no"), ("3", "no"), ("3", "no"), ("9", "yes"), ("9", "no"),
    ]  # fmt: skip
    assert rows[0]["weakest"] == "0.8765"
    assert rows[0]["loose"] == "yes"
    assert rows[5]["path"] == EVIL.replace("\udcff", "\\xff")
    folders = list(csv.reader(io.StringIO("".join(tables.report_csv(REPORT)), newline="")))
    assert folders[0] == ["folder", "files", "redundant", "percent"]
    assert folders[2] == ["/p", "7", "0", "0.0"]


def test_text_of_duplicates():
    text = terminal(report.duplicates_text(SOME))
    assert "Group 3: 4 files, the same picture, weakest pair 88% (images 1 and 4)" in text
    assert text.count(LOOSE) == 1
    assert "keep  300 x 200  1 kB  /p/1.jpg  (it has more pixels)" in text
    assert "Group 9: 2 files, the same bytes" in text
    assert "4 of 420 files (1.0%) are copies of another, in 2 groups." in text
    assert "1 pair is only alike: the same scene" in text
    assert text.endswith(CALIBRATION + "\n")
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert sum("script" in line for line in text.splitlines()) == 1


def test_text_is_cut():
    many = duplicates(*(replace(NEAR, id=n) for n in range(31)))
    text = terminal(report.duplicates_text(many))
    assert "and 21 more groups; use --json, --csv or --html FILE to see all" in text
    assert text.count("Group ") == report.LISTED
    large = duplicates(replace(EXACT, files=tuple(copy(7, f"/p/{n}") for n in range(15))))
    assert "and 5 more files" in terminal(report.duplicates_text(large))
    folders = tuple(FolderShare(f"/{n}", 2, 1) for n in range(11))
    assert "and 1 more folder with copies;" in terminal(report.report_text(replace(REPORT, folders=folders)))


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (duplicates(), "No copies: none of the 420 files shows the same picture as another."),
        (duplicates(files=0), "The index is empty; add some pictures first."),
        (duplicates(EXACT, files=2), "1 of 2 files (50.0%) is a copy of another, in 1 group."),
        (duplicates(EXACT, files=20000), "1 of 20000 files (under 0.1%) is a copy of another, in 1 group."),
    ],
)
def test_the_share_in_a_sentence(found, sentence):
    assert sentence in terminal(report.duplicates_text(found)).splitlines()
    assert sentence in page(pages.duplicates_html(found, lambda _: b"jpeg", {})).text
    assert found.percent <= 100


def test_text_of_a_report():
    text = terminal(report.report_text(REPORT))
    assert "Since the report of 2025-01-01 00:00 UTC: 2 groups new (3, 9), 1 group grown (5)." in text
    assert "66.7%" in text
    assert "0.0%" not in text  # folders without copies are left out
    assert "\x1b" not in text
    first = replace(REPORT, since_last=None)
    assert "This is the first report." in terminal(report.report_text(first))
    same = replace(REPORT, since_last=replace(SINCE, new=(), grown=()))
    assert "no group is new, gone or grown." in terminal(report.report_text(same))


def test_page_of_duplicates():
    asked: list[int] = []

    def thumbnail(image: int) -> bytes:
        asked.append(image)
        if image == 4:
            raise FileGoneError("It is gone.")
        return b"jpeg"

    seen = page(pages.duplicates_html(SOME, thumbnail, {11: copy(11, width=100, height=400)}))
    assert asked == [1, 2, 4, 7, 11]
    pictures = seen.all("img")
    assert all(picture["src"] == "data:image/jpeg;base64,anBlZw==" and picture["alt"] for picture in pictures)
    assert pictures[0]["style"] == "width: 100%; aspect-ratio: 300 / 200"
    assert pictures[-1]["style"] == "width: 25.0%; aspect-ratio: 100 / 400"
    assert seen.text.count("The file is missing.") == 1
    assert "Image 12 is no longer in the index." in seen.text
    assert "Keep: it has more pixels" in seen.text
    assert seen.text.count(LOOSE) == 1
    assert printable(EVIL) in seen.text
    assert seen.text.index("/p/1.jpg") < seen.text.index("/p/2 copy.jpg") < seen.text.index("Only alike")


def test_page_shows_so_many_pictures(monkeypatch):
    monkeypatch.setattr(pages, "PICTURED", 1)
    monkeypatch.setattr(pages, "GROUP_PICTURED", 2)
    seen = page(pages.duplicates_html(replace(SOME, alike=SOME.alike * 2), lambda _: b"jpeg", {11: copy(11)}))
    assert len(seen.all("img")) == 2 + 1
    for what in ("groups", "pairs"):
        assert f"Only the first 1 are shown with pictures; {what} without: 1." in seen.text
    for path in "/p/4.jpg", printable(EVIL):
        assert path in seen.text


def test_page_comes_in_pieces():
    groups = [replace(NEAR, id=n) for n in range(100)]
    asked: list[int] = []
    pieces = pages.duplicates_html(duplicates(*groups), lambda image: asked.append(image) or b"x" * 10_000, {})
    next(pieces)
    assert len(asked) < 30
    assert max(map(len, pieces)) < 1_000_000


def test_page_of_a_report():
    seen = page(pages.report_html(REPORT))
    assert printable(EVIL) in seen.text
    assert "2 groups new (3, 9)" in seen.text
    assert [meter["value"] for meter in seen.all("meter")] == ["66.67", "0.0", "0.94", "1.0"]


def test_large_collections_are_quick():
    groups = tuple(
        replace(NEAR, id=n, files=tuple(copy(3 * n + m, f"/p/{n % 500}/{m}.jpg") for m in (1, 2, 3)))
        for n in range(10_000)
    )
    many = duplicates(*groups, alike=(pair(1, 2),) * 5000, files=100_000)
    folders = replace(REPORT, folders=tuple(FolderShare(f"/p/{n}", 20, 3) for n in range(5000)))
    for make in (
        lambda: json.dumps(exports.duplicates_json(many)),
        lambda: "".join(tables.duplicates_csv(many)),
        lambda: terminal(report.duplicates_text(many)),
        lambda: json.dumps(exports.report_json(folders)),
        lambda: terminal(report.report_text(folders)),
        lambda: "".join(pages.report_html(folders)),
    ):
        start = time.process_time()
        make()
        assert time.process_time() - start < 2  # measured: under 0.3
