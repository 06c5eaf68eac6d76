"""The index's own folder of pictures that came as bytes: each under its SHA-256, whole or not at all.

`keep` and `drop` belong into a transaction of the index, so that no file goes that another process has just recorded.
"""

import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from imgindex import files
from imgindex.decoding import formats
from imgindex.errors import StorageError, UsageError, storage_error
from imgindex.files import Found

UPLOADS = "uploads"
PART = ".part-"  # hidden, so no walk takes it for a picture
STALE = 3_600  # seconds after which nobody writes a part any more


class UploadFolder:
    """One folder of files. Usable from several threads and processes."""

    def __init__(self, index: Path) -> None:
        self.folder = index / UPLOADS

    def owns(self, path: str) -> bool:
        """Whether an absolute path is one of ours: right in the folder, by its own name."""
        folder, name = os.path.split(path)
        return folder == str(self.folder) and name not in ("", os.curdir, os.pardir)

    def refuse_own(self, path: str) -> None:
        """Raises UsageError for a path in the index's folder that is not an upload.

        Such files are never read as pictures: closing one drops every lock that this process has on it (POSIX).
        """
        index = self.folder.parent
        if Path(os.path.realpath(path)).is_relative_to(os.path.realpath(index)) and not self.owns(path):
            raise UsageError(f"{path} belongs to the index itself; name pictures outside {index}.")

    @contextmanager
    def parts(self, contents: Iterable[bytes]) -> Iterator[list[Path]]:
        """A file for each, on the disk under a hidden name; those that nobody keeps go. Raises StorageError."""
        parts: list[Path] = []
        try:
            with self._writing():
                self.folder.mkdir(exist_ok=True)
                for data in contents:
                    with tempfile.NamedTemporaryFile(dir=self.folder, prefix=PART, delete=False) as part:
                        parts.append(Path(part.name))
                        part.write(data)
                        part.flush()
                        os.fsync(part.fileno())
            yield parts
        finally:
            for left in parts:
                with suppress(OSError):
                    left.unlink(missing_ok=True)

    def path(self, data: bytes, sha256: bytes) -> str:
        """Where a picture is kept."""
        return str(self.folder / (sha256.hex() + formats.extension(data[: formats.HEAD])))

    def keep(self, part: Path, path: str) -> Found:
        """Give a part its name. Raises StorageError."""
        with self._writing():
            os.replace(part, path)
            status = os.stat(path)
        return files.found(path, status)

    def settle(self) -> None:
        """Make names outlive a power cut, too. Raises StorageError."""
        with self._writing():
            for folder in (self.folder, self.folder.parent):
                handle = os.open(folder, os.O_RDONLY)
                try:
                    os.fsync(handle)
                finally:
                    os.close(handle)

    def drop(self, path: str) -> bool:
        """Delete one of our files, which the index does not know; False for one that is gone.

        Where the folder is a link, its files are not ours.
        """
        try:
            folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                os.unlink(os.path.basename(path), dir_fd=folder)
            finally:
                os.close(folder)
            return True
        except FileNotFoundError:
            return False
        except OSError as error:
            raise StorageError(
                f"{path} is forgotten but cannot be deleted ({files.reason(error)}); delete it by hand."
            ) from error

    def tidy(self) -> None:
        """Delete the parts that killed programs left."""
        for part in self.folder.glob(f"{PART}*"):
            with suppress(OSError):
                if time.time() - part.stat().st_mtime > STALE:
                    part.unlink()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise storage_error(
                error,
                f"{self.folder} cannot be written ({files.reason(error)}); free some room or mend its disk, and send "
                "the picture again.",
            ) from error
