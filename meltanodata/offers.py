"""What the accounts must offer before a tenant can be declared. Pure; every tenant that lacks something is named."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from meltanodata.wording import listing, show

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from meltanodata.accounts import Accounts
    from meltanodata.fleet import Tenant
    from meltanodata.names import Existing
    from meltanodata.settings import Settings


def image(tenant: Tenant, existing: Existing, accounts: Accounts, pattern: str) -> str | None:
    """The snapshot for a tenant's droplet: the guide's step 1, Choose an image.

    Args:
        tenant: whose `snapshot` counts for more than the pattern.
        existing: a droplet that exists needs none; where there is none, what it was made from stands for it.
        accounts: what there is.
        pattern: the stack's.

    Returns:
        The id of the newest in the tenant's region; None where there is none.
    """
    here = [it for it in accounts.snapshots if tenant.region in it.regions]
    found = [it for it in here if it.name == tenant.snapshot or (not tenant.snapshot and re.search(pattern, it.name))]
    if found:
        return max(found, key=lambda it: (it.created_at, it.id)).id
    if existing.droplet and existing.droplet.image:
        return str(existing.droplet.image)
    return None


def problems(
    tenants: Sequence[Tenant], existing: Mapping[str, Existing], accounts: Accounts, settings: Settings
) -> Iterator[str]:
    """What is missing, and for whom."""
    if settings.project not in accounts.projects:
        there = listing(map(show, sorted(accounts.projects))) if accounts.projects else "none"
        yield f"{settings.droplet_team.name}: there is no project {show(settings.project)}; there is {there}"
    if not accounts.ssh_keys:
        yield f"{settings.droplet_team.name}: the team has no SSH key, and nobody could enter a new droplet; add one"
    for tenant in tenants:
        mine = existing[tenant.key]
        if image(tenant, mine, accounts, settings.snapshot) is None:
            wanted = show(tenant.snapshot) if tenant.snapshot else f"that matches {settings.snapshot}"
            yield f"{tenant.key}: there is no snapshot {wanted} in {tenant.region}; make one, or copy one there"
        if not mine.cluster and tenant.database_version not in accounts.database_versions:
            yield (
                f"{tenant.key}: PostgreSQL {tenant.database_version} cannot be had; DigitalOcean has"
                f" {listing(accounts.database_versions)}. Set database_version, for the tenant or the stack"
            )
        yield from _unlike(tenant, mine)


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
            f"{tenant.key}: {option} is {stated}, and the {kind} {id_}, which is to be taken over, has {found}."
            f" Write {option}: {found}; it can be changed in a later run"
        )
