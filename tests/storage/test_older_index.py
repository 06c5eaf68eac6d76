"""An index that version 0.1.0 made, before its rooms moved, opens and answers as it did."""

import gzip
import sqlite3
from pathlib import Path

import pytest

from imgindex import ImageIndex
from imgindex.records import Counts
from tests.support.embedders import FakeEmbedder

DUMP = Path(__file__).with_name("index_of_0.1.0.sql.gz")  # of six files, whose originals are nowhere
FOLDER = "/pictures-of-the-test"


@pytest.fixture
def older(tmp_path):
    folder = tmp_path / "index"
    folder.mkdir()
    database = sqlite3.connect(folder / "index.db")
    database.executescript(gzip.decompress(DUMP.read_bytes()).decode())
    database.close()
    with ImageIndex(folder, embedder=FakeEmbedder()) as index:
        yield index


def test_it_opens_whole(older):
    assert older.counts() == Counts(images=5, files=6)
    assert older.model.name == "fake"
    assert older.check() == []
    assert older.check(full=True) == []


def test_its_groups_themes_and_reports_are_there(older):
    groups = [
        {file.path.removeprefix(f"{FOLDER}/") for file in group.files} for group in older.duplicates.find().groups
    ]
    assert groups == [{"0.png", "0 small.jpg"}, {"1.png", "1 copy.png"}]
    assert "Before" in [theme.name for theme in older.themes.current().themes]
    assert [(past.images, past.files) for past in older.reports.history()] == [(5, 6)]


def test_what_a_person_decided_holds(older):
    (kept,) = [file for group in older.duplicates.find().groups for file in group.files[:1] if "copy" in file.path]
    assert kept.path == f"{FOLDER}/1 copy.png"


def test_it_finds_what_is_like_and_forgets_nothing(older):
    assert len(older.similar(1, k=3).results) == 3
    assert len(older.missing()) == 6  # the files are elsewhere; nothing is forgotten for that


def test_its_groups_were_not_looked_at_and_nothing_of_them_goes(older):
    made = older.cleanup.plan()
    assert made.steps == ()
    said = {Path(one.path).name: one.reason for one in made.skipped}
    assert "1.png" in said
    assert all("looked at" in reason for reason in said.values())
