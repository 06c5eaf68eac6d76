"""What is proven of candidates: a verdict for every pair, and the groups that proven pairs make."""

import logging
from collections.abc import Iterable, Mapping
from functools import lru_cache

from imgindex.decoding.local_features import Described, parse
from imgindex.duplicates import grouping
from imgindex.duplicates.candidates import NEAREST, PART, STUCK, Candidates
from imgindex.duplicates.records import Group, Pair
from imgindex.duplicates.store import MatchStore
from imgindex.duplicates.verification import prove
from imgindex.errors import IndexFormatError
from imgindex.records import ImageFile
from imgindex.search.neighbours import Neighbours
from imgindex.storage.storage import Storage
from imgindex.threads import one_thread
from imgindex.types import Progress

log = logging.getLogger(__name__)

LISTS = 32  # lists whose pairs are proven before that is recorded
READY = 256  # descriptions that are held parsed, of 200 KB each


class Verdicts:
    """Proves candidates and keeps what was proven. Usable from several threads."""

    def __init__(self, store: Storage, matches: MatchStore, near: Neighbours, candidates: Candidates) -> None:
        self._store = store
        self._matches = matches
        self._near = near
        self._candidates = candidates

    def follow(self, progress: Progress | None = None) -> None:
        """Propose, and give a verdict on every pair that has none; `progress` gets the lists done and all there are."""
        self._candidates.propose()
        done, total = 0, self._matches.open_lists() if progress else 0
        before: object = None
        while (work := self._matches.unproven(LISTS))[0]:
            if work == before:
                raise IndexFormatError(STUCK)
            before = images, pairs = work
            self._matches.put_verdicts(images, self._verdicts(pairs))
            done += len(images)
            if progress:
                progress(done, total)

    def of(self, image: int) -> list[Pair]:
        """The proven copies of one image; those among its nearest are proven first.

        Whether it is a copy of one to which it is near, but which is not near to it, is left to `follow`: a new image
        of a small collection enters the lists of three times as many as its own has.
        """
        self._candidates.propose()
        if pairs := self._matches.unproven_of(image):
            self._matches.put_verdicts((), self._verdicts(pairs))
        apart = set(self._matches.different())
        found = self._matches.pairs(image)
        return [pair for pair in found if pair.kind == "copy" and not {(pair.a, pair.b), (pair.b, pair.a)} & apart]

    def _verdicts(self, pairs: list[tuple[int, int]]) -> dict[tuple[int, int], Pair | None]:
        descriptions = self._matches.descriptions({image for pair in pairs for image in pair})
        return prove_all(descriptions, pairs)

    # Groups

    def groups(self, order: tuple[str, ...]) -> tuple[list[Group], list[Pair]]:
        """All groups as the evidence stands, each with the id it had; and the pairs of the same scene."""
        matches = self._matches
        with matches.transaction():
            found = matches.pairs()
            proven = [pair for pair in found if pair.kind == "copy"]
            files = matches.grouped_files({image for pair in proven for image in (pair.a, pair.b)})
            components = _components(proven, files, matches.different())
            before = matches.members()
            named = grouping.name(components, before, matches.next_group())
            members = {image: number for number, component in named for image in component.images}
            if members != before:
                matches.put_members(members)
            kept = matches.keepers()
        groups = [
            grouping.group(
                number, component, [file for image in component.images for file in files[image]], order, kept
            )
            for number, component in named
        ]
        alike = [pair for pair in found if pair.kind == "alike" and members.get(pair.a, 0) != members.get(pair.b, -1)]
        return sorted(groups, key=lambda group: (-len(group.files), group.id)), alike

    # Health

    def problems(self, progress: Progress | None = None) -> list[str]:
        """Compute lists and verdicts anew from the stored vectors and features; say what differs from those stored."""
        self.follow()
        state, ids = self._store.embeddings.state(), self._store.embeddings.ids()
        space, fresh = self._store.embeddings.projection(state.space), self._near.empty()
        for part, vectors in self._store.embeddings.scan(ids):
            fresh.upsert(part, self._near.project(vectors, space))
        verdicts: dict[tuple[int, int], Pair | None] = {}
        wrong = 0
        for start in range(0, len(ids), PART):
            part, vectors = self._store.embeddings.of(ids[start : start + PART].tolist())
            near, _ = fresh.search(self._near.project(vectors, space), NEAREST + 1)
            pairs = {
                (min(image, hit), max(image, hit))
                for image, hits in zip(part.tolist(), near.tolist(), strict=True)
                for hit in [hit for hit in hits if hit not in (-1, image)][:NEAREST]
            }
            proven = self._verdicts(sorted(pairs - verdicts.keys()))
            stored = self._matches.kinds(proven)
            wrong += sum(stored.get(pair, kind) != kind for pair, kind in _kinds(proven).items())
            verdicts |= proven
            if progress:
                progress(min(start + PART, len(ids)), len(ids))
        if self._store.embeddings.state() != state:
            return []  # another process changed the index meanwhile
        found = [f"{wrong} pairs are stored with another verdict than they have"] if wrong else []
        proven_now = [pair for pair in verdicts.values() if pair and pair.kind == "copy"]
        same = [pair for pair in self._matches.pairs() if pair.inliers == 0]
        if self._groups_of(proven_now + same) != self._groups_of(
            [pair for pair in self._matches.pairs() if pair.kind == "copy"]
        ):
            found.append("The stored groups are not those of a full recomputation")
        return [f"{text}; imgindex check --full --repair makes them anew." for text in found]

    def _groups_of(self, pairs: list[Pair]) -> set[frozenset[int]]:
        files = self._matches.grouped_files({image for pair in pairs for image in (pair.a, pair.b)})
        return {component.images for component in _components(pairs, files, self._matches.different())}

    def repair(self) -> None:
        """Make lists and verdicts anew."""
        self._matches.forget()
        self.follow()


def _kinds(verdicts: Mapping[tuple[int, int], Pair | None]) -> dict[tuple[int, int], str]:
    return {pair: proven.kind if proven else "none" for pair, proven in verdicts.items()}


def prove_all(
    descriptions: Mapping[int, bytes], pairs: Iterable[tuple[int, int]]
) -> dict[tuple[int, int], Pair | None]:
    """A verdict for each pair of images (a < b); None where nothing is proven, or one has no features."""

    @lru_cache(READY)
    def described(image: int) -> Described | None:
        try:
            return parse(descriptions[image]) if image in descriptions else None
        except ValueError as error:
            log.warning("The local features of image %d are damaged (%s); remove it and add it again.", image, error)
            return None

    verdicts: dict[tuple[int, int], Pair | None] = {}
    with one_thread():
        for a, b in pairs:
            one, two = described(a), described(b)
            proof = prove(one, two) if one and two else None
            verdicts[a, b] = Pair(a, b, **vars(proof)) if proof else None
    return verdicts


def _components(
    pairs: list[Pair], files: Mapping[int, list[ImageFile]], apart: list[tuple[int, int]]
) -> list[grouping.Component]:
    """What pairs join, and images with several files of their own."""
    names = {image: copies[0].sha256 for image, copies in files.items()}
    joined = grouping.connect(pairs, apart, names)
    inside = {image for component in joined for image in component.images}
    single = [
        grouping.Component(frozenset([image]), None, False)
        for image, copies in files.items()
        if image not in inside and len(copies) > 1
    ]
    return joined + single
