"""Ledger entries on disk: carried out, settled after a kill, taken back.

At every moment one of a file's places holds all of it. What was moved is compared with what was looked at, since a name
may have got another file in between; then it goes back. Nothing is ever overwritten.
"""

import errno
import os
from contextlib import suppress
from datetime import datetime
from itertools import count

from imgindex.cleanup.copies import copy, discard, holds, part, sync
from imgindex.cleanup.drives import check_drive, lost
from imgindex.cleanup.journal import Entry
from imgindex.cleanup.links import link, link_name, settle_link, unlink
from imgindex.cleanup.opened import KeeperError, Opened, open_regular
from imgindex.cleanup.plan import How
from imgindex.cleanup.quarantine import below
from imgindex.cleanup.renames import away, bring_home, give_name, rename_new, take_away
from imgindex.cleanup.trash import info, info_head, trash_of
from imgindex.cleanup.views import SameFileError, check_apart, discard_probe


def carry_out(entry: Entry, opened: Opened) -> None:
    """Do what an entry says. Raises OSError, after which `settle` tells how far it went.

    Raises SameFileError, with the file back where it was, when the one that stays went with it.
    """
    _discard_parts(entry)
    if opened.keeper:
        check_apart(entry)
    try:
        if entry.action == "hardlink":
            link(entry, opened)
        else:
            if entry.action == "trash":
                _write_info(entry)
            _move(entry, opened, entry.path, entry.target)
    except KeeperError as error:
        with suppress(KeeperError):
            opened.check_keeper()
            raise SameFileError(entry.kept) from error
        raise


def settle(entry: Entry) -> bool:
    """Whether an entry is done, by what is on disk; if not, the file is back where it was.

    Raises GoneError when it is in neither place, and OSError when that cannot be told now.
    """
    check_drive(entry)
    _discard_parts(entry)
    _bring_home(entry, entry.path)
    if entry.action == "hardlink":
        _bring_home(entry, entry.target)
        return settle_link(entry)
    ours = entry.action == "quarantine" or _read(info(entry.target)).startswith(info_head(entry.path, entry.target))
    moved = ours and holds(entry.target, entry)
    if moved and holds(entry.path, entry):
        _discard_second(entry)
        moved = False
    elif ours and os.path.lexists(entry.target) and not os.path.lexists(entry.path):
        moved = moved and _opens(entry.kept)
        if not moved:  # a kill came before what was moved was looked at, and it is not what should have been
            give_name(entry.target, entry.path)
    if not moved and not os.path.lexists(entry.path):
        raise lost(entry)
    if not moved and ours and entry.action == "trash":
        discard(info(entry.target))
    return moved


def bring_back(entry: Entry) -> None:
    """Undo an entry that is done, also when an undo before was killed.

    Raises GoneError when its file was deleted for good, and OSError when it cannot be brought back now.
    """
    check_drive(entry)
    _discard_parts(entry)
    _bring_home(entry, entry.path)
    if entry.action == "hardlink":
        unlink(entry)
        return
    _bring_home(entry, entry.target)
    if holds(entry.path, entry) and os.lstat(entry.path).st_mtime_ns == entry.mtime_ns:  # by the killed undo
        if holds(entry.target, entry):
            _discard_second(entry)
    elif os.path.lexists(entry.path):
        raise OSError(None, f"another file has come there; move it away and undo again (it is kept as {entry.target})")
    elif holds(entry.target, entry):
        with open_regular(entry.target) as file:
            _move(entry, Opened(file, entry.sha256, os.fstat(file.fileno())), entry.target, entry.path)
    elif os.path.lexists(entry.target):
        raise OSError(None, f"{entry.target} is not as it was put there")
    else:
        raise lost(entry)
    if entry.action == "trash":
        discard(info(entry.target))


def is_back(entry: Entry) -> bool:
    """Whether somebody has moved an entry's file back."""
    return holds(entry.path, entry) and not os.path.lexists(entry.target)


def _discard_second(entry: Entry) -> None:
    """Of a file that is in both places, the one that is put away; one file by two names is no second one."""
    if os.path.samestat(os.lstat(entry.path), os.lstat(entry.target)) and os.lstat(entry.path).st_nlink < 2:
        raise OSError(None, f"is the same file as {entry.target}, so neither is touched")
    os.unlink(entry.target)


def _write_info(entry: Entry) -> None:
    made = part(entry.path, info(entry.target))
    with open(made, "xb") as file:
        date = f"DeletionDate={datetime.now():%Y-%m-%dT%H:%M:%S}\n"
        file.write(info_head(entry.path, entry.target) + date.encode())
        file.flush()
        os.fsync(file.fileno())
    rename_new(made, info(entry.target))


def _move(entry: Entry, opened: Opened, source: str, target: str) -> None:
    """Raises OSError, with the file back at its source, unless what was moved is what was looked at."""
    os.makedirs(os.path.dirname(target), exist_ok=True)
    try:
        rename_new(source, target)
        moved = target
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        rename_new(copy(entry, opened.file, source, target), target)
        sync(os.path.dirname(target))
        moved = away(source)
    try:
        if moved != target:
            take_away(source)
        opened.check_is_at(moved)
        opened.check_keeper()
    except OSError:
        if moved == target or os.path.lexists(moved):
            give_name(moved, source)
        if moved != target and os.path.lexists(source):
            discard(target)
        raise
    if moved != target:
        os.unlink(moved)
    for place in target, source:
        sync(os.path.dirname(place))


def _bring_home(entry: Entry, place: str) -> None:
    """What a kill left away gets its place again, unless that has the same bytes by now."""
    if holds(away(place), entry) and holds(place, entry):
        os.unlink(away(place))
    else:
        bring_home(place)


def _discard_parts(entry: Entry) -> None:
    for place in entry.path, entry.target, info(entry.target):
        made = part(entry.path, place)
        discard(made)
        discard(away(made))
    discard_probe(entry)


def _opens(path: str) -> bool:
    try:
        open_regular(path).close()
    except OSError:
        return False
    return True


def _read(path: str) -> bytes:
    with suppress(OSError), open(path, "rb") as file:
        return file.read()
    return b""


def target(path: str, how: How, folder: str) -> str:
    """A free place for a file that is put away, in a quarantine folder or a trash. Raises OSError."""
    if how == "hardlink":
        return link_name(path)
    if how == "quarantine":
        wanted = below(folder, path)
    else:
        name, suffix = os.path.splitext(os.fsencode(os.path.basename(path)))
        wanted = os.path.join(trash_of(path), "files", os.fsdecode(name[:200] + suffix[-30:]))
    stem, ending = os.path.splitext(wanted)
    names = (f"{stem} {number}{ending}" if number > 1 else wanted for number in count(1))
    return next(name for name in names if not os.path.lexists(name) and not os.path.lexists(info(name)))
