"""What goes with a picture: its sidecars, unless another picture that stays has them, too."""

import os
from dataclasses import replace

from imgindex import files
from imgindex.cleanup.plan import Plan, Sidecar, Skipped, Step
from imgindex.sidecars import is_sidecar, sidecars


def with_sidecars(plan: Plan) -> Plan:
    """The plan, with what belongs to each file that goes; a file stays whose keeper does not have all of that, too."""
    going = {step.path for step in plan.steps}
    steps, skipped = [], []
    for step in plan.steps:
        own = _of(step, going)
        lacking = _lacking(own, step.keep)
        if lacking is None:
            steps.append(replace(step, sidecars=own))
        else:
            skipped.append(Skipped(step.path, f"has {lacking}, and {step.keep} has nothing of the same content"))
    return replace(plan, steps=tuple(steps), skipped=(*plan.skipped, *skipped))


def _lacking(own: tuple[Sidecar, ...], keep: str) -> str | None:
    """A sidecar that what stays has no like of: edits, a rating, the film of a live photo would go with it."""
    theirs = {_content(path) for path in sidecars(keep)} if own else set()
    return next((one.path for one in own if (content := _content(one.path)) is None or content not in theirs), None)


def _content(path: str) -> bytes | None:
    """The SHA-256 of a sidecar; None for what cannot be read."""
    try:
        return files.sha256_of(path)
    except OSError:
        return None


def _of(step: Step, going: set[str]) -> tuple[Sidecar, ...]:
    found = []
    for path in sidecars(step.path):
        named = os.path.basename(path).lower().startswith(os.path.basename(step.path).lower() + ".")
        if named or not _shared(step.path, going):
            try:
                found.append(Sidecar(path, *files.stamp(os.lstat(path))))
            except OSError:
                continue  # it is gone, so there is nothing to take along
    return tuple(found)


def _shared(path: str, going: set[str]) -> bool:
    """Whether a file beside it that stays has the same name but for the ending, as a raw file has."""
    folder, name = os.path.split(path)
    stem = os.path.splitext(name)[0].lower()
    try:
        names = os.listdir(folder)
    except OSError:
        return True  # what cannot be told stays
    others = [os.path.join(folder, one) for one in names if os.path.splitext(one)[0].lower() == stem]
    return any(one != path and one not in going and not is_sidecar(one) for one in others)
