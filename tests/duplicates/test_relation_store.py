"""What is stored of second looks: which pairs still want one, and what was seen."""

from dataclasses import replace
from pathlib import Path

import pytest

from imgindex.duplicates.records import Pair
from imgindex.duplicates.relation_store import RelationStore
from imgindex.duplicates.store import MatchStore
from imgindex.retention.maps import ITSELF
from imgindex.retention.relations import same_pixels
from tests.cleanup.pictures import Pictures


@pytest.fixture
def pictures(tmp_path: Path) -> Pictures:
    """An index of three images, of which 1 and 2, and 1 and 3, are proven copies, and 2 and 3 are nothing."""
    made = Pictures(tmp_path)
    for name in "abc":
        made.file(tmp_path / f"{name}.png", name.encode())
    copies = [Pair(a, b, "copy", 0.9, 30, ITSELF, False, 1.0) for a, b in ((1, 2), (1, 3))]
    MatchStore(made.store.database).put_verdicts((), {(pair.a, pair.b): pair for pair in copies} | {(2, 3): None})
    return made


def relations(pictures: Pictures) -> RelationStore:
    return RelationStore(pictures.store.database, MatchStore(pictures.store.database))


def unlooked(pictures: Pictures, image: int | None = None) -> list[tuple[int, int]]:
    return [(pair.a, pair.b) for pair in relations(pictures).unlooked(image)]


def test_a_pair_wants_a_look_until_it_had_one(pictures: Pictures) -> None:
    assert unlooked(pictures) == [(1, 2), (1, 3)]
    relations(pictures).put([replace(same_pixels(1, 2), kind="version")])
    assert unlooked(pictures) == [(1, 3)]
    assert unlooked(pictures, 2) == []
    assert unlooked(pictures, 3) == [(1, 3)]
    MatchStore(pictures.store.database).forget()
    assert unlooked(pictures) == []


def test_what_cannot_be_was_not_seen_and_is_not_tried_again(pictures: Pictures) -> None:
    (_, second) = relations(pictures).unlooked()
    relations(pictures).put([replace(same_pixels(1, 2), kind="version", share_a=2.0)], [second])
    assert unlooked(pictures) == []
    assert relations(pictures).all() == {}
    relations(pictures).retry()
    assert unlooked(pictures) == [(1, 2), (1, 3)]
    relations(pictures).put([replace(same_pixels(1, 2), kind="version")])
    relations(pictures).retry()
    assert unlooked(pictures) == [(1, 3)]


def test_a_picture_without_facts_waits_for_them(pictures: Pictures) -> None:
    pictures.store.database.write("DELETE FROM facts WHERE image = ?", [(3,)])
    assert unlooked(pictures) == [(1, 2)]


def test_they_are_not_looked_for_among_all_pairs(pictures: Pictures) -> None:
    """Of 100,000 images a million pairs are kept, nearly all of them nothing."""
    database = pictures.store.database
    asked: list[str] = []
    rows = database.rows

    def listening(sql: str, parameters=()):
        asked.append(sql)
        return rows(sql, parameters)

    database.rows = listening  # type: ignore[method-assign]
    relations(pictures).unlooked()
    (plan,) = [rows(f"EXPLAIN QUERY PLAN {sql}") for sql in asked]
    assert any("pairs_unlooked" in row[3] for row in plan)
