"""Who may be a copy of whom: every image's nearest, kept as lists in the database.

Candidates are pairs of which one image is among the other's NEAREST in the compare space. That depends on the images
and the space only, so the groups do not depend on the order in which images came and went; and an image that is added
or removed concerns only those near it.
"""

import threading
from collections.abc import Mapping

import numpy as np

from imgindex.duplicates.store import MatchStore, Near
from imgindex.errors import IndexFormatError
from imgindex.search.neighbours import Neighbours
from imgindex.storage.storage import Storage
from imgindex.types import Floats, Ids

STUCK = "The database is damaged: what is known of copies cannot be kept; restore it, or make a new index."
NEAREST = 15  # candidates that an image proposes; measured in tests/benchmarks/README.md
PART = 256  # images that are looked at in one transaction


class Candidates:
    """Keeps the lists in step with the images. Usable from several threads."""

    def __init__(self, store: Storage, matches: MatchStore, near: Neighbours) -> None:
        self._store = store
        self._matches = matches
        self._near = near
        self._listed: Ids = np.empty(0, np.int64)  # images with a list, ascending
        self._radii: Floats = np.empty(0, np.float32)  # of those
        self._seen: tuple[int, int] | None = None  # space and changes for which these two hold
        self._proposing = threading.Lock()

    def propose(self) -> None:
        """List the nearest of all images that have come, or whose nearest have gone, since the last time."""
        with self._proposing:
            if self._matches.unlisted(self._store.embeddings.state().space, 1):
                self._near.follow()  # most of the work, outside of the transactions that follow
                while self._propose():
                    pass

    def _propose(self) -> bool:
        """List the nearest of some images, and enter these into the lists of others. False when none was left."""
        matches = self._matches
        with self._store.transaction():
            space = self._store.embeddings.state().space
            images = matches.unlisted(space, PART)
            if not images:
                return False
            ids, vectors = self._store.embeddings.of(images)
            lists: dict[int, Near] = {image: [] for image in images}
            self._know_radii(space)
            if len(ids):
                near, cosines, nearer = self._near.around(vectors, NEAREST + 1, self._listed, self._radii)
                lists |= own_lists(ids, near, cosines)
                lists |= self._entered(ids, *nearer)
            radii = {image: _radius(near) for image, near in lists.items()}
            matches.put_lists(space, lists, radii)
            if matches.unlisted(space, PART)[:1] == images[:1]:
                raise IndexFormatError(STUCK)
            seen = space, matches.changes()
        self._remember(radii)
        self._seen = seen
        return True

    def _entered(self, ids: Ids, rows: Ids, hits: Ids, cosines: Floats) -> dict[int, Near]:
        """The lists of images that were listed before, with these in them."""
        before = ~np.isin(hits, ids)
        lists = self._matches.nearest(set(hits[before].tolist()))
        for row, hit, cosine in zip(
            rows[before].tolist(), hits[before].tolist(), cosines[before].tolist(), strict=True
        ):
            if ids[row] not in (other for other, _ in lists[hit]):
                lists[hit].append((int(ids[row]), cosine))
        return {image: sorted(near, key=lambda entry: (-entry[1], entry[0]))[:NEAREST] for image, near in lists.items()}

    def _know_radii(self, space: int) -> None:
        seen = space, self._matches.changes()
        if self._seen != seen:
            self._listed, self._radii = self._matches.radii(space)
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


def own_lists(ids: Ids, near: Ids, cosines: Floats) -> dict[int, Near]:
    """(N,) images and the (N, K) that were found for them, best first -> their lists."""
    return {
        image: [entry for entry in zip(hits, values, strict=True) if entry[0] not in (-1, image)][:NEAREST]
        for image, hits, values in zip(ids.tolist(), near.tolist(), cosines.tolist(), strict=True)
    }


def _radius(near: Near) -> float:
    """The cosine that an image must exceed to be among these; -2 while there is room."""
    return min(cosine for _, cosine in near) if len(near) >= NEAREST else -2.0
