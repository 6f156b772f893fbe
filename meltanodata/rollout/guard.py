"""The guard: what a plan must not do unless a label allows it.

Pure. Each rule has a label of its own, on the pull request and not in the repository, so that the pull request's own
edits cannot allow it. For the same reason the thresholds are the base branch's.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from meltanodata.engine.resource_types import Type
from meltanodata.errors import UserError
from meltanodata.rollout import impact
from meltanodata.rollout.impact import Frozen, Severity
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
"""The most tenants that a message names."""


class Stop(Frozen):
    """One thing that a plan must not do unless its label is given."""

    label: str | None
    """The label that allows it; None if none does."""
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
        return f"If this is intended, add the label {self.label} to the pull request."

    def __str__(self) -> str:
        """The message, and how to go on."""
        return f"{self.message} {self.advice}".rstrip()


class Review(Frozen):
    """A plan with the guard's verdict, which `meltanodata plan --json` writes and other commands read."""

    plan: Plan
    stops: tuple[Stop, ...] = ()

    @property
    def stopped(self) -> tuple[Stop, ...]:
        """What is not allowed."""
        return tuple(stop for stop in self.stops if not stop.allowed)


def labels(given: Iterable[str]) -> frozenset[str]:
    """The guard's labels among a pull request's.

    Raises:
        UserError: a label begins like the guard's, and the guard has no such label.
    """
    ours = {label for label in given if label.startswith(PREFIX)}
    if wrong := sorted(ours.difference(LABELS)):
        raise UserError(_unknown(wrong))
    return frozenset(ours)


def _unknown(labels: Iterable[str]) -> str:
    return f"{listing(labels, 'and')}: the guard has no such label. It has {listing(LABELS, 'and')}."


def labels_in(given: str) -> list[str]:
    """Labels in JSON, as a workflow passes them.

    A list has a pull request's labels, which may contain blanks. A string is what somebody typed to allow something:
    only labels of the guard, separated by blanks or commas.

    Raises:
        UserError: it is neither, or a typed label is none of the guard's.
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
            f'{show(given)} is not a JSON list of labels, such as ["{DATA_LOSS}"]. A label may contain blanks'
        )
    typed = found.replace(",", " ").split()
    if wrong := [label for label in typed if label not in LABELS]:
        raise UserError(_unknown(map(show, wrong)))
    return typed


def review(
    plan: Plan,
    thresholds: Guard,
    *,
    named: Collection[str] | None,
    demos: Collection[str] | None = None,
    allowed: Collection[str] = (),
) -> Review:
    """The guard's verdict on a plan.

    Args:
        plan: the plan.
        thresholds: the base branch's.
        named: the tenants that the pull request names, see `named`; None if there is no pull request.
        demos: the tenants that are demos on the base branch; None if there is no pull request.
        allowed: the given labels.
    """
    rules: list[tuple[str | None, str | None]] = [
        (DATA_LOSS, _data_loss(plan)),
        (MANY_DESTROYED, _many_destroyed(plan, thresholds)),
        (DROPLET_REPLACED, _droplet_replaced(plan)),
        (UNNAMED, None if named is None else _unnamed(plan, named)),
        (None, None if demos is None else _no_demo_wiped(plan, demos)),
    ]
    return Review(
        plan=plan,
        stops=tuple(
            Stop(label=label, message=message, allowed=label in allowed) for label, message in rules if message
        ),
    )


def named(base: Mapping[str, object], head: Mapping[str, object]) -> frozenset[str]:
    """The tenants that a pull request names: those whose entries differ between two revisions of the fleet file."""
    return frozenset(key for key in {*base, *head} if (key in base) != (key in head) or base[key] != head[key])


def program_changed(influences: Influences, allowed: Collection[str] = ()) -> Stop | None:
    """The guard's verdict on a pull request that changes more than tenants; None for any other.

    Such a pull request changes the program that makes and applies its plan, so the plan cannot show what it does.
    Somebody has to read its diff.
    """
    if not influences:
        return None
    message = f"The pull request changes more than tenants: {influences}."
    return Stop(label=PROGRAM_CHANGED, message=message, allowed=PROGRAM_CHANGED in allowed)


def _data_loss(plan: Plan) -> str | None:
    """What is lost for good, in the words of `impact`; one sentence for all tenants that lose the same.

    Derived from the operations alone, whatever effects the plan states.
    """
    tenants_by_loss: dict[str, list[str]] = {}
    for row in plan.rows:
        if lost := _lost(impact.effects(change_of(row.operations), row.operations, {})):
            tenants_by_loss.setdefault(lost, []).append(row.tenant)
    sentences = [f"Data loss for {_some(tenants)}: {lost}." for lost, tenants in tenants_by_loss.items()]
    if lost := _lost(impact.effects("changed", plan.others, {}), about=True):
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
        f"The plan wipes the database of tenants that are not demos on the base branch: {_some(wiped)}. No label allows"
        " this. First merge demo: true without wipe_database; the next pull request may wipe the database."
    )


def _many_destroyed(plan: Plan, thresholds: Guard) -> str | None:
    destroyed = plan.of(Change.DESTROYED)
    percent = 100 * len(destroyed) / plan.tenants if plan.tenants else 0
    limits = []
    if len(destroyed) > thresholds.destroyed:
        limits.append(str(thresholds.destroyed))
    if len(destroyed) > 1 and percent > thresholds.destroyed_percent:
        limits.append(f"{thresholds.destroyed_percent} %")
    if not limits:
        return None
    share = f" of {plan.tenants} ({percent:.0f} %)" if plan.tenants else ""
    return (
        f"The plan destroys {count(len(destroyed), 'tenant')}{share}, more than {listing(limits, 'and')}:"
        f" {_some(row.tenant for row in destroyed)}."
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
    names = _some(replaced)
    return f"The plan replaces droplets with their disks, although neither rebuild nor snapshot changes: {names}."


def _unnamed(plan: Plan, names: Collection[str]) -> str | None:
    others = [row.tenant for row in plan.rows if row.tenant not in names]
    if not others:
        return None
    number = count(len(others), "tenant")
    return f"The plan touches {number} that the pull request does not name: {_some(others)}."


def _some(tenants: Iterable[str]) -> str:
    return first_of(tenants, _SHOWN)
