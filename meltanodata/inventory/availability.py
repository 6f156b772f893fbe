"""What the accounts must offer before a tenant can be declared. Pure; every tenant that lacks something is named.

Found out before anything is done, since a droplet is destroyed before its successor is made.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from meltanodata.text import did_you_mean, listing, show

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from meltanodata.config.fleet import Tenant
    from meltanodata.config.settings import Settings
    from meltanodata.inventory.accounts import Droplet, Inventory, Snapshot
    from meltanodata.inventory.names import Existing


def snapshot(tenant: Tenant, accounts: Inventory, pattern: str) -> Snapshot | None:
    """The snapshot for a tenant's droplet: the guide's step 1, Choose an image.

    Args:
        tenant: whose `snapshot` counts for more than the pattern.
        accounts: what there is.
        pattern: the stack's.

    Returns:
        The newest in the tenant's region; None where there is none.
    """
    here = [it for it in accounts.snapshots if tenant.region in it.regions]
    found = [it for it in here if it.name == tenant.snapshot or (not tenant.snapshot and re.search(pattern, it.name))]
    return max(found, key=lambda it: (it.created_at, it.id), default=None)


def image(tenant: Tenant, accounts: Inventory, pattern: str) -> str | None:
    """The id of the snapshot."""
    found = snapshot(tenant, accounts, pattern)
    return found.id if found else None


def upgrades(tenant: Tenant, existing: Existing) -> bool:
    """Whether the tenant's cluster is to get a newer version of PostgreSQL: only one that its entry states.

    Not while DigitalOcean is at work on the cluster, which may be this very upgrade.
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
    accounts: Inventory,
    settings: Settings,
    rebuilds: Mapping[str, object],
) -> Iterator[str]:
    """What is missing, and for whom.

    Args:
        tenants: the stack's.
        existing: what bears their names, by the tenant's key.
        accounts: what there is.
        settings: the stack's.
        rebuilds: the `rebuild` that each tenant's droplet was made with; None where the state does not say.
    """
    if settings.project not in accounts.projects:
        there = listing(map(show, sorted(accounts.projects))) if accounts.projects else "none"
        yield f"{settings.droplet_team.name}: there is no project {show(settings.project)}; there is {there}"
    if not accounts.ssh_keys:
        yield f"{settings.droplet_team.name}: the team has no SSH key, and nobody could enter a new droplet; add one"
    for tenant in tenants:
        mine = existing[tenant.key]
        if untold := list(_untold(mine)):
            yield from (f"{tenant.key}: {problem}" for problem in untold)
            continue
        # What is taken over keeps the droplet it has: that becomes what the engine compares with.
        made_with = tenant.rebuild if mine.import_droplet else rebuilds.get(tenant.key)
        kept = mine.droplet if made_with in {None, tenant.rebuild} else None
        lacking = [*_droplet(tenant, kept, accounts, settings), *_database(tenant, mine, accounts)]
        if kept is not None and not mine.import_droplet:
            lacking += _only_anew(tenant, kept, accounts)
        yield from (f"{tenant.key}: {problem}" for problem in [*lacking, *_unlike(tenant, mine)])


def _untold(existing: Existing) -> Iterator[str]:
    """What DigitalOcean does not say of a tenant's own objects: nobody can plan without it."""
    parts = [("droplet", existing.droplet, ("region", "size")), ("database", existing.cluster, ("region", "version"))]
    for kind, found, facts in parts:
        if found is not None and (missing := [fact for fact in facts if not getattr(found, fact)]):
            what = listing(missing, "and")
            yield f"DigitalOcean does not say the {what} of its {kind} {found.id}. Wait a minute, and run it again"


