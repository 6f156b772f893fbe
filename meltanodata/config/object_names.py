"""The names of a tenant's objects at DigitalOcean, as in the guide's steps 1 to 3. Pure."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from meltanodata.config.options import Options
    from meltanodata.config.settings import Settings
    from meltanodata.config.tenants import Tenant


CLUSTER_NAME_LENGTH = 63
"""The longest name of a database cluster: DigitalOcean's control panel allows 3 to 63 lower-case letters, digits and
dashes that begin with a letter, and the name is the first part of the cluster's host name."""


def cluster_name(region: str, digits: int, tenant: str) -> str:
    """A database cluster's name as the guide makes it (step 3); the digits are five."""
    return f"db-postgresql-{region}-{digits}-{tenant}"


def tenant_of_cluster(name: str) -> str | None:
    """The tenant in a cluster's name, whatever its region and digits; None for a name of another form."""
    match = re.fullmatch(r"db-postgresql-[a-z0-9]+-[0-9]+-(.+)", name)
    return match[1] if match else None


@dataclass(frozen=True)
class Names:
    """The names of a tenant's objects at DigitalOcean."""

    record: str
    """The A record's, without the domain."""
    host: str
    """The instance's host name."""
    droplet: str
    new_cluster: str
    """For a new cluster; an existing one keeps its name."""


def record_of(key: str, options: Options) -> str:
    """The name of a tenant's A record, without the domain: the first part of its host name."""
    return (options.adopt and options.adopt.record) or key


def droplet_of(key: str, options: Options, domain: str) -> str:
    """The name of a tenant's droplet: its host name, unless `adopt` has another."""
    return (options.adopt and options.adopt.droplet) or f"{record_of(key, options)}.{domain}"


def objects_of(key: str, options: Options, domain: str) -> Iterator[tuple[str, str]]:
    """What finds a tenant's objects, kind and name: for a cluster that `adopt` does not name, the tenant's name."""
    yield "droplet", droplet_of(key, options, domain)
    yield "record", record_of(key, options)
    yield "database", (options.adopt and options.adopt.database) or key


def names_of_no_tenant(stacks: Iterable[Settings]) -> frozenset[str]:
    """What the stacks' `no_tenants` lists; a record's name stands for its host name too, and the other way round."""
    names = {(name, stack.domain) for stack in stacks for name in stack.no_tenants}
    short = {(name.removesuffix(f".{domain}"), domain) for name, domain in names}
    return frozenset({name for name, _ in names | short} | {f"{name}.{domain}" for name, domain in short})


def names_of(tenant: Tenant, domain: str) -> Names:
    """A tenant's names; its `adopt` has those of an instance made by hand where they differ."""
    record = record_of(tenant.key, tenant)
    return Names(
        record=record,
        host=f"{record}.{domain}",
        droplet=droplet_of(tenant.key, tenant, domain),
        new_cluster=cluster_name(tenant.region, _digits(tenant.key), tenant.key),
    )


def _digits(key: str) -> int:
    """Five digits, always the same for a tenant; DigitalOcean's control panel proposes random ones."""
    return 10_000 + int.from_bytes(hashlib.sha256(key.encode()).digest()) % 90_000
