"""SQL of duplicates: features, who is near whom, what was proven, what a person decided, which groups there were."""

import json
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from imgindex.duplicates.records import Pair
from imgindex.records import ImageFile
from imgindex.storage.database import Database, now

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]
Near = list[tuple[int, float]]  # images and cosines

_SAME_PIXELS = (1.0, 0, (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0), False, 1.0)


class MatchStore:
    """What an index's database knows of duplicates; raises as `Database` does."""

    def __init__(self, database: Database) -> None:
        self._rows, self._write = database.rows, database.write
        self.transaction = database.transaction

    # Who is near whom

    def unlisted(self, space: int, limit: int) -> list[int]:
        """Images that have no list of their nearest in this space yet."""
        return self._column("SELECT image FROM lists WHERE space < ? ORDER BY space, image LIMIT ?", [space, limit])

    def radii(self, space: int) -> tuple[Ids, Floats]:
        """(N,) images with a list in this space, ascending, and the cosine of the last one in each."""
        rows = self._rows("SELECT image, radius FROM lists WHERE space = ? ORDER BY image", [space])
        return np.array([row[0] for row in rows], np.int64), np.array([row[1] for row in rows], np.float32)

    def changes(self) -> int:
        """How often lists have changed."""
        return int(self._rows("SELECT lists FROM state")[0][0])

    def nearest(self, images: Collection[int]) -> dict[int, Near]:
        """The lists of these images."""
        lists: dict[int, Near] = {image: [] for image in images}
        sql = "SELECT image, other, cosine FROM nearest WHERE image IN (SELECT value FROM json_each(?))"
        for image, other, cosine in self._rows(sql, [json.dumps(list(images))]):
            if image in lists:  # a damaged index of the database gives other rows than those asked for
                lists[image].append((other, cosine))
        return lists

    def put_lists(self, space: int, lists: Mapping[int, Near], radii: Mapping[int, float]) -> None:
        """Replace the lists of these images."""
        with self.transaction():
            self._write("DELETE FROM nearest WHERE image = ?", [(image,) for image in lists])
            self._write(
                "INSERT INTO nearest VALUES (?, ?, ?)",
                [(image, other, cosine) for image, near in lists.items() for other, cosine in near],
            )
            self._write(
                "INSERT OR REPLACE INTO lists VALUES (?, ?, ?, 0)", [(image, space, radii[image]) for image in lists]
            )
            self._write("UPDATE state SET lists = lists + 1", [()])

    # What was proven

    def unproven(self, limit: int) -> tuple[list[int], list[tuple[int, int]]]:
        """Some images whose lists are not all proven yet, and the pairs (a < b) in them that have no verdict."""
        images = self._column("SELECT image FROM lists WHERE NOT proven ORDER BY image LIMIT ?", [limit])
        sql = """SELECT DISTINCT min(image, other), max(image, other) FROM nearest
            WHERE image IN (SELECT value FROM json_each(?)) AND NOT EXISTS (
                SELECT 1 FROM pairs WHERE a = min(image, other) AND b = max(image, other)) ORDER BY 1, 2"""
        return images, [(a, b) for a, b in self._rows(sql, [json.dumps(images)])]

    def unproven_of(self, image: int) -> list[tuple[int, int]]:
        """The pairs (a < b) of one image and its nearest that have no verdict."""
        sql = """SELECT min(image, other), max(image, other) FROM nearest WHERE image = ?
            AND NOT EXISTS (SELECT 1 FROM pairs WHERE a = min(image, other) AND b = max(image, other)) ORDER BY 1, 2"""
        return [(a, b) for a, b in self._rows(sql, [image])]

    def open_lists(self) -> int:
        """How many lists are not proven yet."""
        return int(self._rows("SELECT count(*) FROM lists WHERE NOT proven")[0][0])

    def descriptions(self, images: Iterable[int]) -> dict[int, bytes]:
        """Local features of those images that have them."""
        sql = "SELECT image, CAST(description AS BLOB) FROM features WHERE image IN (SELECT value FROM json_each(?))"
        return dict(self._rows(sql, [json.dumps(list(images))]))

    def with_pixels(self, digest: bytes) -> list[int]:
        """Images with these pixels (32 bytes); none for the zeros of a large picture."""
        return self._column("SELECT image FROM features WHERE pixels = ? AND pixels <> zeroblob(32)", [digest])

    def put_verdicts(self, images: Iterable[int], verdicts: Mapping[tuple[int, int], Pair | None]) -> None:
        """Record what became of these pairs; None: nothing was proven. The lists of `images` are done with it."""
        none = ("none", 0.0, 0, "[]", False, 0.0)
        with self.transaction():
            alive = set(self._column("SELECT id FROM images WHERE id IN (SELECT value FROM json_each(?))",
                                     [json.dumps(sorted({image for pair in verdicts for image in pair}))]))  # fmt: skip
            self._write(
                """INSERT OR REPLACE INTO pairs (a, b, kind, score, inliers, transform, mirrored, overlap)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?)""",
                [(*ids, *(_row(pair) if pair else none)) for ids, pair in verdicts.items() if alive.issuperset(ids)],
            )
            self._write(
                """UPDATE lists SET proven = 1 WHERE image = ? AND NOT EXISTS (
                    SELECT 1 FROM nearest WHERE nearest.image = lists.image AND NOT EXISTS (
                        SELECT 1 FROM pairs WHERE a = min(nearest.image, other) AND b = max(nearest.image, other)))""",
                [(image,) for image in images],
            )

    def pairs(self, image: int | None = None) -> list[Pair]:
        """All that is proven of images that are near each other, or have the same pixels; or of one image."""
        same = """SELECT first, image FROM features JOIN (
                SELECT min(image) AS first, pixels FROM features GROUP BY pixels HAVING count(*) > 1
            ) USING (pixels) WHERE image > first AND pixels <> zeroblob(32)"""
        near = """SELECT a, b, kind, score, inliers, transform, mirrored, overlap FROM pairs WHERE kind <> 'none' AND (
            EXISTS (SELECT 1 FROM nearest WHERE image = a AND other = b)
            OR EXISTS (SELECT 1 FROM nearest WHERE image = b AND other = a))"""
        one: list[int] = []
        if image is not None:
            same = """SELECT min(x.image, y.image), max(x.image, y.image) FROM features x JOIN features y USING (pixels)
                WHERE x.image = ? AND y.image <> x.image AND pixels <> zeroblob(32)"""
            near, one = f"{near} AND (a = ?1 OR b = ?1)", [image]
        found = {(a, b): Pair(a, b, "copy", *_SAME_PIXELS) for a, b in self._rows(same, one)}
        for row in self._rows(near, one):
            found.setdefault((row[0], row[1]), pair_of(row))
        return list(found.values())

    def kinds(self, pairs: Iterable[tuple[int, int]]) -> dict[tuple[int, int], str]:
        """The stored verdicts on some pairs."""
        sql = """SELECT a, b, kind FROM pairs JOIN json_each(?) ON a = json_extract(value, '$[0]')
            AND b = json_extract(value, '$[1]')"""
        return {(a, b): kind for a, b, kind in self._rows(sql, [json.dumps(list(pairs))])}

    def forget(self) -> None:
        """Forget verdicts, and have all looked at again."""
        with self.transaction():
            self._write("DELETE FROM pairs", [()])
            self._write("DELETE FROM relations", [()])
            self._write("UPDATE lists SET space = -1, proven = 0", [()])

    # Files and groups

    def grouped_files(self, images: Collection[int]) -> dict[int, list[ImageFile]]:
        """The files of those images that are in one of these or have several files."""
        sql = """SELECT path, image, width, height, files.bytes, mtime_ns, sha256, device, inode FROM files
            JOIN images ON id = image
            WHERE image IN (SELECT value FROM json_each(?) UNION
                SELECT image FROM files GROUP BY image HAVING count(*) > 1) ORDER BY image, path"""
        found: dict[int, list[ImageFile]] = {}
        for row in self._rows(sql, [json.dumps(list(images))]):
            found.setdefault(row[1], []).append(ImageFile(*row))
        return found

    def members(self) -> dict[int, int]:
        """Which group an image was in when groups were last looked at."""
        return dict(self._rows('SELECT image, "group" FROM members'))

    def put_members(self, members: Mapping[int, int]) -> None:
        """Replace what `members` gives."""
        with self.transaction():
            self._write("DELETE FROM members", [()])
            self._write("INSERT INTO members VALUES (?, ?)", members.items())
            self._write("UPDATE group_ids SET next = max(next, ?)", [(max(members.values(), default=0) + 1,)])

    def next_group(self) -> int:
        """An id that no group ever had."""
        return int(self._rows("SELECT next FROM group_ids")[0][0])

    # Decisions

    def different(self) -> list[tuple[int, int]]:
        """Pairs of images that a person called different."""
        sql = "SELECT one.id, two.id FROM different JOIN images one ON one.sha256 = a JOIN images two ON two.sha256 = b"
        return [(a, b) for a, b in self._rows(sql)]

    def put_different(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        """Remember, by SHA-256, that these show different pictures."""
        created = now()
        self._write("INSERT OR REPLACE INTO different VALUES (?, ?, ?)", [(*sorted(pair), created) for pair in pairs])

    def forget_different(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        """Forget what was decided between these, by SHA-256."""
        self._write("DELETE FROM different WHERE a = ? AND b = ?", [sorted(pair) for pair in pairs])

    def keepers(self) -> set[str]:
        """Paths that a person chose to keep."""
        return set(self._column("SELECT path FROM keepers"))

    def put_keepers(self, paths: Iterable[str]) -> None:
        """Remember that these stay."""
        rows = [(os.fsencode(path), now()) for path in paths]
        self._write("INSERT OR REPLACE INTO keepers VALUES (CAST(? AS TEXT), ?)", rows)

    def forget_keepers(self, paths: Iterable[str]) -> None:
        """Forget that these were chosen."""
        self._write("DELETE FROM keepers WHERE path = CAST(? AS TEXT)", [(os.fsencode(path),) for path in paths])

    # Calibrations

    def last_calibration(self) -> tuple[int, str] | None:
        """With how many images in the index, and what it found in words."""
        rows = self._rows("SELECT images, sentence FROM calibrations ORDER BY id DESC LIMIT 1")
        return tuple(rows[0]) if rows else None

    def put_calibration(self, images: int, sentence: str, result: dict[str, Any]) -> None:
        self._write(
            "INSERT INTO calibrations (created, images, sentence, result) VALUES (?, ?, ?, ?)",
            [(now(), images, sentence, json.dumps(result))],
        )

    def _column(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        return [row[0] for row in self._rows(sql, parameters)]


def _row(pair: Pair) -> tuple[Any, ...]:
    return pair.kind, pair.score, pair.inliers, json.dumps(pair.transform), pair.mirrored, pair.overlap


def pair_of(row: Sequence[Any]) -> Pair:
    """A row of `pairs`."""
    a, b, kind, score, inliers, transform, mirrored, overlap = row
    return Pair(a, b, kind, score, inliers, tuple(json.loads(transform)), bool(mirrored), overlap)
