"""How full the teams are, counted in their accounts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from meltanodata.config.object_names import droplet_of
from meltanodata.inventory.names import clusters_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from meltanodata.config.fleet import Fleet
    from meltanodata.config.placement import Use
    from meltanodata.inventory.accounts import Accounts


def counted(
    fleet: Fleet, droplets: Use, databases: Sequence[Use], inventories: Mapping[str, Accounts], domain: str
) -> list[Use]:
    """The teams' use with what the accounts hold.

    Args:
        fleet: the whole file.
        droplets: see `placement.droplet_use`.
        databases: see `placement.database_uses`.
        inventories: of each database team's stack, by the team's name.
        domain: the tenants'.

    Returns:
        The droplet team, and then the database teams.
    """
    names = {droplet.name for inventory in inventories.values() for droplet in inventory.droplets}
    held = max(len(inventory.droplets) for inventory in inventories.values())
    made = sum(droplet_of(row.key, row.options, domain) in names for row in fleet.rows)
    uses = [replace(droplets, held=held, beside=max(0, held - made))]
    for use in databases:
        inventory = inventories[use.team]
        clusters = clusters_of(inventory)
        placed = [row for row in fleet.rows if row.options.database_team == use.team]
        made = sum(any(cluster.team == use.team for cluster in clusters(row.key, row.options)) for row in placed)
        held = inventory.cluster_counts[use.team]
        uses.append(replace(use, held=held, beside=held - made))
    return uses
