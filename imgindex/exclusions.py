"""What a person keeps out of an index: patterns remembered with a folder, and files that say it; gitignore's rules."""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from imgindex.errors import UsageError
from imgindex.files import is_in
from imgindex.places import is_of_a_program

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

IGNORE_FILE = ".imgindexignore"
_LONGEST = 1_000_000  # bytes of such a file; a longer one is none that a person wrote


class Rules(NamedTuple):
    """Patterns that hold for what is below a folder."""

    folder: str
    spec: "GitIgnoreSpec"

    def verdict(self, path: str, *, folder: bool) -> bool | None:
        """Whether they leave out what is at a path, take it in, or say nothing."""
        return self.spec.check_file(os.path.relpath(path, self.folder) + "/" * folder).include


def rules(folder: str, patterns: Iterable[str]) -> Rules:
    """Patterns for a folder, one of gitignore's each. Raises UsageError for one that is none."""
    from pathspec import GitIgnoreSpec

    patterns = list(patterns)
    try:
        return Rules(folder, GitIgnoreSpec.from_lines(patterns))
    except ValueError as error:
        wrong = str(error).rpartition(": ")[2]
        raise UsageError(f"{wrong} is no pattern of what to leave out; write it as in a .gitignore.") from error


class Exclusions:
    """Tells what a walk leaves out: what programs keep for themselves, and what a person does not want in it."""

    def __init__(self, remembered: Mapping[str, Sequence[str]] | None = None) -> None:
        """`remembered`: the folders that are walked again, each with its patterns."""
        self._remembered = {folder: rules(folder, patterns) for folder, patterns in (remembered or {}).items()}
        self._of_folder: dict[str, tuple[Rules, ...]] = {}
        self._of_file: dict[str, Rules | None] = {}
        self._passed_by: dict[
            str, bool | None
        ] = {}  # whether a walk gets to a folder; None: there is no walk around it

    def at(self, folder: str) -> tuple[Rules, ...]:
        """The rules for what lies in a folder, those first that decide.

        As in git, patterns that were given decide before files do, and a deeper file before one above it. Files count
        from the highest remembered folder on. Raises OSError with a reason where a file of rules cannot be read.
        """
        if folder not in self._of_folder:
            above = self._above(folder)
            given = tuple(self._remembered[known] for known in above)
            top = above[-1] if above else folder
            self._of_folder[folder] = given + tuple(self._files(folder, top))
        return self._of_folder[folder]

    def _above(self, folder: str) -> list[str]:
        """The remembered folders that a folder is in, the deepest first; up to one that was named against its rules."""
        found = []
        for known in sorted((one for one in self._remembered if is_in(folder, one)), key=len, reverse=True):
            found.append(known)
            if self.leave_out(known, folder=True):
                break
        return found

    def _files(self, folder: str, top: str) -> list[Rules]:
        found = []
        while True:
            if folder not in self._of_file:
                self._of_file[folder] = _read(folder)
            if (own := self._of_file[folder]) is not None:
                found.append(own)
            if folder in (top, os.path.dirname(folder)):
                return found
            folder = os.path.dirname(folder)

    def leave_out(self, path: str, *, folder: bool) -> bool:
        """Whether a walk that is in its folder passes by what is at a path. Raises OSError as `at` does."""
        if is_of_a_program(path, folder=folder):
            return True
        verdicts = (each.verdict(path, folder=folder) for each in self.at(os.path.dirname(path)))
        return next((verdict for verdict in verdicts if verdict is not None), False)

    def leave_out_recorded(self, path: str) -> bool:
        """Whether no walk of a remembered folder takes a file any more that is there. Raises OSError as `at` does."""
        folder = os.path.dirname(path)
        if folder not in self._passed_by:
            tops = [known for known in self._remembered if is_in(folder, known)]
            self._passed_by[folder] = all(self._is_passed_by(folder, top) for top in tops) if tops else None
        passed_by = self._passed_by[folder]
        return passed_by or (passed_by is False and self.leave_out(path, folder=False))

    def _is_passed_by(self, folder: str, top: str) -> bool:
        parts = os.path.relpath(folder, top).split(os.sep) if folder != top else []
        steps = [os.path.join(top, *parts[:end]) for end in range(1, len(parts) + 1)]
        return any(self.leave_out(step, folder=True) for step in steps)


def _read(folder: str) -> Rules | None:
    path = os.path.join(folder, IGNORE_FILE)
    if not os.path.isfile(path):
        return None
    with open(path, "rb") as file:
        lines = os.fsdecode(file.read(_LONGEST + 1)).splitlines()
    try:
        return rules(folder, lines)
    except UsageError as error:
        raise OSError(None, str(error)) from error
