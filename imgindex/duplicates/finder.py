"""Which files of an index show the same picture."""

from collections.abc import Sequence
from typing import Any

from imgindex.duplicates.decisions import Decisions
from imgindex.duplicates.grouping import order_of
from imgindex.duplicates.records import Duplicates, Pair
from imgindex.duplicates.store import MatchStore
from imgindex.duplicates.verdicts import Verdicts
from imgindex.errors import not_indexed
from imgindex.records import LARGEST_ID
from imgindex.storage.storage import Storage
from imgindex.types import Progress

OUTGROWN = 1.5  # a calibration is old when the collection has grown by this since
NOT_CALIBRATED = "Not calibrated yet: imgindex calibrate measures how well copies of your own photos are found."


class DuplicateFinder:
    """`index.duplicates`: proven copies, in groups. Usable from several threads."""

    def __init__(self, store: Storage, matches: MatchStore, verdicts: Verdicts) -> None:
        self._store = store
        self._matches = matches
        self._verdicts = verdicts
        decisions = Decisions(store, matches)
        self.mark_different, self.prefer = decisions.mark_different, decisions.prefer

    def prove(self, *, progress: Progress | None = None) -> None:
        """Prove which of the images that came since the last time are copies; whatever asks for copies does so, too.

        `progress` is called with the images done and all there are.
        """
        self._verdicts.follow(progress)

    def find(self, *, keep: Sequence[str] = ()) -> Duplicates:
        """Groups of files that show the same picture, each with the file to keep first; needs no original file.

        Files are kept by more pixels, then less compression, then age, then the plainer path; `keep` names those of
        "pixels", "compression", "oldest" and "path" that come before the others. Raises UsageError for another name.
        """
        order = order_of(keep)
        self._verdicts.follow()
        with self._store.transaction():
            groups, alike = self._verdicts.groups(order)
            counts = self._store.images.counts()
            calibration = self._calibration(counts.images)
        redundant = sum(len(group.files) - 1 for group in groups)
        return Duplicates(tuple(groups), tuple(alike), counts.images, counts.files, redundant, calibration)

    def of(self, image: int) -> list[Pair]:
        """The proven copies of one image, without what a person called different. Raises NotIndexedError.

        Quick, for an image that has just come: it is compared with its nearest; `prove` may find a few more.
        """
        if image > LARGEST_ID or self._store.images.get(image) is None:
            raise not_indexed(image)
        return self._verdicts.of(image)

    def put_calibration(self, sentence: str, result: dict[str, Any]) -> None:
        """Remember how well copies were found, for `find` to say."""
        self._matches.put_calibration(self._store.images.counts().images, sentence, result)

    def _calibration(self, images: int) -> str:
        last = self._matches.last_calibration()
        if last is None:
            return NOT_CALIBRATED
        then, sentence = last
        if images > OUTGROWN * then:
            return f"{sentence} That was with {then} pictures, now there are {images}: run imgindex calibrate again."
        return sentence
