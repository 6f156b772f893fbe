"""Which objects of the inventory are which tenant's: by the ids in the state, else by their names. Pure.

An object that has a tenant's name is that tenant's, so the program never creates a second one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from meltanodata.config.object_names import names_of, tenant_of_cluster
from meltanodata.engine.resource_types import OBJECTS, ROLES, Type
from meltanodata.inventory import duplicates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from meltanodata.config.fleet import Fleet
    from meltanodata.config.options import Options
    from meltanodata.config.settings import Settings
    from meltanodata.config.tenants import Tenant
    from meltanodata.engine.stack_state import Ids
    from meltanodata.inventory.accounts import Cluster, Droplet, Inventory, Record

_T = TypeVar("_T")
_Object = TypeVar("_Object", "Droplet", "Record", "Cluster")


@dataclass(frozen=True)
class Existing:
    """A tenant's objects, and the ids for Pulumi's `import` of those that the stack's state does not have yet.

    A name finds an object once; an object of the state is found by its id, whatever its name is and whatever the entry
    says now. So no change of names gives up a database for a new one.

    Only what is not in the state has an id for the import: a record's differs from its id in the state, so the engine
    would import it again, and then delete it as the old one.
    """

    droplet: Droplet | None = None
    record: Record | None = None
    cluster: Cluster | None = None
    import_droplet: str | None = None
    import_record: str | None = None
    import_cluster: str | None = None

    @property
    def imports(self) -> dict[Type, str]:
        """The objects' own ids, by type, of what is to be imported."""
        objects = [
            (Type.DROPLET, self.import_droplet, self.droplet),
            (Type.RECORD, self.import_record, self.record),
            (Type.CLUSTER, self.import_cluster, self.cluster),
        ]
        return {type_: str(existing.id) for type_, import_id, existing in objects if import_id and existing}


def placements(fleet: Fleet, settings: Settings, inventory: Inventory, ids: Ids) -> dict[str, str]:
    """Which team has whose cluster: for `rules.problems`.

    The inventory tells it of the stack's own teams, by the id that the state knows or else by the name; the entry tells
    it of a tenant in another stack's team.
    """
    own = {team.name for team in settings.database_teams}
    by_name, by_id = clusters_by_tenant(inventory.clusters), {cluster.id: cluster for cluster in inventory.clusters}
    placements = {}
    for row in fleet.rows:
        known = by_id.get(ids.get((row.key, Type.CLUSTER), ""))
        clusters = [known] if known else by_name(row.key, row.options)
        team = row.options.database_team
        if clusters:
            placements[row.key] = clusters[0].team
        elif team is not None and team not in own:
            placements[row.key] = team
    return placements


def identify(
    tenants: Iterable[Tenant], inventory: Inventory, domain: str, ids: Ids
) -> tuple[dict[str, Existing], list[str]]:
    """The objects of each tenant.

    Args:
        tenants: the stack's.
        inventory: what its teams have.
        domain: the tenants'.
        ids: those that the stack's state knows.

    Returns:
        The objects by the tenant's key, and every reason to stop.
    """
    by_name = _finder(inventory.droplets, inventory.records, inventory.clusters, domain)
    by_id = _by_id(inventory.droplets), _by_id(inventory.records), _by_id(inventory.clusters)
    owners = {(type_, id_): tenant for (tenant, type_), id_ in ids.items()}
    existing, problems = {}, []
    for tenant in tenants:
        namesakes, known = by_name(tenant), _known(tenant, ids)
        existing[tenant.key] = _existing(namesakes, known, domain, by_id)
        reasons = [
            *_duplicates(namesakes, known, domain),
            *_other_than_known(namesakes, known, owners),
            *_other_database(tenant, existing[tenant.key]),
        ]
        problems += [f"{tenant.key}: {reason}" for reason in reasons]
    return existing, problems


def being_made(tenants: Iterable[Tenant], existing: Mapping[str, Existing]) -> Iterator[str]:
    """The objects to import that are still being created, and those to change that accept no change yet, in words."""
    for tenant in tenants:
        its = existing[tenant.key]
        if its.import_droplet and its.droplet and its.droplet.status == "new":
            yield f"the droplet of {tenant.key}"
        if its.cluster is None:
            continue
        if its.import_cluster:
            busy = its.cluster.status == "creating"
        else:
            # A killed run has probably begun this very change.
            wanted = (tenant.database_size, tenant.region)
            busy = its.cluster.status != "online" and (its.cluster.size, its.cluster.region) != wanted
        if busy:
            yield f"the database of {tenant.key}"


@dataclass(frozen=True)
class _Namesakes:
    """Everything that has a tenant's names."""

    droplets: Sequence[Droplet]
    records: Sequence[Record]
    clusters: Sequence[Cluster]


