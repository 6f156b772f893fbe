"""The fleets that are measured, and their edits: 60 tenants a team, a team a stack."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

MOST = 500
"""Tenants: what one droplet team holds."""
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
        """As it stands in tenants.yaml."""
        return {"database_team": self.team} | ({} if self.tls == "wildcard" else {"tls": self.tls})


@dataclass(frozen=True)
class Stack:
    """A stack, or what the peer has in its place, with the tenants of one team."""

    name: str
    team: str
    tenants: tuple[Tenant, ...]

    def added(self, key: str) -> Stack:
        """With one tenant more."""
        return replace(self, tenants=(*self.tenants, Tenant(key, self.team)))

    def changed(self, key: str) -> Stack:
        """With another certificate for one tenant, or the first again."""
        other = {"wildcard": "self_signed", "self_signed": "wildcard"}
        return replace(
            self,
            tenants=tuple(replace(it, tls=other[it.tls]) if it.key == key else it for it in self.tenants),
        )

    def removed(self, key: str) -> Stack:
        """Without one tenant."""
        return replace(self, tenants=tuple(it for it in self.tenants if it.key != key))

    def emptied(self) -> Stack:
        """Without tenants."""
        return replace(self, tenants=())


def stacks(fleet: int) -> tuple[Stack, ...]:
    """A fleet of so many tenants, split by team."""
    tenants = [Tenant(f"tenant-{number:03}", TEAMS[number // TEAM_SIZE]) for number in range(fleet)]
    parts = [tuple(tenants[start : start + TEAM_SIZE]) for start in range(0, fleet, TEAM_SIZE)]
    return tuple(Stack(f"prod-{number}", part[0].team, part) for number, part in enumerate(parts, 1))
