"""Names of files changed at once: never over another file, and two of them for each other.

(Python has no call for renameat2(2), which does both in one step where the kernel and the file system can.)
"""

import errno
import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

_NOREPLACE, _EXCHANGE = 1, 2  # of linux/fs.h
_HERE = -100  # AT_FDCWD
_CANNOT = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


def hidden(place: str, ending: str) -> str:
    """The name beside a place of a file that is on its way there or from there; nobody else gives such names."""
    name = hashlib.sha256(os.fsencode(place)).hexdigest()[:16]
    return os.path.join(os.path.dirname(place), f".imgindex-{name}.{ending}")


def away(place: str) -> str:
    """Where a whole file waits that was taken from its place, until it was looked at."""
    return hidden(place, "away")


def take_away(place: str) -> str:
    """Hide whatever is at a place; returns where it waits."""
    aside = away(place)
    if os.path.lexists(aside):  # nobody else gives such names, so it is what a kill left
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), aside)
    os.rename(place, aside)
    return aside


def rename_new(source: str, target: str) -> None:
    """Rename whatever is at the source; raises FileExistsError where there is something at the target."""
    if _by_kernel(source, target, _NOREPLACE):
        return
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(target):  # a file system without hard links cannot promise more
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from error
        os.rename(source, target)
    else:
        _unlink_twin(source, target)


def _unlink_twin(source: str, target: str) -> None:
    """Take the first name of a file that has two now, and not one that was saved over it meanwhile."""
    aside = take_away(source)
    if os.path.samestat(os.lstat(aside), os.lstat(target)):
        os.unlink(aside)
        return
    bring_home(source)
    os.unlink(target)
    raise OSError(None, "was replaced just now")


def exchange(one: str, other: str) -> None:
    """Each of two files gets the other one's name."""
    if _by_kernel(one, other, _EXCHANGE):
        return
    aside = take_away(other)
    try:
        rename_new(one, other)
    except OSError:
        bring_home(other)
        raise
    rename_new(aside, one)


def bring_home(place: str) -> None:
    """Give what was taken from a place its name again; where another file has come, a free name beside it."""
    aside = away(place)
    if not os.path.lexists(aside):
        return
    give_name(aside, place)


def give_name(source: str, place: str) -> None:
    """Rename to a place, or where that is taken to a free name beside it: both are a person's then."""
    stem, ending = os.path.splitext(place)
    number, free = 1, place
    while True:
        with suppress(FileExistsError):
            rename_new(source, free)
            return
        number += 1
        free = f"{stem} {number}{ending}"


def _by_kernel(one: str, other: str, how: int) -> bool:
    """Whether it was done in one step; not where the kernel or the file system cannot. Raises OSError."""
    call = _renameat2()
    if call is None:
        return False
    number = call(os.fsencode(one), os.fsencode(other), how)
    if number and number not in _CANNOT:
        raise OSError(number, os.strerror(number), one, None, other)
    return not number


@cache
def _renameat2() -> Callable[[bytes, bytes, int], int] | None:
    """The call, which returns 0 or the number of an error; None where the C library has none."""
    import ctypes

    try:
        function: Any = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return None
    function.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)

    def call(one: bytes, other: bytes, how: int) -> int:
        return ctypes.get_errno() if function(_HERE, one, _HERE, other, how) else 0

    return call
