"""The fleets that are measured, and their edits: 60 tenants in each team, and a stack for each team."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

MOST = 500
"""Tenants that one droplet team holds."""
TEAM_SIZE = 60
TEAMS = tuple(f"MeltanoData DBs {number}" for number in range(1, 11))


@dataclass(frozen=True)
class Tenant:
    """An entry of the fleet file."""

    key: str
    team: str
    tls: str = "wildcard"
    """What the edit `changed` changes: it takes new files, a restart and a verification on the droplet."""

    def entry(self) -> dict[str, Any]:
        """The options in tenants.yaml."""
        return {"database_team": self.team} | ({} if self.tls == "wildcard" else {"tls": self.tls})


@dataclass(frozen=True)
class Stack:
    """The tenants of one team: a stack, or a root module of the peer."""

    name: str
    team: str
    tenants: tuple[Tenant, ...]

    def added(self, key: str) -> Stack:
        """With one more tenant."""
        return replace(self, tenants=(*self.tenants, Tenant(key, self.team)))

    def changed(self, key: str) -> Stack:
        """With the other kind of certificate for one tenant."""
        other = {"wildcard": "self_signed", "self_signed": "wildcard"}
        return replace(
            self,
            tenants=tuple(
                replace(tenant, tls=other[tenant.tls]) if tenant.key == key else tenant for tenant in self.tenants
            ),
        )

    def removed(self, key: str) -> Stack:
        """Without one tenant."""
        return replace(self, tenants=tuple(tenant for tenant in self.tenants if tenant.key != key))

    def emptied(self) -> Stack:
        """Without tenants."""
        return replace(self, tenants=())


def stacks(fleet: int) -> tuple[Stack, ...]:
    """A fleet of `fleet` tenants, split by team."""
    tenants = [Tenant(f"tenant-{number:03}", TEAMS[number // TEAM_SIZE]) for number in range(fleet)]
    parts = [tuple(tenants[start : start + TEAM_SIZE]) for start in range(0, fleet, TEAM_SIZE)]
    return tuple(Stack(f"prod-{number}", part[0].team, part) for number, part in enumerate(parts, 1))
