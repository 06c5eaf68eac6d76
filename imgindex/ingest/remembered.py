"""The folders that `sync` walks again, what is to be left out of them, and which recorded files no walk finds."""

import os
from collections.abc import Collection, Iterable, Iterator, Sequence

from imgindex.exclusions import Exclusions, rules
from imgindex.files import Found, gone
from imgindex.ingest.upload_folder import UploadFolder
from imgindex.patience import answer
from imgindex.records import Failure
from imgindex.storage.storage import Storage
from imgindex.walking import walk

_PATTERNS = "exclude"  # a setting: the patterns of each folder


class Remembered:
    """What an index was told of folders; raises StorageError as `Database` does."""

    def __init__(self, store: Storage, uploads: UploadFolder) -> None:
        self._store = store
        self._uploads = uploads

    def folders(self) -> list[str]:
        """All of them, by name."""
        return self._store.images.folders()

    def there(self) -> list[str]:
        """Those that are there, and those that do not answer: a walk says so of them."""
        return list(filter(_is_there, self.folders()))

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

    def walk(self, paths: Sequence[str], *, uploads: bool) -> Iterator[Found | Failure]:
        """What is at and below these absolute paths and not left out; and all that was uploaded."""
        own = self._uploads.folder
        yield from walk(paths, skip=str(own.parent), exclusions=self.exclusions())
        if uploads and own.is_dir():  # whatever is excluded from the folders around it
            yield from walk([str(own)], skip=str(own.parent))

    def missing(self) -> list[str]:
        """Recorded paths that do not exist now; not forgotten, as their drive may only be away."""
        return list(gone(file.path for file in self._store.images.files_below(os.sep)))

    def left_out(self) -> list[str]:
        """Recorded files that are there, but that no walk takes any more: in bins, or excluded since.

        They are not forgotten, as `remove` does that; but none in a bin ever holds what goes from elsewhere.
        """
        exclusions = self.exclusions()
        recorded = (file.path for file in self._store.images.files_below(os.sep))
        left_out = list(filter(exclusions.leave_out_recorded, recorded))
        missing = set(gone(left_out))
        return [path for path in left_out if path not in missing]

    def _patterns(self) -> dict[str, list[str]]:
        return dict(self._store.settings.get(_PATTERNS, {}))


def _is_there(folder: str) -> bool:
    try:
        return answer(lambda: os.path.isdir(folder))
    except TimeoutError:
        return True
