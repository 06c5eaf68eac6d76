"""Groups and reports as JSON, CSV, words and pages."""

import csv
import io
import json
import os
import re
import time
from dataclasses import replace

import pytest
from rich.console import Console

from imgindex.comparison.second_look import Box
from imgindex.duplicates.records import Duplicates, Group, GroupFile, Pair, Related
from imgindex.errors import FileGoneError
from imgindex.facts import Facts
from imgindex.rendering import exports, tables
from imgindex.rendering import html as pages
from imgindex.rendering import text as report
from imgindex.rendering.paths import printable
from imgindex.rendering.sentences import LOOSE, shares
from imgindex.reports.records import FolderShare, Report, Since, ThemeShare
from tests.support.html import Page, self_contained

EVIL = os.fsdecode(b"/p/\xff\xe2\x80\xae<script>alert('1')</script>\n\r\x1b[31m,\"{{ 7*7 }}\xd7\xa9.jpg")
CALIBRATION = "Never calibrated."


def copy(image: int, path: str = "", width: int = 300, height: int = 200, **fate) -> GroupFile:
    return GroupFile(path or f"/p/{image}.jpg", image, width, height, 1000 * image, 0, bytes(32), **fate)


def goes(image: int, path: str = "", *, by: int, facts: Facts | None = None) -> GroupFile:
    why = f"{by}.jpg holds all of it"
    return copy(image, path, stays=False, why=why, held_by=by, holder=f"/p/{by}.jpg", held="version", facts=facts)


def pair(a: int, b: int, score: float = 0.87654) -> Pair:
    return Pair(a, b, "copy", score, 40, (1.0, 0.0, 1 / 3, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0), False, 0.9)


def related(a: int, b: int, kind: str = "edited", score: float = 0.87654) -> Related:
    where = (Box(0.25, 0.5, 0.1, 1 / 3),) if kind == "edited" else ()
    return Related(kind, copy(a, width=100, height=400), copy(b), score, 1.0, 0.51239, (1.0,) * 9, where)


def duplicates(*groups: Group, related: tuple[Related, ...] = (), files: int = 420) -> Duplicates:
    going = [file for group in groups for file in group.redundant]
    return Duplicates(groups, related, 400, files, len(going), sum(file.bytes for file in going), CALIBRATION)


