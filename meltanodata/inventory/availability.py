"""Whether DigitalOcean offers what the tenants need, and whether their objects can become it. Pure.

It is checked before the first operation, since a droplet is deleted before its successor is created.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from meltanodata.text import did_you_mean, listing, show

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from meltanodata.config.settings import Settings
    from meltanodata.config.tenants import Tenant
    from meltanodata.inventory.accounts import Droplet, Inventory, Snapshot
    from meltanodata.inventory.names import Existing


def snapshot(tenant: Tenant, inventory: Inventory, pattern: str) -> Snapshot | None:
    """The snapshot for a tenant's droplet: the guide's step 1, Choose an image.

    The newest in its region that the entry names or, without a name, that the pattern matches; None where there is
    none.
    """
    here = [it for it in inventory.snapshots if tenant.region in it.regions]
    fitting = [it for it in here if it.name == tenant.snapshot or (not tenant.snapshot and re.search(pattern, it.name))]
    return max(fitting, key=lambda it: (it.created_at, it.id), default=None)


def upgrades(tenant: Tenant, existing: Existing) -> bool:
    """Whether the tenant's cluster gets a newer version of PostgreSQL: only one that its entry states.

    Not while DigitalOcean is changing the cluster, perhaps by this same upgrade.
    """
    cluster = existing.cluster
    return bool(
        cluster
        and tenant.states_database_version
        and cluster.status == "online"
        and int(tenant.database_version) > int(cluster.version)
    )


def problems(
    tenants: Sequence[Tenant],
    existing: Mapping[str, Existing],
    inventory: Inventory,
    settings: Settings,
    rebuilds: Mapping[str, object],
) -> Iterator[str]:
    """What is missing, and for whom.

    `rebuilds` has the `rebuild` that each tenant's droplet was made with; None where the state does not say.
    """
    if settings.project not in inventory.projects:
        there = listing(map(show, sorted(inventory.projects))) if inventory.projects else "none"
        yield f"{settings.droplet_team.name}: no project {show(settings.project)}; the projects are: {there}"
    if not inventory.ssh_keys:
        yield f"{settings.droplet_team.name}: the team has no SSH key, so nobody could sign in to a new one; add a key"
    for tenant in tenants:
        its = existing[tenant.key]
        if incomplete := list(_incomplete(its)):
            yield from (f"{tenant.key}: {problem}" for problem in incomplete)
            continue
        # An import keeps the droplet: the entry's `rebuild` becomes what the engine compares with.
        made_with = tenant.rebuild if its.import_droplet else rebuilds.get(tenant.key)
        kept = its.droplet if made_with in {None, tenant.rebuild} else None
        lacking = [*_droplet(tenant, kept, inventory, settings), *_database(tenant, its, inventory)]
        if kept is not None and not its.import_droplet:
            lacking += _needs_rebuild(tenant, kept, inventory)
        yield from (f"{tenant.key}: {problem}" for problem in [*lacking, *_differences(tenant, its)])


def _incomplete(existing: Existing) -> Iterator[str]:
    """The facts about a tenant's objects that DigitalOcean's answer lacks: without them there is no plan."""
    parts = [("droplet", existing.droplet, ("region", "size")), ("database", existing.cluster, ("region", "version"))]
    for role, it, facts in parts:
        if it is not None and (missing := [fact for fact in facts if not getattr(it, fact)]):
            what = listing(missing, "and")
            yield f"DigitalOcean's answer lacks the {what} of its {role} {it.id}. Wait a minute, then run this again"


def _droplet(tenant: Tenant, kept: Droplet | None, inventory: Inventory, settings: Settings) -> Iterator[str]:
    # Also for a droplet that stays, so that it can always be rebuilt.
    newest = snapshot(tenant, inventory, settings.snapshot)
    if newest is None:
        wanted = show(tenant.snapshot) if tenant.snapshot else f"that matches {settings.snapshot}"
        yield f"there is no snapshot {wanted} in {tenant.region}; make one, or copy one there"
    if kept is not None and (kept.size, kept.region) == (tenant.droplet_size, tenant.region):
        return
    sizes = [slug for slug, size in inventory.droplet_sizes.items() if tenant.region in size.regions]
    if not sizes:
        regions = sorted(set().union(*(size.regions for size in inventory.droplet_sizes.values())))
        yield f"droplets are not available in region {tenant.region}; they are available in {listing(regions)}"
    elif tenant.droplet_size not in sizes:
        near = _near(tenant.droplet_size, sizes)
        yield f"droplet_size {tenant.droplet_size} is not available in {tenant.region}.{near}"
    elif kept is None and newest is not None:
        disk = inventory.droplet_sizes[tenant.droplet_size].disk
        if disk < newest.min_disk:
            yield (
                f"droplet_size {tenant.droplet_size} has a disk of {disk} GB, and the snapshot {show(newest.name)}"
                f" needs {newest.min_disk} GB"
            )


def _needs_rebuild(tenant: Tenant, droplet: Droplet, inventory: Inventory) -> Iterator[str]:
    """What the existing droplet cannot become, and a new one can, without the data on its disk."""
    rebuild = f"write rebuild: {tenant.rebuild + 1} as well for a new droplet, without the data on the old one's disk"
    if droplet.region != tenant.region:
        yield (
            f"region is {tenant.region}, and its droplet is in {droplet.region} and cannot move; {rebuild}"
            " (the database moves with its data)"
        )
    size = inventory.droplet_sizes.get(tenant.droplet_size)
    if size is not None and size.disk < droplet.disk and tenant.droplet_size != droplet.size:
        yield (
            f"droplet_size {tenant.droplet_size} has a disk of {size.disk} GB, and its droplet's has {droplet.disk} GB"
            f" and cannot shrink; {rebuild}"
        )


def _database(tenant: Tenant, existing: Existing, inventory: Inventory) -> Iterator[str]:
    offer, cluster, version = inventory.database, existing.cluster, tenant.database_version
    if (cluster is None or upgrades(tenant, existing)) and version not in offer.versions:
        remedy = "Set database_version, for the tenant or the stack"
        yield f"PostgreSQL {version} is not available; DigitalOcean offers {listing(offer.versions)}. {remedy}"
    if cluster and tenant.states_database_version and int(version) < int(cluster.version):
        yield (
            f"database_version is {version}, and its database has PostgreSQL {cluster.version} and cannot be"
            f' downgraded. Write database_version: "{cluster.version}"'
        )
    if (cluster is None or cluster.region != tenant.region) and tenant.region not in offer.regions:
        regions = listing(sorted(offer.regions))
        yield f"databases are not available in region {tenant.region}; they are available in {regions}"
    if (cluster is None or cluster.size != tenant.database_size) and tenant.database_size not in offer.sizes:
        yield f"database_size {tenant.database_size} is not available.{_near(tenant.database_size, offer.sizes)}"


def _near(size: str, sizes: Sequence[str] | frozenset[str]) -> str:
    return did_you_mean(size, sizes) or f" Available: {listing(sorted(sizes), 'and')}"


def _differences(tenant: Tenant, existing: Existing) -> Iterator[str]:
    """Where the entry differs from what is to be adopted, which an import must neither change nor replace."""
    droplet = existing.droplet if existing.import_droplet else None
    cluster = existing.cluster if existing.import_cluster else None
    for role, it, size in (("droplet", droplet, "droplet_size"), ("database", cluster, "database_size")):
        if it is None:
            continue
        for option, actual in (("region", it.region), (size, it.size)):
            stated = getattr(tenant, option)
            if stated != actual:
                yield (
                    f"{option} is {stated}, and the {role} {it.id}, which is to be adopted, has {actual}."
                    f" Write {option}: {actual}; it can be changed in a later run"
                )