def _droplet(tenant: Tenant, kept: Droplet | None, accounts: Inventory, settings: Settings) -> Iterator[str]:
    # Also for a droplet that stays: whatever may become of it, it can be made anew.
    found = snapshot(tenant, accounts, settings.snapshot)
    if found is None:
        wanted = show(tenant.snapshot) if tenant.snapshot else f"that matches {settings.snapshot}"
        yield f"there is no snapshot {wanted} in {tenant.region}; make one, or copy one there"
    if kept is not None and (kept.size, kept.region) == (tenant.droplet_size, tenant.region):
        return
    sizes = [slug for slug, size in accounts.droplet_sizes.items() if tenant.region in size.regions]
    if not sizes:
        regions = sorted(set().union(*(size.regions for size in accounts.droplet_sizes.values())))
        yield f"droplets cannot be had in region {tenant.region}; they can in {listing(regions)}"
    elif tenant.droplet_size not in sizes:
        near = _near(tenant.droplet_size, sizes)
        yield f"droplet_size {tenant.droplet_size} cannot be had in {tenant.region}.{near}"
    elif kept is None and found is not None:
        disk = accounts.droplet_sizes[tenant.droplet_size].disk
        if disk < found.min_disk:
            yield (
                f"droplet_size {tenant.droplet_size} has a disk of {disk} GB, and the snapshot {show(found.name)} needs"
                f" {found.min_disk} GB"
            )


def _only_anew(tenant: Tenant, droplet: Droplet, accounts: Inventory) -> Iterator[str]:
    """What a droplet that stays cannot become. A new one can, without what is on the old one's disk."""
    anew = f"write rebuild: {tenant.rebuild + 1} as well for a new droplet, which has nothing of what is on the old one"
    if droplet.region != tenant.region:
        yield (
            f"region is {tenant.region}, and its droplet is in {droplet.region} and cannot move; {anew}"
            " (the database moves with its data)"
        )
    size = accounts.droplet_sizes.get(tenant.droplet_size)
    if size is not None and size.disk < droplet.disk and tenant.droplet_size != droplet.size:
        yield (
            f"droplet_size {tenant.droplet_size} has a disk of {size.disk} GB, and its droplet's has {droplet.disk} GB"
            f" and cannot shrink; {anew}"
        )


def _database(tenant: Tenant, existing: Existing, accounts: Inventory) -> Iterator[str]:
    offer, cluster, version = accounts.database, existing.cluster, tenant.database_version
    if (cluster is None or upgrades(tenant, existing)) and version not in offer.versions:
        remedy = "Set database_version, for the tenant or the stack"
        yield f"PostgreSQL {version} cannot be had; DigitalOcean has {listing(offer.versions)}. {remedy}"
    if cluster and tenant.states_database_version and int(version) < int(cluster.version):
        yield (
            f"database_version is {version}, and its database has PostgreSQL {cluster.version} and cannot go back."
            f' Write database_version: "{cluster.version}"'
        )
    if (cluster is None or cluster.region != tenant.region) and tenant.region not in offer.regions:
        yield f"databases cannot be had in region {tenant.region}; they can in {listing(sorted(offer.regions))}"
    if (cluster is None or cluster.size != tenant.database_size) and tenant.database_size not in offer.sizes:
        yield f"database_size {tenant.database_size} cannot be had.{_near(tenant.database_size, offer.sizes)}"


def _near(size: str, sizes: Sequence[str] | frozenset[str]) -> str:
    return did_you_mean(size, sizes) or f" There are: {listing(sorted(sizes), 'and')}"


def _unlike(tenant: Tenant, existing: Existing) -> Iterator[str]:
    """What is taken over has to be described as it is: it is not changed, let alone replaced, on the way."""
    if existing.import_droplet and existing.droplet:
        yield from _differences(tenant, "droplet", existing.droplet.id, "region", existing.droplet.region)
        yield from _differences(tenant, "droplet", existing.droplet.id, "droplet_size", existing.droplet.size)
    if existing.import_cluster and existing.cluster:
        yield from _differences(tenant, "database", existing.cluster.id, "region", existing.cluster.region)
        yield from _differences(tenant, "database", existing.cluster.id, "database_size", existing.cluster.size)


def _differences(tenant: Tenant, kind: str, id_: object, option: str, found: str) -> Iterator[str]:
    stated = getattr(tenant, option)
    if stated != found:
        yield (
            f"{option} is {stated}, and the {kind} {id_}, which is to be taken over, has {found}."
            f" Write {option}: {found}; it can be changed in a later run"
        )
