"""What must be true at the moment when a file goes: it is as it was indexed, and so is the one that stays for it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader

from imgindex import files
from imgindex.cleanup.opened import Opened, digest, is_written, open_regular
from imgindex.cleanup.plan import How, Step
from imgindex.places import Lasting


@contextmanager
def checked(step: Step, how: How) -> Iterator[Opened]:
    """Both files as they were indexed, and held, so that no clean with another index takes the one that stays.

    Raises OSError with the reason to leave the file alone.
    """
    with _opened(step.path) as own, _opened(step.keep, f"its keeper {step.keep} ") as keeper:
        status, kept = os.fstat(own.fileno()), os.fstat(keeper.fileno())
        if os.path.islink(step.path) or os.path.samestat(status, kept):
            raise OSError(None, f"takes no room of its own: it is the same file as {os.path.realpath(step.keep)}")
        if how == "hardlink":
            for differs, what in (
                (step.sha256 != step.keep_sha256, "has other bytes"),
                (status.st_dev != kept.st_dev, "is on another file system"),
                ((status.st_uid, status.st_gid) != (kept.st_uid, kept.st_gid), "has another owner"),
            ):
                if differs:
                    raise OSError(None, f"{what} than {step.keep}, so it cannot be a hard link to it")
        lasting = Lasting()
        if lasting.is_volatile(step.keep, kept.st_dev) and not lasting.is_volatile(step.path, status.st_dev):
            raise OSError(None, f"its keeper {step.keep} does not last: it lies in memory, in a bin or the like")
        _hold(own, fcntl.LOCK_EX)
        _hold(keeper, fcntl.LOCK_SH)
        if digest(keeper) != step.keep_sha256:
            raise OSError(None, f"its keeper {step.keep} has changed; sync and plan again")
        if is_written(own):
            raise OSError(None, "is open in another program that may write to it; clean again when it is closed")
        same = digest(own) == step.sha256
        status = os.fstat(own.fileno())
        if not same or files.stamp(status) != (step.bytes, step.mtime_ns):
            raise OSError(None, "has changed since it was indexed; sync and plan again")
        if not (os.path.samestat(status, os.stat(step.path)) and os.path.samestat(kept, os.stat(step.keep))):
            raise OSError(None, "was replaced just now, or its keeper was; sync and plan again")
        yield Opened(own, step.sha256, status, keeper, step.keep, step.keep_sha256)


def _opened(path: str, whose: str = "") -> BufferedReader:
    try:
        return open_regular(path)
    except (FileNotFoundError, NotADirectoryError):
        raise OSError(None, f"{whose}is gone; sync and plan again") from None
    except OSError as error:
        raise OSError(None, f"{whose}cannot be read ({files.reason(error)})") from error


def _hold(file: BufferedReader, lock: int) -> None:
    try:
        fcntl.flock(file, lock | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OSError(None, f"another program holds {file.name}; clean again when it is done") from None
    except OSError:  # a file system without locks
        pass
