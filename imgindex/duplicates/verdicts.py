"""What is proven of candidates: a verdict for every pair, and the groups that proven pairs make."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

from imgindex.decoding.local_features import Described, parse
from imgindex.duplicates import grouping
from imgindex.duplicates.candidates import NEAREST, PART, STUCK, Candidates
from imgindex.duplicates.records import Group, Pair, Related
from imgindex.duplicates.related import ends, links
from imgindex.duplicates.relation_store import RelationStore
from imgindex.duplicates.stayers import Stayers
from imgindex.duplicates.store import MatchStore
from imgindex.duplicates.verification import Proof, prove
from imgindex.errors import IndexFormatError
from imgindex.records import Decoded, ImageFile
from imgindex.retention.policies import Policies
from imgindex.retention.relations import Relation
from imgindex.search.neighbours import Neighbours
from imgindex.storage.storage import Storage
from imgindex.threads import one_thread
from imgindex.types import Floats, Progress

log = logging.getLogger(__name__)

LISTS = 32  # lists whose pairs are proven before that is recorded
SURE = 2  # images that are versions of two which differ, from which these share a group all the same
READY = 256  # descriptions that are held parsed, of 200 KB each


class Verdicts:
    """Proves candidates and keeps what was proven. Usable from several threads."""

    def __init__(
        self,
        store: Storage,
        matches: MatchStore,
        relations: RelationStore,
        near: Neighbours,
        candidates: Candidates,
        *,
        uploads: str,
    ) -> None:
        """`uploads`: a folder of which nothing may go."""
        self._store = store
        self._uploads = uploads
        self._matches = matches
        self._relations = relations
        self._near = near
        self._candidates = candidates

    def follow(self, progress: Progress | None = None) -> None:
        """Propose, and give a verdict on every pair that has none; `progress` gets the lists done and all there are."""
        self._candidates.propose()
        done, total = 0, self._matches.open_lists() if progress else 0
        before: object = None
        while (now := (self._matches.changes(), *self._matches.unproven(LISTS)))[1]:
            if now == before:  # none comes twice, unless somebody else changed lists meanwhile
                raise IndexFormatError(STUCK)
            before, (_, images, pairs) = now, now
            self._matches.put_verdicts(images, self._verdicts(pairs))
            done += len(images)
            if progress:
                progress(done, total)

    def prove(self, image: int) -> None:
        """Propose, and give a verdict on the pairs of one image and its nearest.

        Whether it is a copy of one to which it is near, but which is not near to it, is left to `follow`: a new image
        of a small collection enters the lists of three times as many as its own has.
        """
        self._candidates.propose()
        if pairs := self._matches.unproven_of(image):
            self._matches.put_verdicts((), self._verdicts(pairs))

    def of(self, image: int) -> list[Pair]:
        """The copies of one image that are proven, and versions of it as far as they were looked at closely."""
        apart = set(self._matches.different())
        found = _joining(self._matches.pairs(image), self._relations.all(image))
        return [pair for pair in found if not {(pair.a, pair.b), (pair.b, pair.a)} & apart]

    def candidates_of(self, decoded: Decoded, vector: Floats) -> Iterator[tuple[int, Proof | None]]:
        """Images that are proven to show a picture that is not indexed, the surest first; None: the same pixels."""
        same = self._matches.with_pixels(decoded.digest)
        yield from ((image, None) for image in same)
        ids, _ = self._near.search(vector[None], NEAREST)
        near = [image for image in ids[0].tolist() if image != -1 and image not in same]
        found = []
        for image, description in self._matches.descriptions(near).items():
            with one_thread():
                proof = prove(decoded.description, description)
            if proof and proof.kind == "copy":
                found.append((image, proof))
        yield from sorted(found, key=lambda one: (-one[1].score, one[0]))

    def _verdicts(self, pairs: list[tuple[int, int]]) -> dict[tuple[int, int], Pair | None]:
        descriptions = self._matches.descriptions({image for pair in pairs for image in pair})
        return prove_all(descriptions, pairs)

    # Groups

    def groups(self, policies: Policies) -> tuple[list[Group], list[Related]]:
        """All groups as the evidence stands, each with the id it had; and what is related without being in one."""
        matches = self._matches
        with matches.transaction():
            found, relations = matches.pairs(), self._relations.all()
            joining = _joining(found, relations)
            files = matches.grouped_files({image for pair in joining for image in (pair.a, pair.b)})
            components = _components(joining, files, [*matches.different(), *_edited(relations)])
            before = matches.members()
            named = grouping.name(components, before, matches.next_group())
            members = {image: number for number, component in named for image in component.images}
            if members != before:
                matches.put_members(members)
            shots = self._store.images.shots()
            stayers = Stayers(
                self._store.images.facts(members.keys() | {file.image for file in shots}), relations, shots, policies,
                kept=matches.keepers(), uploads=self._uploads,
            )  # fmt: skip
            shared = links(found, relations, members)
            shown = {file.image: file for file in self._store.images.first_files(ends(shared))}
        groups = [
            stayers.group(number, component, [file for image in component.images for file in files[image]])
            for number, component in named
        ]
        related = [
            Related(one.kind, shown[one.a], shown[one.b], one.score, one.share_a, one.share_b, one.transform, one.where)
            for one in shared
            if one.a in shown and one.b in shown
        ]
        return sorted(groups, key=lambda group: (-len(group.files), group.id)), related

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
        kept = self._matches.pairs()
        if self._groups_of([pair for pair in verdicts.values() if pair] + [p for p in kept if p.inliers == 0]) != (
            self._groups_of(kept)
        ):
            found.append("The stored groups are not those of a full recomputation")
        return [f"{text}; a full repair rebuilds them." for text in found]

    def _groups_of(self, pairs: list[Pair]) -> set[frozenset[int]]:
        relations = self._relations.all()
        pairs = _joining(pairs, relations)
        files = self._matches.grouped_files({image for pair in pairs for image in (pair.a, pair.b)})
        apart = [*self._matches.different(), *_edited(relations)]
        return {component.images for component in _components(pairs, files, apart)}

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


def _joining(pairs: Iterable[Pair], relations: Mapping[tuple[int, int], Relation]) -> list[Pair]:
    """Those that make a group: the same picture or a version of it, as far as it was looked at closely."""
    return [
        pair
        for pair in pairs
        if pair.kind == "copy"
        and ((seen := relations.get((pair.a, pair.b))) is None or seen.kind in ("same", "version"))
    ]


def _edited(relations: Mapping[tuple[int, int], Relation]) -> list[tuple[int, int]]:
    """Pairs that differ in a place, and so share no group, unless SURE others are versions of both.

    Two edits of one original, as a darkened and a tinted one, differ from each other by more than each from it; but
    that one small scan is a version of two forms does not make these one.
    """
    versions: dict[int, set[int]] = {}
    for (a, b), seen in relations.items():
        if seen.kind in ("same", "version"):
            versions.setdefault(a, set()).add(b)
            versions.setdefault(b, set()).add(a)
    none: set[int] = set()
    return [
        (a, b)
        for (a, b), seen in relations.items()
        if seen.kind == "edited" and len(versions.get(a, none) & versions.get(b, none)) < SURE
    ]


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
