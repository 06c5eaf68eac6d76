"""One folder that is seen by two paths whose numbers differ: overlays, FUSE, a share that is mounted twice."""

import os
import unicodedata

from imgindex.cleanup.copies import discard
from imgindex.cleanup.journal import Entry
from imgindex.cleanup.plan import seen_twice
from imgindex.cleanup.renames import hidden


class SameFileError(OSError):
    """The file that goes and the one that stays are one, seen by two paths."""

    def __init__(self, keep: str) -> None:
        super().__init__(None, seen_twice(keep))


def check_apart(entry: Entry) -> None:
    """Raise SameFileError when what is made beside one file is seen beside the other, which has the same name.

    To look afterwards whether the other one still opens is not enough: an overlay goes on showing a file that was
    moved below it, until it forgets.
    """
    keep = os.path.realpath(entry.kept)
    here, there = os.path.dirname(entry.path), os.path.dirname(keep)
    if _plain(entry.path) != _plain(keep) or os.path.samestat(os.stat(here), os.stat(there)):
        return
    made = _probe(entry)
    with open(made, "xb"):
        pass
    try:
        if os.path.lexists(os.path.join(there, os.path.basename(made))):
            raise SameFileError(entry.kept)
    finally:
        discard_probe(entry)


def _probe(entry: Entry) -> str:
    """A name that nobody has asked for before, as views remember what is not there, too."""
    return hidden(entry.path, f"{entry.id}.probe")


def discard_probe(entry: Entry) -> None:
    """Remove what a kill may have left."""
    discard(_probe(entry))


def _plain(path: str) -> str:
    """A name as views show it, whose case and composition may differ."""
    return unicodedata.normalize("NFC", os.path.basename(path)).casefold()
