"""Where files lie: in memory, which a restart clears; among what programs keep for themselves; or where they last."""

import os
import re
from fnmatch import translate
from functools import cache

_IN_MEMORY = ("tmpfs", "ramfs", "devtmpfs")
_MEMORY_DISKS = r"/dev/(ram|zram)\d+"  # block devices whose file systems a restart clears, too


# Names that programs give to what they keep for themselves, or such a name and its folder's; * and ? as in a shell, in
# any case of letters.
FOLDERS = (
    "#recycle",  # bin of Synology and TerraMaster
    "@recycle",  # bin of QNAP
    "$recycle.bin",  # bin of Windows
    "recycler",  # bin of Windows NT to XP
    "recycled",  # bin of Windows 95 and FAT drives
    ".recycle",  # bin of Samba's vfs_recycle
    ".trash",  # bin of a drive, freedesktop.org and macOS
    ".trash-*",  # bin of a drive, freedesktop.org
    ".trashes",  # bin of a drive, macOS
    "trash/files",  # bin of a user, freedesktop.org
    "files_trashbin",  # bin of Nextcloud and ownCloud
    "files_versions",  # old versions, of Nextcloud and ownCloud
    ".stversions",  # old versions, of Syncthing
    "lost+found",  # what a check of ext4 found
    "lost.dir",  # what a check found, Android
    "found.???",  # what a check found, Windows
    "system volume information",  # Windows
    "#snapshot",  # snapshots of Synology, which expire
    "@recently-snapshot",  # snapshots of QNAP, which expire
    "~snapshot",  # snapshots of NetApp, which expire
    ".snapshot",  # snapshots of NetApp and Synology, which expire
    ".zfs",  # snapshots of ZFS, which expire
    "@eadir",  # thumbnails of Synology
    "@tmp",  # work of Synology
    ".@__thumb",  # thumbnails of QNAP
    ".thumbnails",  # thumbnails of Android and freedesktop.org
    ".wdmc",  # thumbnails of WD My Cloud
    "appdata_*/preview",  # thumbnails of Nextcloud
    "*.lrdata",  # previews of Lightroom
    "*.photoslibrary/resources",  # previews of Apple Photos
    "*.photolibrary/thumbnails",  # thumbnails of iPhoto
    "__macosx",  # what macOS puts beside files in a ZIP
    ".dropbox.cache",  # work of Dropbox
    ".tmp.drive*load",  # work of Google Drive
    ".sync",  # work of Resilio Sync
)
FILES = (
    "._*",  # what macOS puts beside files on other systems' drives
    "thumbs.db",  # thumbnails of Windows
    "ehthumbs*.db",  # thumbnails of Windows Media Center
    "~syncthing~*.tmp",  # half a transfer of Syncthing
    ".syncthing.*.tmp",  # half a transfer of Syncthing
    "*.!sync",  # half a transfer of Resilio Sync
    "*.ocTransferId*.part",  # half a transfer of Nextcloud and ownCloud
    "*.part",  # half a download of Firefox and others
    "*.partial",  # half a transfer of rclone and others
    "*.crdownload",  # half a download of Chromium
    "*.filepart",  # half a transfer of WinSCP
    "~$*",  # lock of Office
)


def _names(patterns: tuple[str, ...]) -> re.Pattern[str]:
    each = (translate(pattern.lower()).replace(".*", "[^/]*") for pattern in patterns)
    return re.compile("|".join(f"(?:.*/)?{pattern}" for pattern in each), re.DOTALL)


_FOLDER, _FILE = _names(FOLDERS), _names(FILES)


def is_of_a_program(path: str, *, folder: bool) -> bool:
    """Whether the last name of an absolute path is one that a program gives to what it keeps for itself."""
    name = "/".join(path.lower().rsplit("/", 2)[-2:])
    return bool((_FOLDER if folder else _FILE).fullmatch(name))


@cache
def is_in_programs_folder(folder: str) -> bool:
    """Whether a folder, or one above it, is a bin, holds thumbnails or the like."""
    above = os.path.dirname(folder)
    return above != folder and (is_of_a_program(folder, folder=True) or is_in_programs_folder(above))


def is_left_to_programs(path: str) -> bool:
    """Whether a file is one that no walk takes: in a bin, a thumbnail, half a transfer."""
    return is_of_a_program(path, folder=False) or is_in_programs_folder(os.path.dirname(path))


class Lasting:
    """Tells which files do not last, as the machine is mounted now: such a file never holds one that does."""

    def __init__(self) -> None:
        self._mounts = _mounts()
        self._devices = frozenset(device for device, _, lost in self._mounts if lost)
        self._lost = tuple(os.path.join(folder, "") for _, folder, lost in self._mounts if lost)
        self._kept = tuple(os.path.join(folder, "") for _, folder, lost in self._mounts if not lost)

    def is_volatile(self, path: str, device: int) -> bool:
        """Of a file by its path and the device that was recorded, 0 where an older version did not record it."""
        return device in self._devices or self._in_memory(path, device) or is_left_to_programs(path)

    def _in_memory(self, path: str, device: int) -> bool:
        """By its path: numbers of devices are given anew when the machine starts."""
        inside = max((len(folder) for folder in self._lost if path.startswith(folder)), default=0)
        if inside:
            return inside > max((len(folder) for folder in self._kept if path.startswith(folder)), default=0)
        return not device and _device(os.path.dirname(path)) in self._devices


def _device(folder: str) -> int | None:
    try:
        return os.stat(folder).st_dev
    except OSError:  # gone, so it holds nothing either
        return None


def _mounts() -> list[tuple[int, str, bool]]:
    """Device, folder, and whether it is in memory, of all that is mounted; nothing where the kernel does not tell."""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as mounts:
            lines = mounts.read().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        if match := re.match(r"\d+ \d+ (\d+):(\d+) \S+ (\S+) .* - (\S+) (\S+)", line):
            folder = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), match[3])
            lost = match[4] in _IN_MEMORY or bool(re.fullmatch(_MEMORY_DISKS, match[5]))
            found.append((os.makedev(int(match[1]), int(match[2])), folder, lost))
    return found
