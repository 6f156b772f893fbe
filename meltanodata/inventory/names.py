"""Names are identities: what an account holds under a tenant's name is that tenant's, and is never made twice.

Pure. What a tenant's objects are called, as the guide's steps 1 to 3 have it, is decided here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from meltanodata.config.object_names import names_of, tenant_of_cluster
from meltanodata.engine.resource_types import CLUSTER, DROPLET, RECORD
from meltanodata.inventory import duplicates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from meltanodata.config.fleet import Fleet
    from meltanodata.config.options import Options
    from meltanodata.config.settings import Settings
    from meltanodata.config.tenants import Tenant
    from meltanodata.inventory.accounts import Accounts, Cluster, Droplet, Record

_T = TypeVar("_T")


@dataclass(frozen=True)
class Existing:
    """What is a tenant's already, and the ids of that of it which the stack does not know yet.

    A name finds an object once; what the state knows is found by its id, whatever it is called and whatever the entry
    says now. So no change of names gives up a database for a new one.

    The ids are for Pulumi's `import`. They stand only for what is not in the stack's state: a record's id for the
    import is not the one in the state, and the engine would import it anew, and then destroy it as the old one.
    """

    droplet: Droplet | None = None
    record: Record | None = None
    cluster: Cluster | None = None
    import_droplet: str | None = None
    import_record: str | None = None
    import_cluster: str | None = None


def homes(fleet: Fleet, settings: Settings, accounts: Accounts, state: Mapping[tuple[str, str], str]) -> dict[str, str]:
    """Which team holds whose database: for `rules.problems`.

    The accounts tell it of the stack's own teams, by the id that the state knows or else by the name; of a tenant in
    another stack's team the file is believed.
    """
    own = {team.name for team in settings.database_teams}
    found, by_id = clusters_of(accounts), {cluster.id: cluster for cluster in accounts.clusters}
    homes = {}
    for row in fleet.rows:
        known = by_id.get(_known(CLUSTER, row.key, state) or "")
        clusters = [known] if known else found(row.key, row.options)
        team = row.options.database_team
        if clusters:
            homes[row.key] = clusters[0].team
        elif team is not None and team not in own:
            homes[row.key] = team
    return homes


def identify(
    tenants: Iterable[Tenant], accounts: Accounts, domain: str, state: Mapping[tuple[str, str], str]
) -> tuple[dict[str, Existing], list[str]]:
    """Find what exists of each tenant.

    Args:
        tenants: the stack's.
        accounts: what its teams hold.
        domain: the tenants'.
        state: the ids that the stack's state knows, by type and name of the resource; see `deployment.ids`.

    Returns:
        What exists by the tenant's key, and every reason not to go on.
    """
    droplets = _grouped(accounts.droplets, lambda droplet: droplet.name)
    records = _grouped(accounts.records, lambda record: record.name)
    clusters = clusters_of(accounts)
    by_id = _by_id(accounts)
    holders = {(type_, id_): name for (type_, name), id_ in state.items()}
    existing, problems = {}, []
    for tenant in tenants:
        names = names_of(tenant, domain)
        mine = _Mine(droplets.get(names.droplet, []), records.get(names.record, []), clusters(tenant.key, tenant))
        found = _existing(mine, tenant.key, domain, state, by_id)
        reasons = [
            *_twice(mine, tenant.key, domain, state),
            *_other_than_known(mine, tenant.key, state, holders),
            *_other_database(tenant, found),
        ]
        problems += [f"{tenant.key}: {reason}" for reason in reasons]
        existing[tenant.key] = found
    return existing, problems


def being_made(tenants: Iterable[Tenant], existing: Mapping[str, Existing]) -> Iterator[str]:
    """What is to be imported and has not been made yet, or to be changed and takes no change yet, in words."""
    for tenant in tenants:
        mine = existing[tenant.key]
        if mine.import_droplet and mine.droplet and mine.droplet.status == "new":
            yield f"the droplet of {tenant.key}"
        if mine.cluster is None:
            continue
        if mine.import_cluster:
            busy = mine.cluster.status == "creating"
        else:
            # Most likely it is this very change, begun by a run that was killed.
            wanted = (tenant.database_size, tenant.region)
            busy = mine.cluster.status != "online" and (mine.cluster.size, mine.cluster.region) != wanted
        if busy:
            yield f"the database of {tenant.key}"


@dataclass(frozen=True)
class _Mine:
    """Everything that bears a tenant's names."""

    droplets: Sequence[Droplet]
    records: Sequence[Record]
    clusters: Sequence[Cluster]


def _grouped(objects: Iterable[_T], by: Callable[[_T], str | None]) -> dict[str | None, list[_T]]:
    groups: dict[str | None, list[_T]] = {}
    for it in objects:
        groups.setdefault(by(it), []).append(it)
    return groups


