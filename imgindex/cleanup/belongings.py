"""What goes with a picture: its sidecars, unless another picture that stays has them, too."""

import os
from dataclasses import replace

from imgindex import files
from imgindex.cleanup.plan import Plan, Sidecar, Step
from imgindex.sidecars import is_sidecar, sidecars


def with_sidecars(plan: Plan) -> Plan:
    """The plan, with what belongs to each file that goes."""
    going = {step.path for step in plan.steps}
    return replace(plan, steps=tuple(replace(step, sidecars=_of(step, going)) for step in plan.steps))


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
