"""Whether recorded files still hold what was indexed, by their bytes: size and time can be those of another content."""

from collections.abc import Iterator

from imgindex import files
from imgindex.storage.storage import Storage
from imgindex.types import Progress


class Rereading:
    """Reads every recorded file that is there."""

    def __init__(self, store: Storage) -> None:
        self._store = store

    def problems(self, progress: Progress | None = None) -> list[str]:
        """The files that cannot be read, or hold something else, one sentence each."""
        return [
            f"{path} cannot be read: {reason}."
            if reason
            else f"{path} is not what was indexed; repair forgets it, so that the next sync takes it as it is."
            for path, reason in self._wrong(progress)
        ]

    def repair(self) -> None:
        """Forget the files that hold something else; those that cannot be read now may be what they were."""
        self._store.images.remove_files([path for path, reason in self._wrong(None) if not reason])

    def _wrong(self, progress: Progress | None) -> Iterator[tuple[str, str]]:
        """Paths, each with the reason why it cannot be read, or "" where its content is another."""
        recorded = self._store.images.contents()
        for done, (path, sha256) in enumerate(recorded, 1):
            try:
                if files.sha256_of(path) != sha256:
                    yield path, ""
            except (FileNotFoundError, NotADirectoryError):
                pass  # it is missing, which `sync` tells
            except OSError as error:
                yield path, files.reason(error)
            if progress:
                progress(done, len(recorded))
