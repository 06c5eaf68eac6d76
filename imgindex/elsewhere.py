"""Which recorded files stay when a folder goes: not those in it, by whichever path they are seen."""

import os
from collections import Counter
from collections.abc import Collection, Iterable

from imgindex import files
from imgindex.files import Found
from imgindex.places import Lasting
from imgindex.records import File

_COARSE = 10_000_000  # ns: FAT and exFAT keep no finer times, and none of when a file was changed last


class Elsewhere:
    """Knows what was found at and below a path, and how the machine was mounted then."""

    def __init__(self, top: str, found: Collection[Found], views: Iterable[tuple[str, str]]) -> None:
        """`views`: pairs of paths that are known to be one file; `top`: "" where nothing goes."""
        self._top, self._real = top, top and os.path.realpath(top)
        self._lasting = Lasting()
        self._names = Counter((one.device, one.inode) for one in found)
        below = {os.path.dirname(one.path) for one in found if one.path != top}
        self._folders = {_identity(folder) for folder in below}
        self._changed = {_change(one): one.device for one in found}
        self._views = {path for pair in views for path, other in (pair, pair[::-1]) if self._is_inside(other)}

    def stays(self, file: File) -> bool:
        """Whether a file is there as it was indexed, lasts, and is none of those that were found."""
        if self._is_inside(file.path) or file.path in self._views or self._lasting.is_volatile(file.path, file.device):
            return False
        try:
            status = os.stat(file.path)
        except OSError:
            return False
        return files.stamp(status) == (file.bytes, file.mtime_ns) and not self._was_found(file.path, status)

    def _was_found(self, path: str, status: os.stat_result) -> bool:
        """By a link or another mount. A hard link from elsewhere is another matter: it stays when this name goes."""
        if self._real and files.is_in(os.path.realpath(path), self._real):
            return True
        if self._folders and _identity(os.path.dirname(path)) in self._folders:
            return True
        now = files.found(path, status)
        if names := self._names[now.device, now.inode]:
            return status.st_nlink <= names
        # Overlays and the like, which no block device is behind, number files anew, but hand on when one was changed.
        device = self._changed.get(_change(now), now.device)
        no_disk = not (os.major(device) and os.major(now.device))
        return device != now.device and no_disk and bool(now.ctime_ns % _COARSE)

    def _is_inside(self, path: str) -> bool:
        return bool(self._top) and files.is_in(path, self._top)


def _change(file: Found) -> tuple[int, int, int]:
    """What two files do not share: a copy can be given the other's mtime, but not its ctime."""
    return file.bytes, file.mtime_ns, file.ctime_ns


def _identity(folder: str) -> tuple[int, int] | None:
    try:
        status = os.stat(folder)
    except OSError:
        return None
    return status.st_dev, status.st_ino
