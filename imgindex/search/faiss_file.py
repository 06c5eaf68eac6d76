"""A file that keeps a FAISS index: FAISS's own bytes, then a stamp and a checksum; replaced whole or not at all."""

import fcntl
import hashlib
import json
import os
import struct
from pathlib import Path

import numpy as np

from imgindex.errors import StorageError
from imgindex.search.faiss_index import MEASURED, FaissIndex, Sizing
from imgindex.search.vector_index import DamagedIndexError, Stamp, VectorIndex

LENGTH = struct.Struct("<Q")  # of the stamp; then comes the SHA-256 of all before
DIGEST = 32  # bytes


class FaissFile:
    """Implements VectorStore in one file, which plain FAISS can read, too."""

    def __init__(self, path: Path, sizing: Sizing = MEASURED) -> None:
        self._path = path
        self._sizing = sizing

    @property
    def name(self) -> str:
        """The file's path."""
        return str(self._path)

    def empty(self) -> FaissIndex:
        """An index of nothing, in memory."""
        return FaissIndex(self._sizing)

    def load(self) -> tuple[FaissIndex, Stamp] | None:
        """The saved index and its stamp; None without a file. Raises DamagedIndexError."""
        try:
            data = np.fromfile(self._path, np.uint8)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DamagedIndexError(error.strerror) from error
        body, digest = data[:-DIGEST], data[-DIGEST:].tobytes()
        if hashlib.sha256(body.data).digest() != digest:
            raise DamagedIndexError("its checksum is wrong")
        if len(body) < LENGTH.size:
            raise DamagedIndexError("it is cut short")
        end = len(body) - LENGTH.size
        start = end - LENGTH.unpack(body[end:].tobytes())[0]
        try:
            stamp = json.loads(body[max(0, start) : end].tobytes())
            return FaissIndex.parse(body[: max(0, start)], self._sizing), stamp
        except (ValueError, RecursionError) as error:
            raise DamagedIndexError(str(error)) from error

    def save(self, index: VectorIndex, stamp: Stamp) -> None:
        """Replace the file; left alone while another process is saving, as what it writes is as good."""
        assert isinstance(index, FaissIndex)
        try:
            self._write(index, stamp)
        except OSError as error:
            raise StorageError(
                f"{self._path} cannot be written ({error.strerror}); free some space or repair its disk, and do the "
                "same again: every image is safe in the database."
            ) from error

    def _write(self, index: FaissIndex, stamp: Stamp) -> None:
        partial = self._path.with_name(self._path.name + ".part")
        with open(partial, "ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if not os.path.samestat(os.fstat(file.fileno()), partial.stat()):
                    return  # another process has just finished, and a third one begun
            except (BlockingIOError, FileNotFoundError):
                return  # it is at work, or has just finished
            body = index.to_bytes()
            note = json.dumps(stamp).encode()
            note += LENGTH.pack(len(note))
            digest = hashlib.sha256(body)
            digest.update(note)
            try:
                file.truncate(0)
                for piece in (body, note, digest.digest()):
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                partial.unlink()
                raise
            os.replace(partial, self._path)

    def discard(self) -> None:
        """Delete the file. Raises StorageError."""
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"{self._path} cannot be replaced ({error.strerror}); move it away.") from error
