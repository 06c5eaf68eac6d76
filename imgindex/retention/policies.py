"""What a person wants of all groups: folders of which nothing goes, folders that are preferred, the order of ties."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

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
        return lies_in(path, self.protect)

    def prefers(self, path: str) -> bool:
        """Whether a file lies in a preferred folder."""
        return lies_in(path, self.prefer)


def lies_in(path: str, folders: Iterable[str]) -> bool:
    """Whether a path, or what it leads to, is one of these folders or lies below it, by any of its names."""
    names = {path, os.path.realpath(path)} if folders else set()
    roots = {name for folder in folders for name in (folder, os.path.realpath(folder))}
    return any(name == root or name.startswith(os.path.join(root, "")) for name in names for root in roots)