def clusters_of(accounts: Accounts) -> Callable[[str, Options], list[Cluster]]:
    """Looks up the clusters of a tenant: by the name to adopt, else by the tenant's in theirs."""
    return clusters_among(accounts.clusters)


def clusters_among(clusters: Iterable[Cluster]) -> Callable[[str, Options], list[Cluster]]:
    """See `clusters_of`."""
    there = list(clusters)
    named = _grouped(there, lambda cluster: cluster.name)
    for_tenant = _grouped(there, lambda cluster: tenant_of_cluster(cluster.name))

    def find(key: str, options: Options) -> list[Cluster]:
        adopted = options.adopt and options.adopt.database
        return named.get(adopted, []) if adopted else for_tenant.get(key, [])

    return find


def _twice(mine: _Mine, key: str, domain: str, state: Mapping[tuple[str, str], str]) -> Iterator[str]:
    if len(mine.droplets) > 1:
        yield duplicates.droplets(mine.droplets, _known(DROPLET, key, state))
    if len(mine.records) > 1:
        yield duplicates.records(mine.records, _known(RECORD, key, state), domain)
    if len(mine.clusters) > 1:
        yield duplicates.clusters(mine.clusters, _known(CLUSTER, key, state))


def twice(
    tenants: Iterable[Tenant],
    droplets: Iterable[Droplet],
    records: Iterable[Record],
    clusters: Iterable[Cluster],
    *,
    domain: str,
    state: Mapping[tuple[str, str], str],
) -> list[str]:
    """Where more than one object bears a tenant's name, which of them is the stack's; see `identify`."""
    droplets_of = _grouped(droplets, lambda droplet: droplet.name)
    records_of = _grouped(records, lambda record: record.name)
    find = clusters_among(clusters)
    found = []
    for tenant in tenants:
        names = names_of(tenant, domain)
        mine = _Mine(droplets_of.get(names.droplet, []), records_of.get(names.record, []), find(tenant.key, tenant))
        found += [f"{tenant.key}: {reason}" for reason in _twice(mine, tenant.key, domain, state)]
    return found


def _other_than_known(
    mine: _Mine, key: str, state: Mapping[tuple[str, str], str], holders: Mapping[tuple[str, str], str]
) -> Iterator[str]:
    for (type_, kind), objects in ((DROPLET, mine.droplets), (RECORD, mine.records), (CLUSTER, mine.clusters)):
        known = _known((type_, kind), key, state)
        if not known or not objects or known in {str(it.id) for it in objects}:
            continue
        if holder := holders.get((type_, str(objects[0].id))):
            other = holder.removesuffix(f"-{kind}")
            yield (
                f"the {kind} {objects[0].id}, which its entry names, is that of {other} in the stack's state, and its"
                f" own is {known}. Put the names in its entry back as they were; to give tenants other names:"
                " meltanodata rename"
            )
        else:
            yield (
                f"the {kind} in the account is {objects[0].id}, and the one in the stack's state is {known}."
                " If a run was killed, finish it by: meltanodata up. If somebody made a new one by hand: pulumi refresh"
            )


def _other_database(tenant: Tenant, existing: Existing) -> Iterator[str]:
    """An entry that names another database than the tenant has, which is not given up for it."""
    named = tenant.adopt and tenant.adopt.database
    if named and existing.cluster and existing.cluster.name != named:
        yield (
            f"adopt: database is {named}, and its database is {existing.cluster.name} ({existing.cluster.id}). Write"
            " that name, or leave it out"
        )


def _known(kind: tuple[str, str], key: str, state: Mapping[tuple[str, str], str]) -> str | None:
    return state.get((kind[0], f"{key}-{kind[1]}"))


@dataclass(frozen=True)
class _ById:
    """All that the accounts hold."""

    droplets: Mapping[str, Droplet]
    records: Mapping[str, Record]
    clusters: Mapping[str, Cluster]


def _by_id(accounts: Accounts) -> _ById:
    return _ById(
        {str(it.id): it for it in accounts.droplets},
        {str(it.id): it for it in accounts.records},
        {it.id: it for it in accounts.clusters},
    )


def _existing(mine: _Mine, key: str, domain: str, state: Mapping[tuple[str, str], str], by_id: _ById) -> Existing:
    droplet, record, cluster = (_known(kind, key, state) for kind in (DROPLET, RECORD, CLUSTER))
    its_droplet = by_id.droplets.get(droplet or "") or next(iter(mine.droplets), None)
    its_record = by_id.records.get(record or "") or next(iter(mine.records), None)
    its_cluster = by_id.clusters.get(cluster or "") or next(iter(mine.clusters), None)
    return Existing(
        its_droplet,
        its_record,
        its_cluster,
        str(its_droplet.id) if its_droplet and not droplet else None,
        f"{domain},{its_record.id}" if its_record and not record else None,
        its_cluster.id if its_cluster and not cluster else None,
    )
