"""The second look: both files of a proven pair, laid over each other in a decoder child, once, while both are there."""

import logging
from concurrent.futures import ThreadPoolExecutor

from imgindex import files
from imgindex.decoding.decoder import LARGEST_FILE, READERS, Decoders, decoder_versions
from imgindex.duplicates.records import Pair
from imgindex.duplicates.relation_store import RelationStore
from imgindex.duplicates.shots import other_shot
from imgindex.duplicates.verification import Proof
from imgindex.errors import DecodingStoppedError, UnreadablePictureError
from imgindex.facts import Facts
from imgindex.retention.relations import Kind, Relation, same_pixels
from imgindex.storage.storage import Storage
from imgindex.types import Progress

log = logging.getLogger(__name__)

PART = 64  # pairs that are looked at before that is recorded
_DECODER = "looks"  # a setting: the versions that what could not be compared was refused by


class Looks:
    """Looks at proven pairs, and keeps what was seen. Usable from several threads."""

    def __init__(self, store: Storage, relations: RelationStore, decoders: Decoders) -> None:
        self._store = store
        self._relations = relations
        self._decoders = decoders
        self._versions = decoder_versions()

    def follow(self, progress: Progress | None = None, *, image: int | None = None) -> None:
        """Look at all pairs, or those of an image, that were not; one with a file that is away waits for it.

        What could not be compared waits for another version of a decoder.
        """
        if self._store.settings.get(_DECODER) != self._versions:
            with self._store.transaction():
                self._relations.retry()
                self._store.settings.put(_DECODER, self._versions)
        pairs = self._relations.unlooked(image)
        with ThreadPoolExecutor(READERS, "imgindex-look") as looking:
            for start in range(0, len(pairs), PART):
                part = pairs[start : start + PART]
                seen = list(looking.map(self._look, part))
                refused = [one for one in seen if isinstance(one, Pair)]
                self._relations.put([one for one in seen if isinstance(one, Relation)], refused)
                if progress:
                    progress(min(start + PART, len(pairs)), len(pairs))

    def _look(self, pair: Pair) -> Relation | Pair | None:
        """What was seen; None: nothing now; the pair itself: it was refused twice, as once is no verdict."""
        one, other = self._read(pair.a), self._read(pair.b)
        facts = self._store.images.facts([pair.a, pair.b])
        if one is None or other is None or len(facts) < 2:
            return None
        for _ in range(2):
            try:
                return self._seen(pair, one, other, facts[pair.a], facts[pair.b])
            except DecodingStoppedError as error:
                _log(pair, error)
                return None
            except UnreadablePictureError as error:
                _log(pair, error)
                self._decoders.renew()
        return pair

    def compare(self, data: bytes, facts: Facts, image: int, proof: Proof | None) -> Relation | None:
        """How a picture that is not indexed, as image 0, relates to one that is; `proof` None: the same pixels.

        None where the indexed one has no facts, or no file that is there.
        """
        known = self._store.images.facts([image])
        other = self._read(image) if known else None
        if other is None:
            return None
        if proof is None:
            return same_pixels(0, image)
        pair = Pair(0, image, **vars(proof))
        try:
            return self._seen(pair, data, other, facts, known[image])
        except UnreadablePictureError as error:
            _log(pair, error)
            return None

    def _seen(self, pair: Pair, one: bytes, other: bytes, a: Facts, b: Facts) -> Relation:
        seen = self._decoders.look(one, other, pair.transform)
        kind: Kind = "alike" if other_shot(a, b) else seen.kind
        if kind == "version" and max(a.frames, b.frames) > 1:
            kind = "part"  # only their first frames were compared, and the others are not the same
        return Relation(
            pair.a, pair.b, kind, pair.score, seen.share_a, seen.share_b, seen.place_ab, seen.place_ba, seen.finer,
            seen.noisier, seen.transform, pair.mirrored, seen.light, seen.stretched,
            seen.where,
        )  # fmt: skip

    def _read(self, image: int) -> bytes | None:
        """The bytes of an image, from any of its files that still has them."""
        known = self._store.images.get(image)
        for file in self._store.images.files_of([image]) if known else ():
            try:
                content = files.read(file.path, LARGEST_FILE)
            except OSError:
                continue  # it is away; another path may do, or the pair waits
            if known and content.sha256 == known.sha256:
                return content.data
        return None


def _log(pair: Pair, error: UnreadablePictureError) -> None:
    log.warning("Images %d and %d could not be compared closely: %s.", pair.a, pair.b, error)
