"""Which files of each group stay: what is stored about them, handed to the rules of `retention`."""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from imgindex.duplicates.grouping import Component
from imgindex.duplicates.records import Group, GroupFile, Held
from imgindex.facts import Facts
from imgindex.places import Lasting
from imgindex.records import ImageFile
from imgindex.retention.holding import Decision, decide
from imgindex.retention.originals import order_of
from imgindex.retention.policies import Policies
from imgindex.retention.relations import Relation
from imgindex.retention.units import File
from imgindex.sidecars import one_shot, stem_of


class Stayers:
    """Decides for the groups of one moment."""

    def __init__(
        self,
        facts: Mapping[int, Facts],
        relations: Mapping[tuple[int, int], Relation],
        shots: Collection[ImageFile],
        policies: Policies,
        *,
        kept: Collection[str],
        uploads: str,
    ) -> None:
        """`shots`: raw files, and those developed out of them, whichever group they are in.

        `uploads`: a folder of which nothing goes.
        """
        self._facts = facts
        self._relations = relations
        self._near: dict[int, list[Relation]] = {}
        for relation in relations.values():
            self._near.setdefault(relation.a, []).append(relation)
        self._shots: dict[str, list[ImageFile]] = {}
        for file in () if policies.separate_raw else shots:
            self._shots.setdefault(stem_of(file.path), []).append(file)
        self._policies = policies
        self._order = order_of(policies.keep)
        self._kept = kept
        self._uploads = os.path.join(uploads, "")
        self._lasting = Lasting()

    def group(self, number: int, component: Component, files: Sequence[ImageFile]) -> Group:
        """The files of a component, with what becomes of each."""
        own = {file.path for file in files}
        known = {file.path: file for file in self._with_mates(files)}
        members = [self._member(file) for file in known.values()]
        images = {member.image for member in members}
        relations = [
            relation for image in sorted(images) for relation in self._near.get(image, ()) if relation.b in images
        ]
        facts = {image: self._facts[image] for image in images if image in self._facts}
        decisions = decide(members, facts, relations, order=self._order, separate_raw=self._policies.separate_raw)
        ordered = tuple(self._decided(known, one) for one in decisions if one.file.path in own)
        exact = len(component.images) == 1
        return Group(number, "exact" if exact else "near", ordered, component.weakest, component.loose)

    def _with_mates(self, files: Sequence[ImageFile]) -> list[ImageFile]:
        """These files, and the others of their shots, whichever group these are in: they stay or go together."""
        own = {file.path for file in files}
        mates = (mate for file in files for mate in self._shots.get(stem_of(file.path), ()))
        others = {mate.path: mate for mate in mates if mate.path not in own}
        return [*files, *(others[path] for path in sorted(others))]

    def _member(self, file: ImageFile) -> File:
        upload = file.path.startswith(self._uploads)
        return File(
            file.path, file.image, file.width, file.height, file.bytes, file.mtime_ns, file.device, file.inode,
            protected=upload or self._policies.protects(file.path),
            preferred=self._policies.prefers(file.path),
            kept=file.path in self._kept,
            volatile=upload or self._lasting.is_volatile(file.path, file.device),
            unit=self._unit(file),
        )  # fmt: skip

    def _unit(self, file: ImageFile) -> str | None:
        """A name for the shot that a raw file and its developed ones are of."""
        stem = stem_of(file.path)
        raws = [mate for mate in self._shots.get(stem, ()) if self._is_raw(mate)]
        own = self._facts.get(file.image)
        times = [facts.captured if (facts := self._facts.get(raw.image)) else None for raw in raws]
        return stem if any(one_shot(own.captured if own else None, time) for time in times) else None

    def _is_raw(self, file: ImageFile) -> bool:
        facts = self._facts.get(file.image)
        return facts is not None and facts.raw

    def _decided(self, known: Mapping[str, ImageFile], decision: Decision) -> GroupFile:
        file = known[decision.file.path]
        own = GroupFile(
            **vars(file), stays=decision.stays, why=decision.why, chosen=decision.file.kept,
            facts=self._facts.get(file.image), unit=decision.file.unit,
        )  # fmt: skip
        by = decision.held_by
        if by is None or decision.holder is None:
            return own
        pair = min(by, file.image), max(by, file.image)
        seen = self._relations.get(pair)
        held: Held = "exact" if by == file.image else "same" if seen and seen.kind == "same" else "version"
        holder = known[decision.holder]
        return replace(own, held_by=by, holder=holder.path, holder_sha256=holder.sha256, held=held)
