"""How much of each team's limit the fleet file uses, and which team a new tenant gets (the guide's step 3). Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from meltanodata.config import config_commands

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from meltanodata.config.fleet import Fleet, Row
    from meltanodata.config.settings import Settings


@dataclass(frozen=True)
class Use:
    """How much of a team's limit is taken."""

    team: str
    used: int
    """Places of the tenants in the fleet file, whether their objects exist or not."""
    limit: int
    full: bool = False
    """Marked as full: it takes no tenant, whatever its limit."""
    in_account: int | None = None
    """Droplets or clusters that the account has; None where it was not asked."""
    beside: int = 0
    """How many of those belong to no tenant: made by hand, or for another purpose. They take places as well."""

    @property
    def taken(self) -> int:
        """Places that are taken, or will be."""
        return self.used + self.beside

    @property
    def free(self) -> int:
        """How many more fit; never below 0."""
        return 0 if self.full else max(0, self.limit - self.taken)

    @property
    def percent(self) -> int:
        """Of the limit, rounded down; above 100 where it is exceeded."""
        return self.taken * 100 // self.limit


def database_uses(fleet: Fleet, stacks: Sequence[Settings]) -> list[Use]:
    """Every database team of the fleet, in the order in which they fill up, with the tenants that the file places."""
    used = Counter(row.options.database_team for row in fleet.rows)
    return [Use(team.name, used[team.name], team.limit, team.full) for stack in stacks for team in stack.database_teams]


def droplet_use(fleet: Fleet, stacks: Sequence[Settings]) -> Use:
    """The droplet team, which all stacks of a fleet share."""
    team = stacks[0].droplet_team
    return Use(team.name, len(fleet.rows), team.limit)


def full_with_room(uses: Sequence[Use], stacks: Sequence[Settings]) -> Iterator[str]:
    """What to do about teams that are marked full and have room by their limit, such as after a removal.

    The guide marks a team when it reaches its limit; nothing takes the mark away when a place comes free.
    """
    places = {
        team.name: (stack.stack, ("database_teams", index, "full"))
        for stack in stacks
        for index, team in enumerate(stack.database_teams)
    }
    for use in uses:
        if use.full and use.taken < use.limit:
            stack, path = places[use.team]
            yield (
                f"{use.team} is marked full and has {use.taken} of {use.limit}. To let it take tenants again:\n"
                f"  {config_commands.set_plain(stack, path, 'false')}"
            )


def left_teams(fleet: Fleet, before: Fleet) -> set[str]:
    """The teams that a tenant of an older version of the file has left."""
    now = stated_teams(fleet)
    return {team for key, team in stated_teams(before).items() if now.get(key) != team}


def assignments(fleet: Fleet, stacks: Sequence[Settings]) -> dict[str, str | None]:
    """A team for each tenant that has none: the first that is not full and below its limit (the guide's step 3).

    In the file's order; None for a tenant that no team has room for.
    """
    free = {use.team: use.free for use in database_uses(fleet, stacks)}
    places = (team for team, count in free.items() for _ in range(count))
    return {row.key: next(places, None) for row in fleet.rows if is_missing_team(row)}


def no_room(stacks: Sequence[Settings]) -> str:
    """The message when no team takes another tenant."""
    teams = sum(len(stack.database_teams) for stack in stacks)
    return f"none of the {teams} database teams has room. meltanodata capacity shows what to do"


def first_free(fleet: Fleet, stacks: Sequence[Settings]) -> str | None:
    """The first team that is not full and below its limit; None if there is none."""
    return next((use.team for use in database_uses(fleet, stacks) if use.free), None)


def stated_teams(fleet: Fleet) -> dict[str, str]:
    """The placement as the file has it, without the tenants that have no team."""
    return {row.key: row.options.database_team for row in fleet.rows if row.options.database_team is not None}


def is_missing_team(row: Row) -> bool:
    """Whether an entry has no team yet; one with a wrong value has, and its own problem."""
    return row.options.database_team is None and not row.states_wrongly("database_team")
