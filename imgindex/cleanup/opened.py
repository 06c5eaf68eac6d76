"""A file that goes and the one that stays for it, open since they were looked at."""

import fcntl
import hashlib
import os
import signal
import stat
from dataclasses import dataclass
from io import BufferedReader

from imgindex import files


class KeeperError(OSError):
    """The file that stays is not there by its own path any more."""


@dataclass(frozen=True)
class Opened:
    """Descriptors, and what was seen through them."""

    file: BufferedReader
    sha256: bytes
    status: os.stat_result
    keeper: BufferedReader | None = None  # None: what belongs to a picture goes where that went
    keep: str = ""
    keep_sha256: bytes = b""

    def check_is_at(self, path: str) -> None:
        """Raise OSError unless what lies at a path is the file that was looked at, as it was then."""
        now = os.fstat(self.file.fileno())
        if not os.path.samestat(os.lstat(path), now):
            raise OSError(None, "was replaced just now; sync and plan again")
        if is_written(self.file):
            raise OSError(None, "is open in another program that may write to it; clean again when it is closed")
        if files.stamp(now) != files.stamp(self.status) or digest(self.file) != self.sha256:
            raise OSError(None, "changed just now; sync and plan again")

    def check_keeper(self) -> None:
        """Raise KeeperError unless the one that stays opens by its own path, with what was seen in it.

        By its bytes, as a mounted view of a folder (FUSE) may answer from memory that a file is still there.
        """
        if self.keeper is None:
            return
        try:
            with open_regular(self.keep) as again:
                same = os.path.samestat(os.fstat(again.fileno()), os.fstat(self.keeper.fileno()))
                if same and digest(again) == self.keep_sha256:
                    return
        except OSError as error:
            raise KeeperError(None, f"its keeper {self.keep} went with it ({files.reason(error)})") from error
        raise KeeperError(None, f"its keeper {self.keep} was replaced just now; sync and plan again")


def open_regular(path: str) -> BufferedReader:
    """Open for reading what must be a file; never waits for a pipe. Raises OSError."""
    file = open(path, "rb", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK))  # noqa: SIM115  # it is the caller's
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(None, "not a regular file")
    return file


def digest(file: BufferedReader) -> bytes:
    """The SHA-256 (32 bytes) of all of an open file, as it is now."""
    file.seek(0)
    return hashlib.file_digest(file, "sha256").digest()


def is_written(file: BufferedReader) -> bool:
    """Whether any program has it open for writing: then no lease is given. False where that cannot be told."""
    try:
        fcntl.fcntl(file, fcntl.F_SETSIG, signal.SIGURG)  # which is ignored; what the kernel sends else ends a process
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return True
    except (OSError, AttributeError):  # leases are Linux's, and only of local file systems
        return False
    return False
