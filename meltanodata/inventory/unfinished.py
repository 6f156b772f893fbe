"""What a run that was killed was making at DigitalOcean and its stack's state does not have. Pure.

The engine notes a creation before it begins it. As long as the note is there, what was made can be found by the name in
it, whatever has become of the fleet file since. Without the note only an entry leads to it; so the note of something
that no entry leads to must not be dropped while that exists.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meltanodata.config.object_names import names_of
from meltanodata.engine.recovery import CREATING
from meltanodata.engine.resource_types import CLUSTER, DROPLET, RECORD, Type
from meltanodata.engine.stack_state import ids, name, resources
from meltanodata.inventory import duplicates
from meltanodata.inventory.names import clusters_among
from meltanodata.text import listing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from meltanodata.config.tenants import Tenant
    from meltanodata.inventory.accounts import Accounts, Cluster, Droplet, Record


@dataclass
class Made:
    """What was made after all of what a run began for a tenant."""

    droplets: list[Droplet]
    records: list[Record]
    clusters: list[Cluster]


def creations(exported: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """The creations that a state notes of droplets, records and clusters.

    Returns:
        Of each the tenant, Pulumi's type and the name at DigitalOcean.
    """
    found = []
    for note in exported["deployment"].get("pending_operations") or []:
        resource = note["resource"]
        for type_, kind in (DROPLET, RECORD, CLUSTER):
            called = (resource.get("inputs") or {}).get("name")
            if note["type"] == CREATING and called and resource.get("type") == type_:
                found.append((name(resource["urn"]).removesuffix(f"-{kind}"), type_, str(called)))
    return found


def made(exported: Mapping[str, Any], held: Accounts) -> dict[str, Made]:
    """What of it is there, by the tenant's name when the run began."""
    known = {(type_, id_) for (type_, _), id_ in ids(exported).items()}
    found: dict[str, Made] = {}
    for tenant, type_, called in creations(exported):
        mine = found.setdefault(tenant, Made([], [], []))
        if type_ == DROPLET[0]:
            mine.droplets += [it for it in held.droplets if it.name == called and (type_, str(it.id)) not in known]
        elif type_ == RECORD[0]:
            mine.records += [it for it in held.records if it.name == called and (type_, str(it.id)) not in known]
        else:
            mine.clusters += [it for it in held.clusters if it.name == called and (type_, it.id) not in known]
    return found


def abandoned(found: Mapping[str, Made], tenants: Sequence[Tenant], domain: str) -> Iterator[str]:
    """What of it no entry leads to, by tenant, and what to do.

    Where one leads to several objects of a name, the plan says so: see `duplicates`.

    Args:
        found: see `made`.
        tenants: those that have an entry.
        domain: the tenants'.
    """
    entries = [(tenant, names_of(tenant, domain)) for tenant in tenants]
    droplets, records = {names.droplet for _, names in entries}, {names.record for _, names in entries}
    lead = clusters_among(cluster for its in found.values() for cluster in its.clusters)
    clusters = {cluster.id for tenant in tenants for cluster in lead(tenant.key, tenant)}
    for key, its in found.items():
        left = [
            *(duplicates.droplet(it) for it in its.droplets if it.name not in droplets),
            *(duplicates.record(it, domain) for it in its.records if it.name not in records),
            *(duplicates.cluster(it) for it in its.clusters if it.id not in clusters),
        ]
        if left:
            yield (
                f"{key}: a run that was killed made {listing(left, 'and')}. The state does not have it, and no entry"
                f" of the file leads to it, so that no run would ever use it or delete it. Put the entry of {key}"
                " back as it was and run this again; if the tenant is to go, remove the entry then. Without that:"
                " delete it by hand, if nobody uses it"
            )


def doubtful_firewalls(exported: Mapping[str, Any]) -> list[str]:
    """The URNs of the firewalls that may say something else than the state does.

    A database trusts nobody from right before its droplet is deleted (program/trusted_sources.py). If a run is killed
    then, and the edit is taken back, the droplet stays, and the state knows of no difference. The tenant's last Command
    tells: it goes before the droplet does.
    """
    there = {(it["type"], name(it["urn"])): it["urn"] for it in resources(exported) if not it.get("delete")}
    return sorted(
        urn
        for (type_, title), urn in there.items()
        if type_ == Type.FIREWALL and (Type.COMMAND, title.removesuffix("firewall") + "verify") not in there
    )
