"""What a killed run was creating at DigitalOcean and its stack's state does not have. Pure.

The engine notes a creation before it begins it. As long as the note is there, what was created can be found by the name
in it, whatever has become of the fleet file since. Without the note only an entry leads to it; so the note of something
that no entry leads to must not be dropped while that exists.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from meltanodata.config.object_names import names_of
from meltanodata.engine.resource_types import Type
from meltanodata.inventory import duplicates
from meltanodata.inventory.names import clusters_by_tenant
from meltanodata.text import listing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from meltanodata.config.tenants import Tenant
    from meltanodata.engine.stack_state import StackState
    from meltanodata.inventory.accounts import Cluster, Droplet, Inventory, Record


@dataclass
class Created:
    """What was created after all of what a run began for a tenant."""

    droplets: list[Droplet]
    records: list[Record]
    clusters: list[Cluster]


def created(state: StackState, inventory: Inventory) -> dict[str, Created]:
    """What of the pending creations exists, by the tenant's name when the run began."""
    known = {(type_, id_) for (_, type_), id_ in state.ids.items()}
    objects: dict[str, Created] = {}
    for tenant, type_, name in state.creations:
        its = objects.setdefault(tenant, Created([], [], []))
        if type_ == Type.DROPLET:
            its.droplets += [it for it in inventory.droplets if it.name == name and (type_, str(it.id)) not in known]
        elif type_ == Type.RECORD:
            its.records += [it for it in inventory.records if it.name == name and (type_, str(it.id)) not in known]
        else:
            its.clusters += [it for it in inventory.clusters if it.name == name and (type_, it.id) not in known]
    return objects


def abandoned(created: Mapping[str, Created], tenants: Sequence[Tenant], domain: str) -> Iterator[str]:
    """What of it no entry leads to, by tenant, and what to do.

    Where one leads to several objects of a name, the plan says so: see `duplicates`.

    Args:
        created: see `created`.
        tenants: those that have an entry.
        domain: the tenants'.
    """
    entries = [(tenant, names_of(tenant, domain)) for tenant in tenants]
    droplets, records = {names.droplet for _, names in entries}, {names.record for _, names in entries}
    lead = clusters_by_tenant(cluster for its in created.values() for cluster in its.clusters)
    clusters = {cluster.id for tenant in tenants for cluster in lead(tenant.key, tenant)}
    for key, its in created.items():
        left = [
            *(duplicates.droplet(it) for it in its.droplets if it.name not in droplets),
            *(duplicates.record(it, domain) for it in its.records if it.name not in records),
            *(duplicates.cluster(it) for it in its.clusters if it.id not in clusters),
        ]
        if left:
            yield (
                f"{key}: a run that was killed made {listing(left, 'and')}. The state does not have it, and no entry"
                f" of the file leads to it, so no run would ever use it or delete it. Restore the entry of {key}"
                " and run this again; if the tenant is to go, remove the entry then. Otherwise delete it by hand, if"
                " nobody uses it"
            )


def doubtful_firewalls(state: StackState) -> list[str]:
    """The URNs of the firewalls that may differ from what the state has of them.

    A database trusts nobody from right before its droplet is deleted (program/trusted_sources.py). If a run is killed
    then, and the edit is reverted, the droplet stays, and the state knows of no difference. The tenant's last Command
    tells: it is deleted before the droplet is.
    """
    return sorted(
        tenant.firewall.urn for tenant in state.tenants.values() if tenant.firewall and "verify" not in tenant.resources
    )
