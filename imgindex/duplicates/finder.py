"""Neighbours propose, geometry proves: keeps every image's nearest and what was proven of them in the database.

Candidates are pairs of which one image is among the other's NEAREST in the compare space. That depends on the images
and the space only, so the groups do not depend on the order in which images came and went; and an image that is added
or removed concerns only those near it.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from imgindex.decoding.local_features import Described, parse
from imgindex.duplicates import grouping as duplicates
from imgindex.duplicates.records import Group, ImageFile, Pair
from imgindex.duplicates.store import Evidence, Near
from imgindex.duplicates.verification import prove
from imgindex.errors import IndexFormatError
from imgindex.search.faiss_index import VectorIndex
from imgindex.search.neighbours import Neighbours
from imgindex.search.projection import one_thread
from imgindex.storage.images import Store

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]
log = logging.getLogger(__name__)

STUCK = "The database is damaged: what is known of copies cannot be kept; restore it, or make a new index."

Progress = Callable[[int, int], None]

NEAREST = 15  # candidates that an image proposes; measured in tests/benchmarks/README.md
PART = 256  # images that are looked at in one transaction
LISTS = 32  # lists whose pairs are proven before that is recorded
READY = 256  # descriptions that are held parsed, of 200 KB each


class Copies:
    """Finds and keeps proven pairs. Usable from several threads."""

    def __init__(self, store: Store, evidence: Evidence, near: Neighbours) -> None:
        self._store = store
        self._evidence = evidence
        self._near = near
        self._listed: Ids = np.empty(0, np.int64)  # images with a list, ascending
        self._radii: Floats = np.empty(0, np.float32)  # of those
        self._seen: tuple[int, int] | None = None  # space and changes for which these two hold
        self._proposing = threading.Lock()

    def propose(self) -> None:
        """List the nearest of all images that have come, or whose nearest have gone, since the last time."""
        with self._proposing:
            if self._evidence.unlisted(self._store.state().space, 1):
                self._near.follow()  # most of the work, outside of the transactions that follow
                before: list[int] = []
                while images := self._propose():
                    if images == before:
                        raise IndexFormatError(STUCK)
                    before = images

    def follow(self, progress: Progress | None = None) -> None:
        """Propose, and give a verdict on every pair that has none; `progress` gets the lists done and all there are."""
        self.propose()
        done, total = 0, self._evidence.open_lists() if progress else 0
        before: object = None
        while (work := self._evidence.unproven(LISTS))[0]:
            if work == before:
                raise IndexFormatError(STUCK)
            before = images, pairs = work
            self._evidence.put_verdicts(images, self._verdicts(pairs))
            done += len(images)
            if progress:
                progress(done, total)

    def of(self, image: int) -> list[Pair]:
        """The proven copies of one image; those among its nearest are proven first.

        Whether it is a copy of one to which it is near, but which is not near to it, is left to `follow`: a new image
        of a small collection enters the lists of three times as many as its own has.
        """
        self.propose()
        if pairs := self._evidence.unproven_of(image):
            self._evidence.put_verdicts((), self._verdicts(pairs))
        apart = set(self._evidence.different())
        found = self._evidence.pairs(image)
        return [pair for pair in found if pair.kind == "copy" and not {(pair.a, pair.b), (pair.b, pair.a)} & apart]

    def _propose(self) -> list[int]:
        """List the nearest of some images, and enter these into the lists of others. Returns these images."""
        evidence = self._evidence
        with self._store.transaction():
            space = self._store.state().space
            images = evidence.unlisted(space, PART)
            if not images:
                return []
            ids, vectors = self._store.vectors(images)
            lists: dict[int, Near] = {image: [] for image in images}
            self._know_radii(space)
            if len(ids):
                near, cosines, nearer = self._near.around(vectors, NEAREST + 1, self._listed, self._radii)
                lists |= own_lists(ids, near, cosines)
                lists |= self._entered(ids, *nearer)
            radii = {image: _radius(near) for image, near in lists.items()}
            evidence.put_lists(space, lists, radii)
            seen = space, evidence.changes()
        self._remember(radii)
        self._seen = seen
        return images

    def _entered(self, ids: Ids, rows: Ids, hits: Ids, cosines: Floats) -> dict[int, Near]:
        """The lists of images that were listed before, with these in them."""
        before = ~np.isin(hits, ids)
        lists = self._evidence.nearest(set(hits[before].tolist()))
        for row, hit, cosine in zip(
            rows[before].tolist(), hits[before].tolist(), cosines[before].tolist(), strict=True
        ):
            if ids[row] not in (other for other, _ in lists[hit]):
                lists[hit].append((int(ids[row]), cosine))
        return {image: sorted(near, key=lambda entry: (-entry[1], entry[0]))[:NEAREST] for image, near in lists.items()}

    def _know_radii(self, space: int) -> None:
        seen = space, self._evidence.changes()
        if self._seen != seen:
            self._listed, self._radii = self._evidence.radii(space)
            self._seen = seen

    def _remember(self, radii: Mapping[int, float]) -> None:
        images = np.array(sorted(radii), np.int64)
        values = np.array([radii[image] for image in images.tolist()], np.float32)
        known = np.isin(images, self._listed, assume_unique=True)
        self._radii[np.searchsorted(self._listed, images[known])] = values[known]
        self._listed = np.concatenate([self._listed, images[~known]])
        self._radii = np.concatenate([self._radii, values[~known]])
        if not (np.diff(self._listed) > 0).all():
            order = np.argsort(self._listed)
            self._listed, self._radii = self._listed[order], self._radii[order]

    def _verdicts(self, pairs: list[tuple[int, int]]) -> dict[tuple[int, int], Pair | None]:
        descriptions = self._evidence.descriptions({image for pair in pairs for image in pair})
        return prove_all(descriptions, pairs)

    # Groups

    def groups(self, order: tuple[str, ...]) -> tuple[list[Group], list[Pair]]:
        """All groups as the evidence stands, each with the id it had; and the pairs of the same scene."""
        evidence = self._evidence
        with evidence.transaction():
            found = evidence.pairs()
            proven = [pair for pair in found if pair.kind == "copy"]
            files = evidence.copies({image for pair in proven for image in (pair.a, pair.b)})
            components = _components(proven, files, evidence.different())
            before = evidence.members()
            named = duplicates.name(components, before, evidence.next_group())
            members = {image: number for number, component in named for image in component.images}
            if members != before:
                evidence.put_members(members)
            kept = evidence.keepers()
        groups = [
            duplicates.group(
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
        state, ids = self._store.state(), self._store.image_ids()
        space, fresh = self._store.space(state.space), VectorIndex()
        for part, vectors in self._store.scan(ids):
            fresh.upsert(part, self._near.project(vectors, space))
        verdicts: dict[tuple[int, int], Pair | None] = {}
        wrong = 0
        for start in range(0, len(ids), PART):
            part, vectors = self._store.vectors(ids[start : start + PART].tolist())
            near, _ = fresh.search(self._near.project(vectors, space), NEAREST + 1)
            pairs = {
                (min(image, hit), max(image, hit))
                for image, hits in zip(part.tolist(), near.tolist(), strict=True)
                for hit in [hit for hit in hits if hit not in (-1, image)][:NEAREST]
            }
            proven = self._verdicts(sorted(pairs - verdicts.keys()))
            stored = self._evidence.kinds(proven)
            wrong += sum(stored.get(pair, kind) != kind for pair, kind in _kinds(proven).items())
            verdicts |= proven
            if progress:
                progress(min(start + PART, len(ids)), len(ids))
        if self._store.state() != state:
            return []  # another process changed the index meanwhile
        found = [f"{wrong} pairs are stored with another verdict than they have"] if wrong else []
        proven_now = [pair for pair in verdicts.values() if pair and pair.kind == "copy"]
        same = [pair for pair in self._evidence.pairs() if pair.inliers == 0]
        if self._groups_of(proven_now + same) != self._groups_of(
            [pair for pair in self._evidence.pairs() if pair.kind == "copy"]
        ):
            found.append("The stored groups are not those of a full recomputation")
        return [f"{text}; imgindex check --full --repair makes them anew." for text in found]

    def _groups_of(self, pairs: list[Pair]) -> set[frozenset[int]]:
        files = self._evidence.copies({image for pair in pairs for image in (pair.a, pair.b)})
        return {component.images for component in _components(pairs, files, self._evidence.different())}

    def repair(self) -> None:
        """Make lists and verdicts anew."""
        self._evidence.forget()
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


def own_lists(ids: Ids, near: Ids, cosines: Floats) -> dict[int, Near]:
    """(N,) images and the (N, K) that were found for them, best first -> their lists."""
    return {
        image: [entry for entry in zip(hits, values, strict=True) if entry[0] not in (-1, image)][:NEAREST]
        for image, hits, values in zip(ids.tolist(), near.tolist(), cosines.tolist(), strict=True)
    }


def _radius(near: Near) -> float:
    """The cosine that an image must exceed to be among these; -2 while there is room."""
    return min(cosine for _, cosine in near) if len(near) >= NEAREST else -2.0


def _components(
    pairs: list[Pair], files: Mapping[int, list[ImageFile]], apart: list[tuple[int, int]]
) -> list[duplicates.Component]:
    """What pairs join, and images with several files of their own."""
    names = {image: copies[0].sha256 for image, copies in files.items()}
    joined = duplicates.connect(pairs, apart, names)
    inside = {image for component in joined for image in component.images}
    single = [
        duplicates.Component(frozenset([image]), None, False)
        for image, copies in files.items()
        if image not in inside and len(copies) > 1
    ]
    return joined + single
