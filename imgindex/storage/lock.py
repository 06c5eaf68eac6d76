"""A lock file: one process at a time."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from imgindex.errors import ANOTHER_FOLDER, BusyError, storage_error


@contextmanager
def alone(lock: Path, busy: str | None = None) -> Iterator[None]:
    """Only one process (and thread) at a time; the next one waits, or raises BusyError with the sentence `busy`.

    Raises StorageError when the lock file cannot be written.
    """
    try:
        file = open(lock, "ab")  # noqa: SIM115  # `with` comes below, so that only opening is blamed on the disk
    except OSError as error:
        raise storage_error(
            error,
            f"{lock} cannot be written ({error.strerror}); check its disk and permissions, or choose another folder.",
            hint=ANOTHER_FOLDER,
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (fcntl.LOCK_NB if busy else 0))
        except BlockingIOError:  # only where `busy` is given
            raise BusyError(str(busy)) from None
        yield
