"""Which files of an index show the same picture."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from imgindex.duplicates.decisions import Decisions
from imgindex.duplicates.looks import Looks
from imgindex.duplicates.policy_store import PolicyStore
from imgindex.duplicates.records import Duplicates, Pair, once
from imgindex.duplicates.store import MatchStore
from imgindex.duplicates.verdicts import Verdicts
from imgindex.errors import not_indexed
from imgindex.records import LARGEST_ID
from imgindex.retention.originals import order_of
from imgindex.storage.storage import Storage
from imgindex.types import Progress

OUTGROWN = 1.5  # a calibration is old when the collection has grown by this since
NOT_CALIBRATED = "Not calibrated yet: how well copies of your own photos are found has not been measured."


class DuplicateFinder:
    """`index.duplicates`: proven copies, in groups. Usable from several threads."""

    def __init__(
        self, store: Storage, matches: MatchStore, policies: PolicyStore, verdicts: Verdicts, looks: Looks
    ) -> None:
        self._store = store
        self._matches = matches
        self.policies = policies
        self._verdicts = verdicts
        self._looks = looks
        decisions = Decisions(store, matches)
        self.mark_different, self.prefer = decisions.mark_different, decisions.prefer

    def prove(self, *, progress: Progress | None = None) -> None:
        """Prove which images are copies, and look at proven pairs closely; whatever asks for copies does so, too.

        `progress` is called with the images, then the pairs, that are done and all there are.
        """
        self._verdicts.follow(progress)
        self._looks.follow(progress)

    def find(self, *, keep: Sequence[str] = ()) -> Duplicates:
        """Groups of files that show the same picture, with what stays of each and why.

        A file that does not stay is held by one that does: that has all its area, detail, colours, frames and metadata.
        What is the original is told by what the group agrees on; `keep` names those of "pixels", "compression",
        "oldest" and "path" that settle ties before the others. Raises UsageError for another name.
        """
        order_of(keep)
        self.prove()
        policies = self.policies.get()
        groups, related = self._verdicts.groups(replace(policies, keep=tuple(keep) or policies.keep))
        gone = [file for group in groups for file in once(group.redundant)]
        freed = sum(file.bytes for file in gone)
        with self._store.transaction():
            counts = self._store.images.counts()
            calibration = self._calibration(counts.images)
        return Duplicates(tuple(groups), tuple(related), counts.images, counts.files, len(gone), freed, calibration)

    def of(self, image: int) -> list[Pair]:
        """The proven copies of one image, without what a person called different. Raises NotIndexedError.

        Quick, for an image that has just come: it is compared with its nearest; `prove` may find a few more.
        """
        if image > LARGEST_ID or self._store.images.get(image) is None:
            raise not_indexed(image)
        self._verdicts.prove(image)
        self._looks.follow(image=image)
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
            return f"{sentence} That was with {then} pictures, now there are {images}: calibrate again."
        return sentence
