"""What SQLite's errors mean, as sentences with a way out."""

import shutil
from pathlib import Path

from imgindex.errors import ANOTHER_FOLDER, DiskFullError, ImgindexError, IndexFormatError, StorageError

BUSY_SECONDS = 120  # a batch is written in milliseconds; this only bounds a writer that hangs
FULL = 1 << 20  # bytes free


def _is_full(folder: Path) -> bool:
    try:
        return shutil.disk_usage(folder).free < FULL
    except OSError:
        return False


def not_ours(path: Path) -> IndexFormatError:
    """For a file in the database's place that is something else."""
    return IndexFormatError(f"{path} is not an imgindex database; choose another folder.", hint=ANOTHER_FOLDER)


def sentence_of(error: Exception, path: Path) -> ImgindexError:
    """SQLite's error about a database file, as one of ours."""
    text = str(error)
    folder = path.parent
    # At the end of a disk, SQLite's shared memory fails as a disk I/O error.
    if "is full" in text or ("I/O" in text and _is_full(folder)):
        return DiskFullError(
            f"The disk that holds {folder} is full; free some space and do the same again: "
            "what was added so far is kept."
        )
    if "not a database" in text:
        return not_ours(path)
    if isinstance(error, UnicodeDecodeError):
        text = "malformed: a name in it is no text"
    if "malformed" in text:
        return IndexFormatError(
            f"{path} is damaged ({text}); restore it from a backup, or give that file another name, add your folders "
            f"again and sync, but delete nothing in {folder}: it may hold the only copies of what was uploaded, and "
            "the damaged file says where cleaned files went."
        )
    if "locked" in text:
        return StorageError(
            f"Another program has been writing to {folder} for {BUSY_SECONDS} s; try again when it is done."
        )
    return StorageError(f"The index in {folder} cannot be read or written ({text}); check its disk and permissions.")
