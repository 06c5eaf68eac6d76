"""Planning a clean, doing it, and taking it back."""

import hashlib

from flask import Blueprint, render_template, request

from imgindex import Plan
from imgindex.server.pages.layout import whole
from imgindex.server.service import current

pages = Blueprint("cleaning", __name__, url_prefix="/duplicates")

PAGE = 100  # steps of a part of the plan
READDED = 50  # files that are taken in again at once; more are left to the next sync
CHANGED = "The plan has changed since you saw it, so nothing was moved; this is the plan now."


@pages.get("/plan")
def plan() -> str:
    """What a clean would do; nothing is done."""
    return _shown(current().index.plan_clean("trash"))


@pages.post("/clean")
def clean() -> str | tuple[str, int]:
    """Do what the plan said that the person saw, and nothing else."""
    index = current().index
    plan = index.plan_clean("trash")
    if fingerprint(plan) != request.form.get("plan"):
        return _shown(plan, CHANGED), 409
    return render_template("cleaned.html", cleaned=index.clean(plan))


@pages.post("/undo")
def undo() -> str:
    """Bring back what the last clean put away."""
    index = current().index
    undone = index.undo_clean()
    known = len(undone.restored) <= READDED
    if undone.restored and known:
        index.add(undone.restored)
    return render_template("undone.html", undone=undone, known=known)


def fingerprint(plan: Plan) -> str:
    """The same for the same steps."""
    return hashlib.sha256(plan.to_json().encode()).hexdigest()


def _shown(plan: Plan, reason: str | None = None) -> str:
    start = whole("from", 0) or 0
    return render_template(
        "plan.html",
        plan=plan,
        steps=plan.steps[start : start + PAGE],
        start=start,
        page=PAGE,
        further=start + PAGE if len(plan.steps) > start + PAGE else None,
        freed=sum(step.bytes for step in plan.steps),
        fingerprint=fingerprint(plan),
        files=current().index.files_of({step.image for step in plan.steps[start : start + PAGE]}),
        reason=reason,
    )
