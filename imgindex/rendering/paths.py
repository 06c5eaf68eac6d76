"""Paths as text: whatever bytes a name has, what is shown is one line of valid text."""

import os
from contextlib import suppress


def shown(path: str) -> str:
    """A path on one line of a terminal; relative where that is shorter."""
    with suppress(OSError):  # the current folder may be gone
        path = min((path, os.path.relpath(path)), key=len)
    return printable(path)


def printable(text: str) -> str:
    """Text on one line of a terminal, whatever bytes and controls it has."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in utf8(text))


def utf8(path: str) -> str:
    """A path as it is, but bytes that are not UTF-8 as \\xff; JSON has those exactly."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
