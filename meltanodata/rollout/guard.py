"""Whether a plan may be applied: what it must not do unless somebody allows it on purpose.

Pure. Each rule is allowed by a label of its own, on the pull request and not in the repository: what the request itself
edits cannot allow it. The thresholds are those of the branch that the request goes to, for the same reason.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from meltanodata.engine.resource_types import Type
from meltanodata.errors import UserError
from meltanodata.rollout import impact
from meltanodata.rollout.impact import Severity
from meltanodata.rollout.plan import Change, Plan, change_of
from meltanodata.text import count, first_of, listing, show

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from meltanodata.config.influence import Influences
    from meltanodata.config.settings import Guard
    from meltanodata.rollout.impact import Effect

PREFIX = "guard:"
DATA_LOSS = "guard:data-loss"
MANY_DESTROYED = "guard:many-destroyed"
DROPLET_REPLACED = "guard:droplet-replaced"
UNNAMED = "guard:unnamed-tenants"
PROGRAM_CHANGED = "guard:program-changed"
LABELS = (DATA_LOSS, MANY_DESTROYED, DROPLET_REPLACED, UNNAMED, PROGRAM_CHANGED)

_SHOWN = 10
"""Tenants that a message names before it counts the rest."""


class Stop(BaseModel):
    """One thing that a plan must not do by itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: str | None
    """The label that allows it; None where none does."""
    message: str
    allowed: bool
    """Whether the label was given."""

    @property
    def advice(self) -> str:
        """How to go on."""
        if self.allowed:
            return f"Allowed by the label {self.label}."
        if self.label is None:
            return ""
        return f"If that is meant, put the label {self.label} on the pull request."

    def __str__(self) -> str:
        """The message, and how to go on."""
        return f"{self.message} {self.advice}".rstrip()


