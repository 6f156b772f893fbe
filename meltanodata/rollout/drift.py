"""Drift: what was changed by hand, orphans, and certificates that are due for renewal.

Pure. What was changed by hand is the `Plan` of a preview that refreshes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from meltanodata.engine.resource_types import Type

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from datetime import date, datetime

    from meltanodata.engine.stack_state import StackState
    from meltanodata.inventory.accounts import Inventory
    from meltanodata.rollout.plan import Plan


@dataclass(frozen=True, order=True)
class Orphan:
    """An object in the accounts that no stack's state has."""

    kind: str
    """`droplet`, `record` or `database`."""
    name: str
    id: str
    team: str
    about: str
    """An address or a size, which helps to find out whose it is."""


@dataclass(frozen=True)
class Expiring:
    """A certificate that is due for renewal, and the tenants that have it."""

    last_day: date
    tenants: tuple[str, ...]


@dataclass(frozen=True)
class Unseen:
    """A stack that could not be examined."""

    stack: str
    why: str
    """For a person; a line or more."""


@dataclass(frozen=True)
class Drift:
    """Of a whole fleet."""

    plans: Sequence[Plan]
    """What the next `up` would revert, one a stack."""
    orphans: Sequence[Orphan]
    expiring: Sequence[Expiring]
    unseen: Sequence[Unseen] = ()

    @property
    def none(self) -> bool:
        """Whether there is no drift, and every stack was examined."""
        return all(plan.empty and not plan.left_alone for plan in self.plans) and not (
            self.orphans or self.expiring or self.unseen
        )


def known(states: Iterable[StackState]) -> frozenset[tuple[str, str]]:
    """Type and id of every object that the states have, also of those that are to be deleted."""
    return frozenset(key for state in states for key in state.objects)


def orphans(
    accounts: Inventory, ids: Collection[tuple[str, str]], droplet_team: str, others: Collection[str]
) -> Iterator[Orphan]:
    """The objects that no state has.

    Args:
        accounts: the teams' inventory.
        ids: see `known`; of all stacks that share the droplet team.
        droplet_team: where droplets and records are.
        others: names of objects that serve another purpose.
    """
    for droplet in accounts.droplets:
        if (Type.DROPLET, str(droplet.id)) not in ids and droplet.name not in others:
            yield Orphan("droplet", droplet.name, str(droplet.id), droplet_team, droplet.size)
    for record in accounts.records:
        if (Type.RECORD, str(record.id)) not in ids and record.name not in others:
            yield Orphan("record", record.name, str(record.id), droplet_team, record.address)
    for cluster in accounts.clusters:
        if (Type.CLUSTER, cluster.id) not in ids and cluster.name not in others:
            yield Orphan("database", cluster.name, cluster.id, cluster.team, cluster.size)


def expiring(states: Iterable[StackState], now: datetime) -> list[Expiring]:
    """The certificates on the droplets that are due for renewal, the earliest first."""
    by_last_day: dict[date, list[str]] = {}
    for state in states:
        for tenant in state.tenants.values():
            lifetime = state.certificate(tenant)
            if lifetime and lifetime.due(now):
                by_last_day.setdefault(lifetime.ends.date(), []).append(tenant.name)
    return [Expiring(last_day, tuple(sorted(tenants))) for last_day, tenants in sorted(by_last_day.items())]
