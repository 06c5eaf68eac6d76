"""Files that become hard links to the one that stays, and get a file of their own again."""

import os

from imgindex.cleanup.copies import copy, holds, sync
from imgindex.cleanup.drives import lost
from imgindex.cleanup.journal import Entry
from imgindex.cleanup.opened import KeeperError, Opened, open_regular
from imgindex.cleanup.renames import exchange, give_name, hidden, rename_new


def link_name(path: str) -> str:
    """Beside a path, the name of what is about to take its place, or of what did not stay there."""
    return hidden(path, "link")


def link(entry: Entry, opened: Opened) -> None:
    """Raises OSError, with the file back where it was, unless what became a link is what was looked at."""
    os.link(os.path.realpath(entry.kept), entry.target)
    if opened.keeper and not os.path.samestat(os.lstat(entry.target), os.fstat(opened.keeper.fileno())):
        raise KeeperError(None, f"its keeper {entry.kept} was replaced just now; sync and plan again")
    _exchange(entry.target, entry.path, opened)


def _exchange(new: str, path: str, opened: Opened) -> None:
    """Put a new file in the place of one that was looked at, which is deleted."""
    exchange(new, path)
    try:
        opened.check_is_at(new)
        opened.check_keeper()
    except OSError:
        exchange(new, path)
        raise
    os.unlink(new)
    sync(os.path.dirname(path))


def settle_link(entry: Entry) -> bool:
    """Of a link and the file that it takes the place of, one has the path and the other one still the link's name."""
    path, link, kept = entry.path, entry.target, os.path.realpath(entry.kept)
    if os.path.lexists(link):
        if _same(path, kept) and not _same(link, kept) and not holds(link, entry):
            exchange(link, path)  # it was saved anew before it became a link
        if _same(link, kept) or holds(path, entry):
            os.unlink(link)
        else:
            give_name(link, path)
    if not os.path.lexists(path):
        raise lost(entry)
    return _same(path, kept)


def _same(one: str, other: str) -> bool:
    try:
        return os.path.samestat(os.lstat(one), os.stat(other))
    except (FileNotFoundError, NotADirectoryError):
        return False


def unlink(entry: Entry) -> None:
    """Give a path that became a link a file of its own again."""
    new = link_name(entry.path)
    if os.path.lexists(new):  # by the killed undo
        if holds(new, entry):
            os.unlink(new)
        else:
            give_name(new, entry.path)
    intact = holds(entry.path, entry)
    if os.path.lexists(entry.path) and not intact:
        raise OSError(None, "has changed since, or another file has come there")
    source = entry.path if intact else entry.kept
    if not holds(source, entry):
        raise lost(entry)
    with open_regular(source) as file:
        made = copy(entry, file, source, entry.path)
        if intact:
            rename_new(made, new)
            try:
                _exchange(new, entry.path, Opened(file, entry.sha256, os.fstat(file.fileno())))
            except OSError:
                if holds(new, entry):
                    os.unlink(new)
                raise
        else:
            rename_new(made, entry.path)
            sync(os.path.dirname(entry.path))
