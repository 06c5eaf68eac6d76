"""Walking folders: which files below them are looked at."""

import os
from collections.abc import Callable, Generator, Iterable, Iterator
from functools import partial

from imgindex.exclusions import IGNORE_FILE, Exclusions
from imgindex.files import Found, look, reason
from imgindex.patience import answers
from imgindex.records import Failure

_LISTED = 1000  # entries of a folder until its drive must have answered
_Seen = Found | Failure | None  # None: a sign of life, where nothing is taken for long


def walk(paths: Iterable[str], *, skip: str, exclusions: Exclusions | None = None) -> Iterator[Found | Failure]:
    """Regular files at and below these absolute paths, by name, each once.

    Below a folder, hidden names, the folder `skip`, and what the exclusions leave out are skipped, and links are not
    followed; a path that is named is taken as it is.
    """
    seen: set[str] = set()
    skip = os.path.realpath(skip)
    paths = list(paths)
    exclusions = exclusions or Exclusions()
    for path in paths:
        for item in _answered(path, partial(_at, path, skip, exclusions)):
            if len(paths) > 1:  # only then may one lie inside another
                if item.path in seen:
                    continue
                seen.add(item.path)
            yield item


def _answered(path: str, ask: Callable[[], Iterator[_Seen]]) -> Iterator[Found | Failure]:
    """What a walk from a path finds, and a failure where the drive stops to answer."""
    try:
        for item in answers(ask):
            if item:
                yield item
    except TimeoutError as error:
        yield Failure(path, f"{reason(error)}; what else is there was not looked at")


def _at(path: str, skip: str, exclusions: Exclusions) -> Iterator[_Seen]:
    if os.path.isdir(path):
        yield from _below(path, skip, exclusions)
    else:
        yield look(path)


def _below(folder: str, skip: str, exclusions: Exclusions) -> Iterator[_Seen]:
    waiting = [folder]
    while waiting:
        folder = waiting.pop()
        if os.path.realpath(folder) == skip:
            continue
        try:
            exclusions.at(folder)
        except OSError as error:  # what a person wants out must not come in
            yield Failure(os.path.join(folder, IGNORE_FILE), reason(error))
            continue
        try:
            names, folders = yield from _visible(folder, exclusions)
        except OSError as error:
            yield Failure(folder, reason(error))
            continue
        yield from map(look, names)
        waiting += reversed(folders)


def _visible(folder: str, exclusions: Exclusions) -> Generator[None, None, tuple[list[str], list[str]]]:
    """The files and the folders in a folder that are not left out, by name."""
    visible = [entry for entry in (yield from _entries(folder)) if not entry.name.startswith(".")]
    names = [entry.path for entry in visible if entry.is_file(follow_symlinks=False)]
    folders = [entry.path for entry in visible if entry.is_dir(follow_symlinks=False)]
    return (
        [path for path in names if not exclusions.leave_out(path, folder=False)],
        [path for path in folders if not exclusions.leave_out(path, folder=True)],
    )


def _entries(folder: str) -> Generator[None, None, list[os.DirEntry[str]]]:
    """What is in a folder, by name."""
    found = []
    with os.scandir(folder) as entries:
        for number, entry in enumerate(entries):
            if number % _LISTED == 0:
                yield None
            found.append(entry)
    return sorted(found, key=lambda entry: entry.name)


def everything(path: str, *, own: str) -> Iterator[Found | Failure]:
    """All that is at and below an absolute path, by name: hidden and excluded, too; a path that is named may be a link.

    What is no regular file is told, as is the folder `own` of the index, which goes with what is around it.
    """
    yield from _answered(path, lambda: _everything(path, os.path.realpath(own)))


def _everything(path: str, own: str) -> Iterator[_Seen]:
    if not os.path.isdir(path):
        yield look(path)
        return
    waiting = [path]
    while waiting:
        folder = waiting.pop()
        if os.path.realpath(folder) == own:
            yield Failure(folder, "is the folder of this index")
            continue
        try:
            inside = yield from _entries(folder)
            folders = [entry.path for entry in inside if entry.is_dir(follow_symlinks=False)]
            others = [_regular(entry) for entry in inside if not entry.is_dir(follow_symlinks=False)]
        except OSError as error:
            yield Failure(folder, reason(error))
            continue
        yield from others
        waiting += reversed(folders)


def _regular(entry: os.DirEntry[str]) -> Found | Failure:
    if entry.is_symlink():
        return Failure(entry.path, "is a link")
    return look(entry.path) if entry.is_file() else Failure(entry.path, "is no regular file")
