"""Which objects of the inventory are which tenant's: by the ids in the state, else by their names. Pure.

An object that has a tenant's name is that tenant's, so the program never creates a second one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from meltanodata.config.object_names import names_of, tenant_of_cluster
from meltanodata.engine.resource_types import OBJECTS, ROLES, Type
from meltanodata.inventory import duplicates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from meltanodata.config.fleet import Fleet
    from meltanodata.config.options import Options
    from meltanodata.config.settings import Settings
    from meltanodata.config.tenants import Tenant
    from meltanodata.engine.stack_state import Ids
    from meltanodata.inventory.accounts import Cluster, Droplet, Inventory, Objects, Record

_T = TypeVar("_T")

Known: TypeAlias = "Mapping[Type, str | None]"
"""The ids of a tenant's objects that the state knows; None for one that it does not have."""


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
        imports = self.import_droplet, self.import_record, self.import_cluster
        objects = zip(OBJECTS, imports, (self.droplet, self.record, self.cluster), strict=True)
        return {type_: str(existing.id) for type_, import_id, existing in objects if import_id and existing}


def placements(fleet: Fleet, settings: Settings, inventory: Inventory, ids: Ids) -> dict[str, str]:
    """Which team has whose cluster: for `rules.problems`.

    The inventory tells it of the stack's own teams, by the id that the state knows or else by the name; the entry tells
    it of a tenant in another stack's team.
    """
    by_name, by_id = clusters_by_tenant(inventory.clusters), {cluster.id: cluster for cluster in inventory.clusters}
    placements = {}
    for row in fleet.rows:
        known = by_id.get(ids.get((row.key, Type.CLUSTER), ""))
        clusters = [known] if known else by_name(row.key, row.options)
        team = row.options.database_team
        if clusters:
            placements[row.key] = clusters[0].team
        elif team is not None and team not in settings.team_names:
            placements[row.key] = team
    return placements


def identify(
    tenants: Iterable[Tenant], inventory: Inventory, domain: str, ids: Ids
) -> tuple[dict[str, Existing], list[str]]:
    """The objects of each tenant by its key, and every reason to stop. The ids are those of the stack's state."""
    find = finder(inventory.objects, domain)
    by_id = {type_: {str(it.id): it for it in listed} for type_, listed in inventory.objects.items()}
    owners = {(type_, id_): tenant for (tenant, type_), id_ in ids.items()}
    existing, problems = {}, []
    for tenant in tenants:
        known = _known(tenant, ids)
        namesakes = _without_foreign_records(find(tenant), known, by_id, owners)
        existing[tenant.key] = _existing(namesakes, known, by_id, domain)
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


def finder(objects: Objects, domain: str) -> Callable[[Tenant], Objects]:
    """Looks up everything that has a tenant's names."""
    droplets, records = (_grouped(objects[type_], lambda it: it.name) for type_ in (Type.DROPLET, Type.RECORD))
    find_clusters = clusters_by_tenant(objects[Type.CLUSTER])

    def find(tenant: Tenant) -> Objects:
        names = names_of(tenant, domain)
        return {
            Type.DROPLET: droplets.get(names.droplet, []),
            Type.RECORD: records.get(names.record, []),
            Type.CLUSTER: find_clusters(tenant.key, tenant),
        }

    return find


def _known(tenant: Tenant, ids: Ids) -> Known:
    """The ids of a tenant's objects that the state knows."""
    return {type_: ids.get((tenant.key, type_)) for type_ in OBJECTS}


def _without_foreign_records(
    namesakes: Objects, known: Known, by_id: Mapping[Type, Mapping[str, Any]], owners: Mapping[tuple[Type, str], str]
) -> Objects:
    """The namesakes without the A records that merely have the tenant's name: see `host_records`.

    A record is the tenant's where its value is the address of the tenant's droplet. Where the state has the name's
    record, and where it has the record as another tenant's, `identify` has its own reasons to stop.
    """
    own = known[Type.RECORD]
    if own and (own not in by_id[Type.RECORD] or own in {str(record.id) for record in namesakes[Type.RECORD]}):
        return namesakes
    droplet = by_id[Type.DROPLET].get(known[Type.DROPLET] or "")
    addresses = {it.address for it in ([droplet] if droplet else namesakes[Type.DROPLET])}
    records = [
        record
        for record in namesakes[Type.RECORD]
        if record.address in addresses or (Type.RECORD, str(record.id)) in owners
    ]
    return {**namesakes, Type.RECORD: records}


def _duplicates(namesakes: Objects, known: Known, domain: str) -> Iterator[str]:
    for type_, objects in namesakes.items():
        if len(objects) > 1:
            yield duplicates.several(type_, objects, known[type_], domain)


def twice(tenants: Iterable[Tenant], objects: Objects, domain: str, ids: Ids) -> list[str]:
    """Where several objects have a tenant's name, which of them is the stack's; see `identify`."""
    find = finder(objects, domain)
    return [
        f"{tenant.key}: {reason}"
        for tenant in tenants
        for reason in _duplicates(find(tenant), _known(tenant, ids), domain)
    ]


def _other_than_known(namesakes: Objects, known: Known, owners: Mapping[tuple[Type, str], str]) -> Iterator[str]:
    for type_, named in namesakes.items():
        role, own, ids = ROLES[type_], known[type_], [str(it.id) for it in named]
        if not own or not ids or own in ids:
            continue
        if owner := owners.get((type_, ids[0])):
            yield (
                f"the {role} {ids[0]}, which its entry names, belongs to {owner} in the stack's state, and its"
                f" own is {own}. Restore the names in its entry. To give tenants other names:"
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


def _existing(namesakes: Objects, known: Known, by_id: Mapping[Type, Mapping[str, Any]], domain: str) -> Existing:
    """What is a tenant's: the object whose id the state knows, else the first of its name."""
    own = {type_: by_id[type_].get(known[type_] or "") or next(iter(named), None) for type_, named in namesakes.items()}
    imports = {type_: str(it.id) for type_, it in own.items() if it is not None and not known[type_]}
    if Type.RECORD in imports:
        imports[Type.RECORD] = f"{domain},{imports[Type.RECORD]}"
    return Existing(*(own[type_] for type_ in OBJECTS), *(imports.get(type_) for type_ in OBJECTS))
