"""Planning a clean, applying it, and undoing it."""

import hashlib

from flask import render_template, request

from imgindex import Plan
from imgindex.server.pages.layout import page_blueprint, part
from imgindex.server.service import current

pages = page_blueprint("cleaning", url_prefix="/duplicates")

PAGE = 100  # steps of a part of the plan: each has a thumbnail
READDED = 50  # files that an undo indexes again before it answers, in some seconds; more are left to the next sync
CHANGED = "The plan has changed since you saw it, so nothing was moved; this is the current plan."


@pages.get("/plan")
def plan() -> str:
    """What a clean would do; nothing is moved."""
    return _shown(current().index.cleanup.plan("trash"))


@pages.post("/clean")
def clean() -> str | tuple[str, int]:
    """Apply the plan that the person saw, and nothing else."""
    index = current().index
    plan = index.cleanup.plan("trash")
    if fingerprint(plan) != request.form.get("plan"):
        return _shown(plan, CHANGED), 409
    return render_template("cleaned.html", cleaned=index.cleanup.apply(plan))


@pages.post("/undo")
def undo() -> str:
    """Bring back what the last clean moved."""
    index = current().index
    undone = index.cleanup.undo()
    known = len(undone.restored) <= READDED
    if undone.restored and known:
        index.add(undone.restored)
    return render_template("undone.html", undone=undone, known=known)


def fingerprint(plan: Plan) -> str:
    """The same for the same steps."""
    return hashlib.sha256(plan.to_json().encode()).hexdigest()


def _shown(plan: Plan, reason: str | None = None) -> str:
    steps = part(plan.steps, PAGE)
    return render_template(
        "plan.html",
        plan=plan,
        steps=steps.items,
        start=steps.start,
        page=PAGE,
        further=steps.further,
        freed=sum(step.bytes + sum(sidecar.bytes for sidecar in step.sidecars) for step in plan.steps),
        beside=sum(len(step.sidecars) for step in plan.steps),
        fingerprint=fingerprint(plan),
        files=current().index.images.files({step.image for step in steps.items}),
        reason=reason,
    )
