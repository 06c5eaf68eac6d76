"""The folders that `sync` walks again, and what is to be left out of them."""

from collections.abc import Collection, Iterable, Sequence

from imgindex.exclusions import Exclusions, rules
from imgindex.storage.storage import Storage

_PATTERNS = "exclude"  # a setting: the patterns of each folder


class Remembered:
    """What an index was told of folders; raises StorageError as `Database` does."""

    def __init__(self, store: Storage) -> None:
        self._store = store

    def folders(self) -> list[str]:
        """All of them, by name."""
        return self._store.images.folders()

    def add(self, folders: Iterable[str], exclude: Sequence[str]) -> None:
        """Remember folders, with patterns of gitignore's kind beside those that they have; the last that fits decides.

        Raises UsageError for what is no pattern.
        """
        rules("/", exclude)
        with self._store.transaction():
            patterns = self._patterns()
            for folder in folders:
                self._store.images.add_folder(folder)
                before = [one for one in patterns.get(folder, ()) if one not in exclude]
                patterns[folder] = [*before, *exclude]
            if exclude:
                self._store.settings.put(_PATTERNS, patterns)

    def forget(self, folders: Collection[str]) -> None:
        """Do not walk these again; unknown ones are no error."""
        with self._store.transaction():
            self._store.images.remove_folders(sorted(folders))
            patterns = self._patterns()
            if left_over := patterns.keys() & set(folders):
                kept = {folder: each for folder, each in patterns.items() if folder not in left_over}
                self._store.settings.put(_PATTERNS, kept)

    def exclusions(self) -> Exclusions:
        """What a walk leaves out, as the patterns and the files of rules are now."""
        patterns = self._patterns()
        return Exclusions({folder: patterns.get(folder, ()) for folder in self.folders()})

    def _patterns(self) -> dict[str, list[str]]:
        return dict(self._store.settings.get(_PATTERNS, {}))
