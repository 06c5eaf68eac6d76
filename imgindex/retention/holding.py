"""What stays holds what goes: which files of a group stay, which do not, and why. Pure.

A file goes only when one that stays has all that it has (`gaps` says when); where that is in doubt, it stays.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from imgindex.facts import Facts
from imgindex.records import same_file
from imgindex.retention.gaps import Holds
from imgindex.retention.kernel import kernel
from imgindex.retention.originals import ORDER, Originals
from imgindex.retention.reasons import CONTRADICTION, Reasons
from imgindex.retention.relations import Relation
from imgindex.retention.units import File, units

Unit = tuple[File, ...]


@dataclass(frozen=True)
class Decision:
    """What becomes of a file."""

    file: File
    stays: bool
    held_by: int | None  # the image that holds it, where it does not stay
    holder: str | None  # the path of that
    why: str


def decide(
    files: Sequence[File],
    facts: Mapping[int, Facts],
    relations: Sequence[Relation],
    *,
    order: Sequence[str] = ORDER,
    separate_raw: bool = False,
) -> tuple[Decision, ...]:
    """For each file of a group whether it stays: the original first, then others that stay, then those that go.

    Whole units are to be given. Images without facts, and pairs without a relation, have not been looked at: they hold
    nothing and nothing holds them. Raises UsageError for an unknown order.
    """
    return _Group(files, facts, relations, order, separate_raw).decisions() if files else ()


class _Group:
    def __init__(
        self,
        files: Sequence[File],
        facts: Mapping[int, Facts],
        relations: Sequence[Relation],
        order: Sequence[str],
        separate_raw: bool,
    ) -> None:
        sizes = {file.image: (file.width, file.height) for file in sorted(files, key=lambda file: file.path)}
        self._holds = Holds(facts, relations, sizes)
        self._reasons = Reasons(files, facts, self._holds)
        ranked = Originals(files, facts, relations, self._holds, order).rank
        self._units = units(files, separate_raw=separate_raw)
        self._place = {file.path: at for at, file in enumerate(ranked(files))}
        self._ranked = ranked
        self._twins = self._collapse()
        self._holders = self._find_holders()
        forced = frozenset(at for at in self._holders if any(f.protected or f.kept for f in self._units[at]))
        stay = kernel(self._holders, forced, self._rank)
        self._contradicts = stay is None
        self._stay = frozenset(range(len(self._units))) if stay is None else stay

    def _collapse(self) -> dict[int, int]:
        """Single files with the bytes of another that is better placed -> that one. A thousand copies are one then."""
        best: dict[tuple[int, bool], int] = {}
        twins: dict[int, int] = {}
        for at in sorted(range(len(self._units)), key=lambda at: self._place[self._units[at][0].path]):
            file, *mates = self._units[at]
            if not (mates or file.protected or file.kept):
                first = best.setdefault((file.image, file.volatile), at)
                if first != at:
                    twins[at] = first
        return twins

    def _find_holders(self) -> dict[int, frozenset[int]]:
        """For each unit that is no twin the others that hold all its files."""
        at_image: dict[int, set[int]] = {}
        for at, unit in enumerate(self._units):
            if at not in self._twins:
                for file in unit:
                    at_image.setdefault(file.image, set()).add(at)
        found = {}
        for at, unit in enumerate(self._units):
            if at not in self._twins:
                images = [{file.image, *self._holds.of(file.image)} for file in unit]
                near = [set().union(*(at_image.get(image, set()) for image in each)) for each in images]
                others = set.intersection(*near) - {at}
                found[at] = frozenset(by for by in others if all(self._holder(file, by) for file in unit))
        return found

    def _holder(self, file: File, by: int) -> File | None:
        """The file of a unit that holds this one."""
        able = [
            other
            for other in self._units[by]
            if (other.image == file.image or other.image in self._holds.of(file.image))
            and (file.volatile or not other.volatile)
        ]
        return min(able, key=lambda other: (other.image != file.image, self._place[other.path]), default=None)

    def _rank(self, circle: list[int]) -> list[int]:
        """Units, the likeliest original first."""
        if len(circle) == 1:
            return circle
        place = {file.path: at for at, file in enumerate(self._ranked([f for at in circle for f in self._units[at]]))}
        return sorted(circle, key=lambda at: min(place[file.path] for file in self._units[at]))

    def decisions(self) -> tuple[Decision, ...]:
        staying = self._in_order()
        holders = {} if self._contradicts else self._assign(staying)
        leader = min(self._units[staying[0]], key=lambda file: self._place[file.path])
        beside = next((self._units[at][0] for at in staying[1:]), None)
        held = [file for file, by in holders.items() if by == leader]
        stay = [
            Decision(file, True, None, None, self._why(file, at, leader, beside, held))
            for at in staying
            for file in sorted(self._units[at], key=lambda file: (file != leader, self._place[file.path]))
        ]
        go = [
            Decision(file, False, by.image, by.path, self._reasons.goes(file, by))
            for file, by in sorted(holders.items(), key=lambda item: self._place[item[0].path])
        ]
        return (*stay, *go)

    def _in_order(self) -> list[int]:
        """The units that stay: chosen ones, preferred ones, then who holds most, then the likeliest original."""
        held = dict.fromkeys(self._stay, 0)
        for at in range(len(self._units)):
            for by in self._able(at):
                held[by] += 1

        def key(at: int) -> tuple[bool, bool, int, int]:
            unit = self._units[at]
            chosen, preferred = any(file.kept for file in unit), any(file.preferred for file in unit)
            return not chosen, not preferred, -held[at], min(self._place[file.path] for file in unit)

        return sorted(self._stay, key=key)

    def _able(self, at: int) -> frozenset[int]:
        """The units that stay and hold this one, which does not stay."""
        if at in self._stay:
            return frozenset()
        first = self._twins.get(at, at)
        return frozenset([first]) if first in self._stay else self._holders[first] & self._stay

    def _assign(self, staying: list[int]) -> dict[File, File]:
        """What goes -> what holds it."""
        found = {}
        for at in set(range(len(self._units))) - self._stay:
            able = self._able(at)
            by = next(by for by in staying if by in able)
            for file in self._units[at]:
                holder = self._holder(file, by)
                assert holder is not None  # one that is able holds all files of the unit
                found[file] = holder
        return found

    def _why(self, file: File, at: int, leader: File, beside: File | None, held: list[File]) -> str:
        if file.kept or file.protected:
            return "you chose it" if file.kept else "is protected"
        if self._contradicts:
            return CONTRADICTION
        unit = self._units[at]
        if file == leader and (held or beside is None):
            return self._reasons.first(file, held, len(self._place) - len(unit))
        other = leader if leader not in unit else beside
        return self._belongs(file, unit, other) or self._reasons.stays(file, other or leader)

    def _belongs(self, file: File, unit: Unit, other: File | None) -> str:
        """Why it stays with others of its unit, where it would not on its own."""
        mates = [mate for mate in unit if mate != file]
        if twin := next((m for m in mates if same_file(m) == same_file(file) and self._before(m, file)), None):
            return self._reasons.path_of(twin)
        if mate := next((m for m in mates if m.kept or m.protected), None):
            return self._reasons.belongs(mate)
        if mates and (other is None or not self._holds.gaps(file.image, other.image)):
            none_holds = [m for m in mates if other and self._holds.gaps(m.image, other.image)]
            return self._reasons.belongs((none_holds or mates)[0])
        return ""

    def _before(self, one: File, other: File) -> bool:
        return self._place[one.path] < self._place[other.path]