class Review(BaseModel):
    """A plan and what the guard says of it; what `meltanodata plan --json` writes and the other commands read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    plan: Plan
    stops: tuple[Stop, ...] = ()

    @property
    def stopped(self) -> tuple[Stop, ...]:
        """What is not allowed."""
        return tuple(stop for stop in self.stops if not stop.allowed)


def labels(given: Iterable[str]) -> frozenset[str]:
    """The guard's labels among a pull request's.

    Raises:
        UserError: one looks like a label of the guard's and is none.
    """
    ours = {label for label in given if label.startswith(PREFIX)}
    if wrong := sorted(ours.difference(LABELS)):
        raise UserError(f"{listing(wrong, 'and')}: the guard knows no such label. It has {listing(LABELS, 'and')}.")
    return frozenset(ours)


def labels_in(given: str) -> list[str]:
    """Labels as a workflow hands them over, in JSON.

    A list is a pull request's labels, any of which may have blanks in it. A string is what somebody typed to allow
    something: labels of the guard's alone, separated by blanks or commas.

    Raises:
        UserError: it is neither, or something was typed that is no label of the guard's.
    """
    try:
        found = json.loads(given)
    except ValueError:
        found = given if given and set(given.replace(",", " ").split()) <= set(LABELS) else 0
    if found is None:
        return []
    if isinstance(found, list) and all(isinstance(label, str) for label in found):
        return found
    if not isinstance(found, str):
        raise UserError(
            f'{show(given)}: labels are given as JSON, such as ["{DATA_LOSS}"], so that blanks stay in them'
        )
    typed = found.replace(",", " ").split()
    if wrong := [label for label in typed if label not in LABELS]:
        raise UserError(
            f"{listing(map(show, wrong), 'and')}: the guard knows no such label. It has {listing(LABELS, 'and')}."
        )
    return typed


def review(
    plan: Plan,
    thresholds: Guard,
    *,
    named: Collection[str] | None,
    demos: Collection[str] | None = None,
    allowed: Collection[str] = (),
) -> Review:
    """What the guard says of a plan.

    Args:
        plan: what would be done.
        thresholds: of the branch that the pull request goes to.
        named: the tenants that the pull request names, see `named`; None where there is no pull request.
        demos: the tenants that are demos where the pull request goes to; None where there is no pull request.
        allowed: the labels that are given.
    """
    found: list[tuple[str | None, str | None]] = [
        (DATA_LOSS, _data_loss(plan)),
        (MANY_DESTROYED, _many_destroyed(plan, thresholds)),
        (DROPLET_REPLACED, _droplet_replaced(plan)),
        (UNNAMED, None if named is None else _unnamed(plan, named)),
        (None, None if demos is None else _no_demo_wiped(plan, demos)),
    ]
    return Review(
        plan=plan,
        stops=tuple(
            Stop(label=label, message=message, allowed=label in allowed) for label, message in found if message
        ),
    )


def named(base: Mapping[str, object], head: Mapping[str, object]) -> frozenset[str]:
    """The tenants that a pull request names: those whose entries differ between two revisions of the fleet file."""
    return frozenset(key for key in {*base, *head} if (key in base) != (key in head) or base[key] != head[key])


def program_changed(influences: Influences, allowed: Collection[str] = ()) -> Stop | None:
    """What the guard says of a request that changes more than tenants; None where it does not.

    Such a request brings along what its plan is made by and what it is applied with, so no look at the plan can tell
    what it does: somebody has to read it.
    """
    if not influences:
        return None
    message = f"More than tenants: the request changes {influences}."
    return Stop(label=PROGRAM_CHANGED, message=message, allowed=PROGRAM_CHANGED in allowed)


def _data_loss(plan: Plan) -> str | None:
    """Whatever cannot be had back, in the words of `impact`; a sentence for all who lose the same.

    By the operations alone, whatever the plan itself says that they mean.
    """
    losers: dict[str, list[str]] = {}
    for row in plan.rows:
        if lost := _lost(impact.effects(change_of(row.operations), row.operations, frozenset())):
            losers.setdefault(lost, []).append(row.tenant)
    sentences = [f"Data loss for {_some(tenants)}: {lost}." for lost, tenants in losers.items()]
    if lost := _lost(impact.effects("changed", plan.others, frozenset()), about=True):
        sentences.append(f"Data loss outside the tenants: {lost}.")
    return " ".join(sentences) or None


def _lost(effects: Iterable[Effect], *, about: bool = False) -> str:
    lost = [str(effect) if about else effect.text for effect in effects if effect.severity is Severity.LOSS]
    return "; ".join(text.removeprefix("data loss: ") for text in lost)


def _no_demo_wiped(plan: Plan, demos: Collection[str]) -> str | None:
    wiped = [
        row.tenant
        for row in plan.rows
        if row.tenant not in demos
        and change_of(row.operations) is not Change.CREATED
        and any(operation.wipes for operation in row.operations)
    ]
    if not wiped:
        return None
    return (
        f"The database of a tenant that is no demo yet would be wiped: {_some(wiped)}. No label allows that. Merge"
        " demo: true without wipe_database first; the next pull request may wipe it."
    )


def _many_destroyed(plan: Plan, thresholds: Guard) -> str | None:
    gone = plan.of(Change.DESTROYED)
    percent = 100 * len(gone) / plan.tenants if plan.tenants else 0
    limits = []
    if len(gone) > thresholds.destroyed:
        limits.append(str(thresholds.destroyed))
    if len(gone) > 1 and percent > thresholds.destroyed_percent:
        limits.append(f"{thresholds.destroyed_percent} %")
    if not limits:
        return None
    share = f" of {plan.tenants} ({percent:.0f} %)" if plan.tenants else ""
    return (
        f"Many destroyed: the plan destroys {count(len(gone), 'tenant')}{share}, more than {listing(limits, 'and')}"
        f" ({_some(row.tenant for row in gone)})."
    )


def _droplet_replaced(plan: Plan) -> str | None:
    replaced = [
        row.tenant
        for row in plan.rows
        if not (row.option("rebuild") or row.option("snapshot"))
        and any(operation.type == Type.DROPLET and operation.op == "replace" for operation in row.operations)
    ]
    if not replaced:
        return None
    return f"Droplets are replaced, with their disks, although no rebuild or snapshot changes: {_some(replaced)}."


def _unnamed(plan: Plan, names: Collection[str]) -> str | None:
    others = [row.tenant for row in plan.rows if row.tenant not in names]
    if not others:
        return None
    number = count(len(others), "tenant")
    return f"The plan touches {number} that the pull request does not name: {_some(others)}."


def _some(tenants: Iterable[str]) -> str:
    return first_of(tenants, _SHOWN)
