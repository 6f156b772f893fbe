"""A stack's tenants: the entries of the fleet file with the stack's defaults filled in. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meltanodata.config.options import Options

if TYPE_CHECKING:
    from meltanodata.config.fleet import Fleet
    from meltanodata.config.settings import Settings


class Tenant(Options):
    """A tenant with everything decided, as the program declares it."""

    key: str
    """The tenant's name: its host name's first part, and what all its resources begin with."""
    database_team: str
    region: str
    database_version: str
    states_database_version: bool
    """Whether the entry states the version: then an existing cluster is upgraded to it. The stack's version is for new
    clusters; a change of it upgrades no existing one."""


def tenants_of(fleet: Fleet, settings: Settings) -> tuple[Tenant, ...]:
    """The tenants whose team the stack owns, with the stack's defaults filled in.

    Only for a fleet without problems: a tenant without a team belongs to no stack and is left out.
    """
    return tuple(
        Tenant.model_validate(
            {
                "region": settings.region,
                "database_version": settings.database_version,
                "states_database_version": row.options.database_version is not None,
                "key": row.key,
                **{name: value for name, value in row.options if value is not None},
            }
        )
        for row in fleet.rows
        if row.options.database_team in settings.team_names
    )