def _grouped(objects: Iterable[_T], by: Callable[[_T], str | None]) -> dict[str | None, list[_T]]:
    groups: dict[str | None, list[_T]] = {}
    for it in objects:
        groups.setdefault(by(it), []).append(it)
    return groups


def clusters_by_tenant(clusters: Iterable[Cluster]) -> Callable[[str, Options], list[Cluster]]:
    """Looks up the clusters of a tenant: by the name to adopt, else by the tenant's in theirs."""
    listed = list(clusters)
    by_name = _grouped(listed, lambda cluster: cluster.name)
    by_tenant = _grouped(listed, lambda cluster: tenant_of_cluster(cluster.name))

    def find(key: str, options: Options) -> list[Cluster]:
        adopted = options.adopt and options.adopt.database
        return by_name.get(adopted, []) if adopted else by_tenant.get(key, [])

    return find


def _finder(
    droplets: Iterable[Droplet], records: Iterable[Record], clusters: Iterable[Cluster], domain: str
) -> Callable[[Tenant], _Namesakes]:
    """Looks up everything that has a tenant's names."""
    droplets_by_name = _grouped(droplets, lambda droplet: droplet.name)
    records_by_name = _grouped(records, lambda record: record.name)
    find_clusters = clusters_by_tenant(clusters)

    def find(tenant: Tenant) -> _Namesakes:
        names = names_of(tenant, domain)
        return _Namesakes(
            droplets_by_name.get(names.droplet, []),
            records_by_name.get(names.record, []),
            find_clusters(tenant.key, tenant),
        )

    return find


def _known(tenant: Tenant, ids: Ids) -> dict[Type, str | None]:
    """The ids of a tenant's objects that the state knows."""
    return {type_: ids.get((tenant.key, type_)) for type_ in OBJECTS}


def _duplicates(namesakes: _Namesakes, known: Mapping[Type, str | None], domain: str) -> Iterator[str]:
    if len(namesakes.droplets) > 1:
        yield duplicates.droplets(namesakes.droplets, known[Type.DROPLET])
    if len(namesakes.records) > 1:
        yield duplicates.records(namesakes.records, known[Type.RECORD], domain)
    if len(namesakes.clusters) > 1:
        yield duplicates.clusters(namesakes.clusters, known[Type.CLUSTER])


def twice(
    tenants: Iterable[Tenant],
    droplets: Iterable[Droplet],
    records: Iterable[Record],
    clusters: Iterable[Cluster],
    *,
    domain: str,
    ids: Ids,
) -> list[str]:
    """Where several objects have a tenant's name, which of them is the stack's; see `identify`."""
    by_name = _finder(droplets, records, clusters, domain)
    return [
        f"{tenant.key}: {reason}"
        for tenant in tenants
        for reason in _duplicates(by_name(tenant), _known(tenant, ids), domain)
    ]


def _other_than_known(
    namesakes: _Namesakes, known: Mapping[Type, str | None], owners: Mapping[tuple[Type, str], str]
) -> Iterator[str]:
    objects: dict[Type, Sequence[Droplet | Record | Cluster]] = {
        Type.DROPLET: namesakes.droplets,
        Type.RECORD: namesakes.records,
        Type.CLUSTER: namesakes.clusters,
    }
    for type_, named in objects.items():
        role, own, ids = ROLES[type_], known[type_], [str(it.id) for it in named]
        if not own or not ids or own in ids:
            continue
        if owner := owners.get((type_, ids[0])):
            yield (
                f"the {role} {ids[0]}, which its entry names, is that of {owner} in the stack's state, and its"
                f" own is {own}. Put the names in its entry back as they were; to give tenants other names:"
                " meltanodata rename"
            )
        else:
            yield (
                f"the {role} in the account is {ids[0]}, and the one in the stack's state is {own}."
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


def _by_id(objects: Iterable[_Object]) -> dict[str | None, _Object]:
    return {str(it.id): it for it in objects}


def _existing(
    namesakes: _Namesakes,
    known: Mapping[Type, str | None],
    domain: str,
    by_id: tuple[Mapping[str | None, Droplet], Mapping[str | None, Record], Mapping[str | None, Cluster]],
) -> Existing:
    """What is a tenant's: the object whose id the state knows, else the first of its name."""
    droplets, records, clusters = by_id
    droplet = droplets.get(known[Type.DROPLET]) or next(iter(namesakes.droplets), None)
    record = records.get(known[Type.RECORD]) or next(iter(namesakes.records), None)
    cluster = clusters.get(known[Type.CLUSTER]) or next(iter(namesakes.clusters), None)
    return Existing(
        droplet,
        record,
        cluster,
        str(droplet.id) if droplet and not known[Type.DROPLET] else None,
        f"{domain},{record.id}" if record and not known[Type.RECORD] else None,
        cluster.id if cluster and not known[Type.CLUSTER] else None,
    )
