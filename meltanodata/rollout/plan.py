"""The plan: what an `up` would do in one stack, one row a tenant.

Pure. `preview_plan` reads it from the engine's preview, `approval` compares it with the reviewed one.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from decimal import Decimal  # noqa: TC003 - pydantic looks at it
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from meltanodata.engine import urns
from meltanodata.engine.resource_types import TENANT, Type, tenant_of
from meltanodata.rollout import impact
from meltanodata.rollout.impact import Effect, Frozen, LoginOutcome, Operation, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meltanodata.config.placement import Use


class Change(StrEnum):
    """What happens to a tenant."""

    CREATED = "created"
    ADOPTED = "adopted"
    CHANGED = "changed"
    REPLACED = "replaced"
    DESTROYED = "destroyed"


class Reason(Frozen):
    """Something of the tenant that differs, as a reason for its row."""

    what: str
    """An option of tenants.yaml, or a property such as `droplet tags`; alone if there is no value to show."""
    before: str | None = None
    after: str | None = None
    option: bool = False
    """Whether it is an option of the tenant's entry or a setting, not a property of a resource."""


class Cost(Frozen):
    """US dollars a month; None where a size's price is unknown."""

    before: Decimal | None
    after: Decimal | None


class Row(Frozen):
    """What happens to one tenant."""

    tenant: str
    change: Change
    reasons: tuple[Reason, ...]
    effects: tuple[Effect, ...]
    cost: Cost | None
    """None if the plan touches no size."""
    team: str | None
    """The database team, if the plan has it."""
    operations: tuple[Operation, ...]
    objects: tuple[tuple[str, str], ...] | None = None
    """Role and id of each droplet, record and cluster that the state had of the tenant before; None if the state was
    not read, as in plans of an older version."""

    @property
    def severity(self) -> Severity:
        """The worst of its effects."""
        return max((effect.severity for effect in self.effects), default=Severity.NONE)

    def option(self, name: str) -> bool:
        """Whether this option of the entry changes."""
        return any(reason.option and reason.what == name for reason in self.reasons)


class Team(Frozen):
    """A team that the plan fills or empties: droplets in the droplet team, clusters in a database team."""

    name: str
    kind: str
    """`droplets` or `databases`."""
    before: int
    after: int
    limit: int
    full: bool = False


class Plan(Frozen):
    """Everything that an `up` would do in one stack."""

    stack: str
    tenants: int
    """How many tenants the stack had before, without those whose outputs a targeted `up` left unknown."""
    rows: tuple[Row, ...]
    """By the tenant's key."""
    others: tuple[Operation, ...]
    """Operations on what belongs to no tenant."""
    providers: tuple[str, ...] = ()
    """The URNs of connections to teams that are created, removed or get another token, which changes no object."""
    teams: tuple[Team, ...] = ()

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that change whenever the planned operations or their reasons do."""
        facts = [
            [[row.tenant, row.change, [reason.model_dump() for reason in row.reasons]] for row in self.rows],
            [_fact(operation) for row in self.rows for operation in row.operations],
            [_fact(operation) for operation in self.others],
        ]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def empty(self) -> bool:
        """Whether the plan changes nothing."""
        return not self.rows and not self.others

    @property
    def deleted_databases(self) -> frozenset[str]:
        """The tenants whose databases it deletes or replaces."""
        operations = (*(operation for row in self.rows for operation in row.operations), *self.others)
        return frozenset(
            tenant_of(urns.name_of(operation.urn))
            for operation in operations
            if operation.type == Type.CLUSTER and operation.op in {"delete", "replace"}
        )

    def of(self, *changes: Change) -> tuple[Row, ...]:
        """The rows with one of these changes."""
        return tuple(row for row in self.rows if row.change in changes)


def _fact(operation: Operation) -> list[Any]:
    id_ = operation.id if operation.type.startswith("digitalocean:") else None
    return [operation.op, operation.urn, sorted(operation.properties), id_, operation.values]


def describe(reason: Reason) -> str:
    """A reason in words."""
    if reason.before is None and reason.after is None:
        return reason.what
    return f"{reason.what}: {reason.before or 'none'} → {reason.after or 'none'}"


def effects_of(
    change: Change,
    operations: Iterable[Operation],
    reasons: Iterable[Reason],
    login: LoginOutcome | None = None,
) -> tuple[Effect, ...]:
    """See `impact.effects`; what changes of the entry is in the reasons."""
    stated = tuple(reasons)
    options = {reason.what: (reason.before, reason.after) for reason in stated if reason.option}
    self_signed = any((reason.what, reason.after) == ("tls", SELF_SIGNED) for reason in stated)
    return impact.effects(change, operations, options, login, self_signed=self_signed)


SELF_SIGNED = "self_signed"
"""The value of `tls` that browsers warn of."""


def change_of(operations: Iterable[Operation]) -> Change:
    """What happens to a tenant, by the operations on its component and its resources."""
    known = tuple(operations)
    whole = {operation.op for operation in known if operation.type == TENANT}
    machines = [operation for operation in known if operation.type in (Type.DROPLET, Type.CLUSTER)]
    if "delete" in whole:
        return Change.DESTROYED
    if any(operation.op == "import" for operation in machines):
        return Change.ADOPTED
    if "create" in whole:
        return Change.CREATED
    if any(operation.op in ("replace", "create", "delete") for operation in machines):
        return Change.REPLACED
    return Change.CHANGED


def with_capacity(plan: Plan, droplets: Use, databases: Iterable[Use]) -> Plan:
    """The same plan with the teams that it fills or empties.

    Args:
        plan: as read.
        droplets: the droplet team as the new fleet file uses it.
        databases: the database teams likewise.
    """
    gains: Counter[str] = Counter()
    for row in plan.rows:
        if row.team:
            gains[row.team] += {Change.CREATED: 1, Change.ADOPTED: 1, Change.DESTROYED: -1}.get(row.change, 0)
    total = sum(gains.values())
    teams = [_gained("droplets", droplets, total)] if total else []
    teams += [_gained("databases", use, gains[use.team]) for use in databases if gains[use.team]]
    return plan.model_copy(update={"teams": tuple(teams)})


def _gained(kind: str, use: Use, gain: int) -> Team:
    return Team(name=use.team, kind=kind, before=use.used - gain, after=use.used, limit=use.limit, full=use.full)
