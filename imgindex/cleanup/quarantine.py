"""Where a quarantine may be: nowhere that the index would find what lies in it."""

import os
from collections.abc import Iterable
from secrets import token_hex

from imgindex.errors import UsageError
from imgindex.types import AnyPath


def quarantine(folder: AnyPath | None, going: Iterable[str], *, walked: Iterable[str], index: str) -> str:
    """The absolute path of a quarantine for files that go, each below it by its own path.

    Raises UsageError for none, and when one would lie in the index or in a folder that is walked, by whichever names
    of either. Hidden folders are not walked, so a quarantine may lie in one.
    """
    if not folder:
        raise UsageError("A quarantine needs a folder to put files into; name one.")
    path = os.path.abspath(os.path.expanduser(folder))
    if os.path.realpath(path) == os.sep:
        raise UsageError(f"{path} is where all files lie; choose a folder for the quarantine.")
    places = {path} | {os.path.dirname(below(path, file)) for file in going}
    for top, kind, way in [(index, "is the index", ""), *((one, "is indexed", ", or a hidden one") for one in walked)]:
        names, number = {top, os.path.realpath(top)}, _number(top)
        for place in sorted(places):
            if any(not way or not _is_hidden(inside) for inside in _inside(place, names, number)):
                raise UsageError(f"{place} lies in {top}, which {kind}; choose a quarantine outside{way}.")
        if _shown_in(path, top):
            raise UsageError(f"{path} is seen in {top}, which {kind}, by another path; choose a quarantine outside.")
    return path


def _shown_in(path: str, top: str) -> bool:
    """Whether a folder that is walked shows what is in the quarantine, by numbers of its own, as an overlay does."""
    parts = os.path.realpath(path).split(os.sep)[1:]
    mark = f".imgindex-{token_hex(8)}.probe"  # a new name, as views remember what is not there, too
    try:
        os.makedirs(path, exist_ok=True)
        with open(os.path.join(path, mark), "xb"):
            pass
    except OSError:  # nothing can be put there, so nothing will be found
        return False
    try:
        tails = [parts[nth:] for nth in range(len(parts) + 1)]
        return any(os.path.lexists(os.path.join(top, *tail, mark)) for tail in tails if not _is_hidden("/".join(tail)))
    finally:
        os.unlink(os.path.join(path, mark))


def below(folder: str, path: str) -> str:
    """Where in a quarantine a file goes."""
    return os.path.join(folder, path.lstrip(os.sep))


def _is_hidden(inside: str) -> bool:
    return any(part.startswith(".") and part != "." for part in inside.split(os.sep))


def _inside(place: str, names: set[str], number: tuple[int, int] | None) -> Iterable[str]:
    """How a place lies below a folder that has these names and this number, in each way that it does."""
    real = os.path.realpath(place)
    for own in {place, real}:
        for top in names:
            inside = os.path.relpath(own, top)
            if inside.split(os.sep)[0] != os.pardir:
                yield inside
    above = real
    while number:  # a bind mount is another name of a folder, too
        if _number(above) == number:
            yield os.path.relpath(real, above)
        if above == os.path.dirname(above):
            break
        above = os.path.dirname(above)


def _number(folder: str) -> tuple[int, int] | None:
    try:
        status = os.stat(folder)
    except OSError:
        return None
    return status.st_dev, status.st_ino
