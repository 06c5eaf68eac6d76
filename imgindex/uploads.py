"""The index's own folder of pictures that came as bytes: each under its SHA-256, whole or not at all."""

import os
import tempfile
from pathlib import Path

from imgindex import files, formats
from imgindex.errors import StorageError
from imgindex.files import Found

UPLOADS = "uploads"


class Uploads:
    """One folder of files. Usable from several threads and processes."""

    def __init__(self, index: Path) -> None:
        self.folder = index / UPLOADS

    def owns(self, path: str) -> bool:
        """Whether an absolute path is one of ours."""
        return path.startswith(os.path.join(self.folder, ""))

    def put(self, data: bytes, sha256: bytes) -> Found:
        """Keep a file; it is on the disk when this returns. Raises StorageError."""
        path = self.folder / (sha256.hex() + formats.extension(data[: formats.HEAD]))
        try:
            self.folder.mkdir(exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self.folder, prefix=".", delete=False) as part:
                try:
                    part.write(data)
                    part.flush()
                    os.fsync(part.fileno())
                    os.replace(part.name, path)
                except BaseException:
                    os.unlink(part.name)
                    raise
            for place in (self.folder, self.folder.parent):  # the names, too, must outlive a power cut
                _sync(place)
            status = path.stat()
        except OSError as error:
            raise StorageError(
                f"{self.folder} cannot be written ({files.reason(error)}); free some room or mend its disk, and send "
                "the picture again."
            ) from error
        return Found(str(path), status.st_size, status.st_mtime_ns)

    def drop(self, path: str) -> None:
        """Delete one of our files, which the index has forgotten; another path, and one that is gone, is left alone."""
        if self.owns(path):
            try:
                Path(path).unlink(missing_ok=True)
            except OSError as error:
                raise StorageError(
                    f"{path} is forgotten but cannot be deleted ({files.reason(error)}); delete it by hand."
                ) from error


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
