"""Forgetting: images by id, files and folders by path. Uploads go by their id alone, as nobody else has them."""

import os
from collections.abc import Iterable

from imgindex import files
from imgindex.errors import UsageError, not_indexed
from imgindex.ingest.remembered import Remembered
from imgindex.ingest.uploads import Uploads
from imgindex.storage.storage import Storage
from imgindex.types import AnyPath


class Remover:
    """Forgets for one index."""

    def __init__(self, store: Storage, remembered: Remembered, uploads: Uploads) -> None:
        self._store = store
        self._remembered = remembered
        self._uploads = uploads

    def remove(self, targets: Iterable[AnyPath | int]) -> tuple[int, int, int]:
        """Counts of files forgotten, uploads deleted, uploads that stay. Raises as `ImageIndex.remove` does."""
        chosen: set[str] = set()  # by id
        inside: set[str] = set()
        folders: set[str] = set()
        for target in targets:
            if isinstance(target, int):
                found = {file.path for file in self._store.images.files_of([target])}
                chosen |= found
                if not found:
                    raise not_indexed(target)
            else:
                paths, walked = self._inside(target)
                inside |= paths
                folders |= walked
        kept = {path for path in inside - chosen if self._uploads.owns(path)}
        gone = chosen | (inside - kept)
        with self._store.transaction():
            self._store.images.remove_files(sorted(gone))
            self._remembered.forget(folders)
        return len(gone), self._uploads.drop(chosen), len(kept)

    def _inside(self, target: AnyPath) -> tuple[set[str], set[str]]:
        """The recorded files and the remembered folders at and below a path."""
        if not os.fspath(target):
            raise UsageError(files.EMPTY_PATH)
        path = os.path.abspath(os.path.expanduser(target))
        found = {file.path for file in self._store.images.files_at([path]) + self._store.images.files_below(path)}
        walked = {one for one in self._remembered.folders() if os.path.join(one, "").startswith(os.path.join(path, ""))}
        if not found and not walked:
            raise not_indexed(target)
        if not walked and all(map(self._uploads.owns, found)):
            raise UsageError(
                f"{path} was uploaded, and its file would go for good; name the id of each upload to remove."
            )
        return found, walked
