"""Which files of each group stay: what is stored about them, handed to the rules of `retention`."""

import os
from collections.abc import Collection, Mapping, Sequence

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
from imgindex.sidecars import one_shot


class Stayers:
    """Decides for the groups of one moment."""

    def __init__(
        self,
        facts: Mapping[int, Facts],
        relations: Mapping[tuple[int, int], Relation],
        raws: Collection[ImageFile],
        policies: Policies,
        *,
        kept: Collection[str],
        uploads: str,
    ) -> None:
        """`raws`: files with raw data, whichever group they are in. `uploads`: a folder of which nothing goes."""
        self._facts = facts
        self._relations = relations
        self._near: dict[int, list[Relation]] = {}
        for relation in relations.values():
            self._near.setdefault(relation.a, []).append(relation)
        self._raws = {_stem(file.path): file for file in raws}
        self._policies = policies
        self._order = order_of(policies.keep)
        self._kept = kept
        self._uploads = os.path.join(uploads, "")
        self._lasting = Lasting()

    def group(self, number: int, component: Component, files: Sequence[ImageFile]) -> Group:
        """The files of a component, with what becomes of each."""
        images = component.images
        relations = [
            relation for image in sorted(images) for relation in self._near.get(image, ()) if relation.b in images
        ]
        own = {file.path: file for file in files}
        members = [self._member(file) for file in self._with_raws(files)]
        facts = {file.image: self._facts[file.image] for file in members if file.image in self._facts}
        decisions = decide(members, facts, relations, order=self._order, separate_raw=self._policies.separate_raw)
        ordered = tuple(self._decided(own[one.file.path], one, files) for one in decisions if one.file.path in own)
        exact = len(images) == 1
        return Group(number, "exact" if exact else "near", ordered, component.weakest, component.loose)

    def _with_raws(self, files: Sequence[ImageFile]) -> list[ImageFile]:
        """These files, and the raw files that they were developed from, as both stay or go together."""
        if self._policies.separate_raw:
            return list(files)
        paths = {file.path for file in files}
        wanted = {raw.path: raw for file in files if (raw := self._raws.get(_stem(file.path)))}
        return [*files, *(wanted[path] for path in sorted(wanted.keys() - paths))]

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
        """A name for the shot that a raw file and its developed one are of."""
        raw = self._raws.get(_stem(file.path))
        if raw is None:
            return None
        own, theirs = self._facts.get(file.image), self._facts.get(raw.image)
        times = (facts.captured if facts else None for facts in (own, theirs))
        return raw.path if one_shot(*times) else None

    def _decided(self, file: ImageFile, decision: Decision, files: Sequence[ImageFile]) -> GroupFile:
        facts, by = self._facts.get(file.image), decision.held_by
        if by is None:
            return GroupFile(**vars(file), stays=decision.stays, why=decision.why, facts=facts)
        pair = min(by, file.image), max(by, file.image)
        seen = self._relations.get(pair)
        held: Held = "exact" if by == file.image else "same" if seen and seen.kind == "same" else "version"
        holder = next(one for one in files if one.path == decision.holder)
        return GroupFile(
            **vars(file), stays=False, why=decision.why, held_by=by, holder=holder.path,
            holder_sha256=holder.sha256, held=held, facts=facts,
        )  # fmt: skip


def _stem(path: str) -> str:
    """What the files of one shot have in common."""
    return os.path.splitext(path)[0].lower()
