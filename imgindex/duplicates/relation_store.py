"""SQL of how proven pictures relate, once they were looked at closely."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import astuple, fields
from typing import Any

from imgindex.comparison.second_look import Box
from imgindex.duplicates.records import Pair
from imgindex.duplicates.store import MatchStore, pair_of
from imgindex.retention.relations import Relation, same_pixels
from imgindex.storage.database import Database


class RelationStore:
    """What an index's database knows of relations; raises as `Database` does."""

    def __init__(self, database: Database, matches: MatchStore) -> None:
        self._database = database
        self._rows, self._write = database.rows, database.write
        self._matches = matches

    def unlooked(self, image: int | None = None) -> list[Pair]:
        """Proven copies with facts of both that were not looked at closely; or those of one image."""
        sql = """SELECT a, b, kind, score, inliers, transform, mirrored, overlap FROM pairs
            WHERE kind = 'copy' AND NOT looked
            AND EXISTS (SELECT 1 FROM facts WHERE image = a) AND EXISTS (SELECT 1 FROM facts WHERE image = b)"""
        one, only = ([], "") if image is None else ([image], " AND (a = ?1 OR b = ?1)")
        return [pair_of(row) for row in self._rows(f"{sql}{only} ORDER BY a, b", one)]

    def put(self, relations: Iterable[Relation], refused: Iterable[Pair] = ()) -> None:
        """Record how pairs relate, and which cannot be compared, among them those that relate as none can.

        The latter count as not looked at, but are not tried again until `retry`.
        """
        relations = list(relations)
        beyond = [(one.a, one.b) for one in relations if not one.possible] + [(pair.a, pair.b) for pair in refused]
        with self._database.transaction():
            self._write(
                """INSERT OR REPLACE INTO relations SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13
                WHERE EXISTS (SELECT 1 FROM images WHERE id = ?1) AND EXISTS (SELECT 1 FROM images WHERE id = ?2)""",
                [_relation_row(one) for one in relations if one.possible],
            )
            self._write("UPDATE pairs SET looked = 2 WHERE a = ? AND b = ?", beyond)

    def retry(self) -> None:
        """Have another look at what could not be compared."""
        self._write("UPDATE pairs SET looked = 0 WHERE kind = 'copy' AND looked = 2", [()])

    def all(self, image: int | None = None) -> dict[tuple[int, int], Relation]:
        """How proven copies relate that were looked at closely, and the same pixels of images with facts; or of one."""
        sql = """SELECT a, b, relations.kind, score, share_a, share_b, place_ab, place_ba, finer, noisier,
            relations.transform, mirrored, light, stretched, places FROM relations JOIN pairs USING (a, b)"""
        where = " WHERE a = ?1 OR b = ?1" if image is not None else ""
        rows = self._rows(sql + where, [] if image is None else [image])
        found = {(one.a, one.b): one for one in map(_relation, rows) if one.possible}
        same = [pair for pair in self._matches.pairs(image) if pair.inliers == 0]
        known = {row[0] for row in self._rows("SELECT image FROM facts")} if same else set()
        return found | {(pair.a, pair.b): same_pixels(pair.a, pair.b) for pair in same if {pair.a, pair.b} <= known}


def _relation_row(one: Relation) -> tuple[Any, ...]:
    shares = one.share_a, one.share_b, one.place_ab, one.place_ba, one.finer, one.noisier, one.light, one.stretched
    return one.a, one.b, one.kind, *shares, json.dumps(one.transform), json.dumps([astuple(box) for box in one.where])


def _relation(row: Sequence[Any]) -> Relation:
    values = dict(zip([field.name for field in fields(Relation)], row, strict=True))
    where = tuple(Box(*box) for box in json.loads(values["where"]))
    seen = {"transform": tuple(json.loads(values["transform"])), "mirrored": bool(values["mirrored"]), "where": where}
    return Relation(**values | seen)
