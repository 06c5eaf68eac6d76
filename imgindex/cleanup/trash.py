"""The trash of the freedesktop.org specification, version 1.0.

(Send2Trash 2.2 does not tell where a file went, and takes a name in the trash without making sure that it is free.)
"""

import os
import stat
from contextlib import suppress
from urllib.parse import quote


def xdg(name: str, usual: str) -> str:
    """One of a user's folders by the XDG Base Directory Specification, which leaves relative ones out of account."""
    named = os.environ.get(name, "")
    return named if os.path.isabs(named) else os.path.expanduser(usual)


def trash_of(path: str) -> str:
    """The trash that a file belongs in, made if need be: the user's, or that at the top of another file system."""
    home = os.path.join(xdg("XDG_DATA_HOME", "~/.local/share"), "Trash")
    _make_trash(home)
    top = os.path.realpath(os.path.dirname(path))
    if os.stat(top).st_dev == os.stat(home).st_dev:
        return home
    while not os.path.ismount(top):
        top = os.path.dirname(top)
    user, shared = os.getuid(), os.path.join(top, ".Trash")
    for trash in os.path.join(shared, str(user)), os.path.join(top, f".Trash-{user}"):
        with suppress(OSError):
            if trash.startswith(shared + os.sep) and not _is_shared_trash(shared):
                continue
            _make_trash(trash)
            status = os.lstat(trash)
            if stat.S_ISDIR(status.st_mode) and status.st_uid == user:
                return trash
    return home  # by copying


def _is_shared_trash(folder: str) -> bool:
    mode = os.lstat(folder).st_mode
    return stat.S_ISDIR(mode) and bool(mode & stat.S_ISVTX)


def _make_trash(trash: str) -> None:
    for folder in trash, os.path.join(trash, "files"), os.path.join(trash, "info"):
        os.makedirs(folder, 0o700, exist_ok=True)


def info(target: str) -> str:
    """The note about a file in the trash."""
    folder, name = os.path.split(target)
    return os.path.join(os.path.dirname(folder), "info", name + ".trashinfo")


def info_head(path: str, target: str) -> bytes:
    """How the note about a file in the trash begins."""
    trash = os.path.dirname(os.path.dirname(target))
    if os.path.basename(trash) != "Trash":  # a drive's own, so that the drive may be mounted elsewhere
        top = os.path.dirname(trash.removesuffix(f"/{os.getuid()}"))
        path = os.path.relpath(os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path)), top)
    return b"[Trash Info]\nPath=" + quote(os.fsencode(path)).encode() + b"\n"
