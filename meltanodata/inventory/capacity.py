"""How full the teams are, counted in their accounts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from meltanodata.config.object_names import droplet_of
from meltanodata.inventory.names import clusters_by_tenant

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from meltanodata.config.fleet import Fleet
    from meltanodata.config.placement import Use
    from meltanodata.inventory.accounts import Inventory


def counted(
    fleet: Fleet, droplets: Use, databases: Sequence[Use], inventories: Mapping[str, Inventory], domain: str
) -> list[Use]:
    """The same with what the accounts have: the droplet team, then the database teams.

    The inventories are those of each database team's stack, by the team's name.
    """
    names = {droplet.name for inventory in inventories.values() for droplet in inventory.droplets}
    count = max(len(inventory.droplets) for inventory in inventories.values())
    made = sum(droplet_of(row.key, row.options, domain) in names for row in fleet.rows)
    uses = [replace(droplets, in_account=count, beside=max(0, count - made))]
    for use in databases:
        clusters = clusters_by_tenant(inventories[use.team].clusters)
        rows = [row for row in fleet.rows if row.options.database_team == use.team]
        made = sum(any(it.team == use.team for it in clusters(row.key, row.options)) for row in rows)
        count = inventories[use.team].cluster_counts[use.team]
        uses.append(replace(use, in_account=count, beside=count - made))
    return uses
