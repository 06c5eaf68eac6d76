"""What a person decided: these pictures differ, this file stays."""

import os
from collections.abc import Sequence
from itertools import combinations

from imgindex.duplicates.store import MatchStore
from imgindex.errors import UsageError, not_indexed
from imgindex.records import LARGEST_ID
from imgindex.storage.storage import Storage
from imgindex.types import AnyPath


class Decisions:
    """Remembers decisions by content and path, so that they outlive a removal. Raises as `Database` does."""

    def __init__(self, store: Storage, matches: MatchStore) -> None:
        self._store = store
        self._matches = matches

    def mark_different(
        self, one: AnyPath | int, others: Sequence[AnyPath | int], *, pairwise: bool = False, forget: bool = False
    ) -> None:
        """Remember that `one` shows another picture than each of `others`; `pairwise`: and they than each other.

        Images are named by id or path. All or none is remembered, or with `forget` forgotten again. Raises UsageError
        for no others, or for the same bytes twice, NotIndexedError for what is not indexed.
        """
        with self._store.transaction():
            contents = self._contents([one, *others])
            pairs = list(combinations(contents, 2)) if pairwise else [(contents[0], other) for other in contents[1:]]
            if forget:
                self._matches.forget_different(pairs)
            else:
                self._matches.put_different(pairs)

    def _contents(self, targets: Sequence[AnyPath | int]) -> list[bytes]:
        contents: list[bytes] = []
        for target in targets:
            image = self._store.images.get(self._image(target))
            if image is None:
                raise not_indexed(target)
            if image.sha256 in contents:
                raise UsageError(f"{target} has the same bytes as another one that you named; they cannot differ.")
            contents.append(image.sha256)
        if len(contents) < 2:
            raise UsageError("Name at least two pictures that differ.")
        return contents

    def _image(self, target: AnyPath | int) -> int:
        if isinstance(target, int):
            return min(target, LARGEST_ID)
        found = self._store.images.files_at([os.path.abspath(os.path.expanduser(target))])
        return found[0].image if found else 0

    def prefer(self, paths: Sequence[AnyPath], *, instead_of: Sequence[AnyPath] = (), forget: bool = False) -> None:
        """Remember that these files stay in their groups; or forget it again.

        What was chosen among `instead_of` is forgotten with it. Raises NotIndexedError, before anything is
        remembered, for a file that is not indexed.
        """
        chosen, before = ([os.path.abspath(os.path.expanduser(path)) for path in some] for some in (paths, instead_of))
        with self._store.transaction():
            for path in chosen:
                if not forget and not self._store.images.files_at([path]):
                    raise not_indexed(path)
            self._matches.forget_keepers(chosen + before if forget else before)
            if not forget:
                self._matches.put_keepers(chosen)
