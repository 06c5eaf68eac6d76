"""What a person wants of all groups: folders of which nothing goes, folders that are preferred, the order of ties."""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Literal

from imgindex.files import is_in

PolicyKind = Literal["protect", "prefer"]


@dataclass(frozen=True)
class Policies:
    """Kept in an index; folders are absolute."""

    protect: tuple[str, ...] = ()
    prefer: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()  # criteria that come before the others
    separate_raw: bool = False  # raw and JPEG of one shot are judged each by itself

    def protects(self, path: str) -> bool:
        """Whether a file lies in a folder of which nothing goes, by any of the names that its folder has."""
        return lies_in(path, self.protect, self._real)

    def prefers(self, path: str) -> bool:
        """Whether a file lies in a preferred folder."""
        return lies_in(path, self.prefer, self._real)

    @cached_property
    def _real(self) -> Callable[[str], str]:
        """Where folders lead, as links were when this was first asked; policies are read anew for each question."""
        return cache(os.path.realpath)


def lies_in(path: str, folders: Iterable[str], real: Callable[[str], str] = os.path.realpath) -> bool:
    """Whether a path, or what it leads to, is one of these folders or lies below it, by any of its names."""
    if not folders:
        return False
    folder, name = os.path.split(path)
    own = real(path) if os.path.islink(path) else os.path.join(real(folder), name)
    return any(is_in(one, root) for one in (path, own) for top in folders for root in (top, real(top)))