FACTS = Facts("jpeg", frames=3, detail=1.23456, captured="2021-03-04T05:06:07.25+02:00", camera="Roll\u202e 8")
GOING = (goes(1, "/p/1 copy.jpg", by=1), goes(4, by=2, facts=FACTS))
STAYING = (copy(1, why="it is the original", facts=FACTS), copy(2, why="nothing else has its colours"))
NEAR = Group(3, "near", (*STAYING, *GOING), pair(1, 4), True)
EXACT = Group(9, "exact", (copy(7, why="it is older"), goes(7, EVIL, by=7)), None, False)
SOME = duplicates(NEAR, EXACT, related=(related(11, 12), related(13, 14, "part", 0.5)))
SINCE = Since("2025-01-01T00:00:00+00:00", (3, 9), (), (5,))
CATS, REST = ThemeShare(4, EVIL, 300, 0.75, 320, 3), ThemeShare(6, None, 100, 0.25, 100, 1)
REPORT = Report(
    "2025-02-03T04:05:06+00:00", 400, 420, 4, 4500, 2, (FolderShare(EVIL, 3, 2), FolderShare("/p", 7, 0)), (CATS, REST),
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
    assert (near["id"], near["kind"], near["loose"]) == (3, "near", True)
    assert (near["keep"], near["why"]) == ("/p/1.jpg", "it is the original")
    first, *_, last = near["files"]
    seen = {"frames": 3, "detail": 1.235, "captured": FACTS.captured}
    assert first == {
        "path": "/p/1.jpg", "image": 1, "width": 300, "height": 200, "bytes": 1000, "stays": True,
        "why": "it is the original", "held_by": None, **seen, "facts": first["facts"],
    }  # fmt: skip
    assert (last["stays"], last["held_by"], last["why"]) == (False, 2, "2.jpg holds all of it")
    assert last["facts"]["camera"] == FACTS.camera
    assert "serial" not in last["facts"]  # what is not known is left out
    assert {"a": 1, "b": 4, "score": 0.8765, "inliers": 40, "mirrored": False, "overlap": 0.9}.items() <= near[
        "weakest"
    ].items()
    assert len(near["weakest"]["transform"]) == 9
    assert exact["weakest"] == {"a": 7, "b": 7, "score": 1.0}
    assert exact["files"][1]["path"] == EVIL
    assert (found["images"], found["files"], found["redundant"], found["percent"]) == (400, 420, 3, 0.71)
    assert found["bytes"] == 1000 + 4000 + 7000
    assert found["calibration"] == CALIBRATION


def test_json_of_what_is_related():
    edited, part = json.loads(json.dumps(exports.duplicates_json(SOME)))["related"]
    assert edited == {
        "kind": "edited", "a": {"image": 11, "path": "/p/11.jpg"}, "b": {"image": 12, "path": "/p/12.jpg"},
        "score": 0.8765, "share_a": 1.0, "share_b": 0.5124, "transform": [1.0] * 9,
        "where": [[0.25, 0.5, 0.1, 0.3333]],
    }  # fmt: skip
    assert (part["kind"], part["where"]) == ("part", [])


@pytest.mark.parametrize(
    ("pair", "sentence"),
    [
        (related(1, 2), "100% of image 1 is in image 2, 51% of image 2 in image 1; they differ in a place."),
        (related(1, 2, "part"), "100% of image 1 is in image 2, 51% of image 2 in image 1."),
        (
            replace(related(1, 2), share_b=0.999),
            "Each shows all that the other shows, but they differ in a place.",
        ),
        (
            replace(related(1, 2, "alike"), share_b=1.0),
            "Each shows all that the other shows, but they show the same scene in another shot.",
        ),
    ],
)
def test_the_shares_of_a_related_pair_in_a_sentence(pair, sentence):
    assert shares(pair) == sentence


def test_json_of_a_file_that_was_not_looked_at_closely():
    one = exports.file_json(goes(5, by=1))
    assert [one[name] for name in ("facts", "frames", "detail", "captured")] == [None] * 4


def test_json_of_a_report():
    made = json.loads(json.dumps(exports.report_json(REPORT)))
    assert (made["images"], made["files"], made["redundant"], made["percent"], made["groups"]) == (400, 420, 4, 0.95, 2)
    assert made["bytes"] == 4500
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
        ("3", "yes"), ("3", "yes"), ("3", "no"), ("3", "no"), ("9", "yes"), ("9", "no"),
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
    assert "  stays  300 x 200  1 kB  /p/1.jpg  (it is the original)" in text
    assert "  stays  300 x 200  2 kB  /p/2.jpg  (nothing else has its colours)" in text
    assert "         300 x 200  4 kB  /p/4.jpg  (2.jpg holds all of it)" in text
    assert "Group 9: 2 files, the same bytes" in text
    assert "3 of 420 files (0.7%, 12 kB) are held by others that stay, in 2 groups." in text
    assert "The images of 1 pair share a part, such as a photo and a collage of it; they are not counted" in text
    assert "The images of 1 pair differ in a place" in text
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
        (duplicates(EXACT, files=2), "1 of 2 files (50.0%, 7 kB) is held by others that stay, in 1 group."),
        (
            duplicates(EXACT, files=20000),
            "1 of 20000 files (under 0.1%, 7 kB) is held by others that stay, in 1 group.",
        ),
    ],
)
def test_the_share_in_a_sentence(found, sentence):
    assert sentence in terminal(report.duplicates_text(found)).splitlines()
    assert sentence in page(pages.duplicates_html(found, lambda _: b"jpeg")).text
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

    seen = page(pages.duplicates_html(SOME, thumbnail))
    assert asked == [1, 2, 4, 7, 11, 12, 13, 14]
    pictures = seen.all("img")
    assert all(picture["src"] == "data:image/jpeg;base64,anBlZw==" and picture["alt"] for picture in pictures)
    assert pictures[0]["style"] == "width: 100%; aspect-ratio: 300 / 200"
    assert pictures[-2]["style"] == "width: 25.0%; aspect-ratio: 100 / 400"
    assert seen.text.count("The file is missing.") == 1
    assert re.search(r"stays\s+/p/1.jpg\s+it is the original", seen.text)
    assert re.search(r"held\s+/p/4.jpg\s+2.jpg holds all of it", seen.text)
    assert seen.text.count(LOOSE) == 1
    assert printable(EVIL) in seen.text
    assert seen.text.index("/p/1.jpg") < seen.text.index("/p/1 copy.jpg") < seen.text.index("/p/2.jpg")
    assert seen.text.index("/p/4.jpg") < seen.text.index("Related") < seen.text.index("/p/11.jpg")
    assert "edited: they differ in a place" in seen.text


def test_page_shows_so_many_pictures(monkeypatch):
    monkeypatch.setattr(pages, "PICTURED", 1)
    monkeypatch.setattr(pages, "GROUP_PICTURED", 2)
    seen = page(pages.duplicates_html(SOME, lambda _: b"jpeg"))
    assert len(seen.all("img")) == 2 + 2
    for what in ("groups", "pairs"):
        assert f"Only the first 1 are shown with pictures; {what} without: 1." in seen.text
    for path in "/p/4.jpg", printable(EVIL):
        assert path in seen.text


def test_page_comes_in_pieces():
    groups = [replace(NEAR, id=n) for n in range(100)]
    asked: list[int] = []
    pieces = pages.duplicates_html(duplicates(*groups), lambda image: asked.append(image) or b"x" * 10_000)
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
    many = duplicates(*groups, related=(related(1, 2),) * 5000, files=100_000)
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
