"""Instances that were made by hand, as entries of the fleet file. Pure.

A droplet, the A record that points to it and the cluster that is its own make an instance. They go by the names that
the guide gives them; a cluster that has another name goes by its trusted source, the droplet (the guide's step 3).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from meltanodata.config.object_names import droplet_of, names_of_no_tenant, record_of, tenant_of_cluster
from meltanodata.config.options import Options, name_problem
from meltanodata.inventory import host_records
from meltanodata.inventory.names import clusters_by_tenant
from meltanodata.text import listing

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from meltanodata.config.fleet import Fleet
    from meltanodata.config.settings import Settings
    from meltanodata.inventory.accounts import Cluster, Droplet, Inventory, Record, Source


_IN_A_STATE = "a stack's state has it, and no entry names it any more: the next `up` destroys it"


@dataclass(frozen=True)
class NewEntry:
    """The entry for an instance that has none yet."""

    key: str
    options: Mapping[str, Any]
    """The team, and whatever differs from the defaults."""
    also_trusted: tuple[str, ...]
    """The trusted sources of its cluster beside the droplet; the next up removes them."""


@dataclass(frozen=True, order=True)
class Unmatched:
    """An object that has no entry, and gets none."""

    what: str
    why: str


def free(fleet: Fleet, stacks: Sequence[Settings], inventory: Inventory) -> Inventory:
    """The inventory without the objects that an entry of the file or `no_tenants` names."""
    domain = stacks[0].domain
    taken = names_of_no_tenant(stacks)
    clusters = clusters_by_tenant(inventory.clusters)
    droplets = taken | {droplet_of(row.key, row.options, domain) for row in fleet.rows}
    records = taken | {record_of(row.key, row.options) for row in fleet.rows}
    ids = {cluster.id for row in fleet.rows for cluster in clusters(row.key, row.options)}
    return replace(
        inventory,
        droplets=tuple(it for it in inventory.droplets if it.name not in droplets),
        records=tuple(it for it in inventory.records if it.name not in records),
        clusters=tuple(it for it in inventory.clusters if it.id not in ids and it.name not in taken),
    )


class _Pair(NamedTuple):
    """A droplet and its record."""

    droplet: Droplet
    record: Record


@dataclass(frozen=True)
class Match:
    """Droplets with their records and clusters."""

    free: Inventory
    """See `free`."""
    stacks: Sequence[Settings]
    """All stacks of the fleet."""
    trusted: Mapping[str, Collection[Source]]
    """The trusted sources of each of the clusters, by its id."""
    in_states: Collection[str]
    """The ids of what a stack's state has already: its entry was removed, and the next up deletes it."""
    keep_login: bool = field(kw_only=True)
    """Whether the admins keep their passwords."""
    _unmatched: dict[str, Unmatched] = field(default_factory=dict, init=False)
    """By id."""

    @property
    def _domain(self) -> str:
        return self.stacks[0].domain

    def all(self) -> tuple[list[NewEntry], list[Unmatched]]:
        """The entries by name, and everything else with the reason."""
        pairs = [pair for droplet in self.free.droplets if (pair := self._pair(droplet))]
        clusters = dict(self._clusters(pairs))
        owners = defaultdict(list)
        for pair, cluster in clusters.items():
            owners[cluster.id].append(pair)
        entries = []
        for pair, cluster in clusters.items():
            others = [other.record.name for other in owners[cluster.id] if other is not pair]
            if others:
                self._leave(pair.droplet, f"its database {cluster.name} also fits {listing(others, 'and')}")
            elif pair.droplet.region != cluster.region:
                apart = f"it is in {pair.droplet.region} and its database {cluster.name} in {cluster.region}"
                self._leave(pair.droplet, f"{apart}; an entry has one region")
            else:
                entries.append(self._entry(pair, cluster))
        self._rest(entries)
        return sorted(entries, key=lambda it: it.key), sorted(self._unmatched.values())

    def _pair(self, droplet: Droplet) -> _Pair | None:
        """The droplet with its record; None where it is unmatched."""
        pointing = [record for record in self.free.records if record.address == droplet.address]
        named = [record for record in pointing if f"{record.name}.{self._domain}" == droplet.name]
        # The domain itself and a wildcard are no tenant's, wherever they point to.
        records = named or [record for record in pointing if not name_problem(record.name)] or pointing
        if why := next(self._unclear(droplet, records), None):
            self._leave(droplet, why)
            return None
        return _Pair(droplet, records[0])

    def _unclear(self, droplet: Droplet, records: Sequence[Record]) -> Iterator[str]:
        """Why a droplet with these records makes no instance; the first reason counts."""
        if str(droplet.id) in self.in_states:
            yield _IN_A_STATE
        if sum(other.name == droplet.name for other in self.free.droplets) > 1:
            yield "another droplet has the same name. Rename the one that is not in use"
        if droplet.address is None:
            yield "it has no address yet. Wait, and run this again"
        if not records:
            yield f"no A record without an entry points to its address {droplet.address}"
        if len(records) > 1:
            names = listing((f"{it.name} ({it.id})" for it in records), "and")
            yield f"more than one A record points to it: {names}. Write its entry by hand, with adopt: {{record: …}}"
        (record,) = records
        if sum(other.name == record.name for other in self.free.records) > 1:
            yield f"there are two A records {record.name}. Delete the one that is wrong"
        if problem := name_problem(record.name):
            yield f"its record is called {record.name}, and {problem}"
        if others := host_records.obstacles(record.name, [droplet], self.free.other_records):
            yield f"its name has {listing(map(host_records.described, others), 'and')} too, which leads elsewhere"

    def _clusters(self, pairs: Sequence[_Pair]) -> Iterator[tuple[_Pair, Cluster]]:
        """The cluster of each pair that has one: by its name, or else by its trusted source."""
        others = [it for it in self.free.clusters if it.id not in self.in_states]
        named: dict[str, list[Cluster]] = defaultdict(list)
        for cluster in others:
            named[tenant_of_cluster(cluster.name) or ""].append(cluster)
        keys = {pair.record.name for pair in pairs}
        nameless = [it for it in others if tenant_of_cluster(it.name) not in keys]
        for pair in pairs:
            namesakes = named[pair.record.name]
            trusting = [it for it in namesakes or nameless if self._trusts(it, pair.droplet)]
            candidates = namesakes if len(namesakes) == 1 else trusting
            if len(candidates) == 1:
                yield pair, candidates[0]
            elif candidates or namesakes:
                names = listing((f"{it.name} ({it.team})" for it in candidates or namesakes), "and")
                self._leave(pair.droplet, f"it is not clear which database is its own: {names}")
            else:
                why = f"no database has its name, and none trusts its address {pair.droplet.address}"
                self._leave(pair.droplet, why)

    def _entry(self, pair: _Pair, cluster: Cluster) -> NewEntry:
        droplet, key = pair.droplet, pair.record.name
        stack = next(it for it in self.stacks if cluster.team in it.team_names)
        adopt: dict[str, str] = {}
        if droplet.name != f"{key}.{self._domain}":
            adopt["droplet"] = droplet.name
        same = [it for it in self.free.clusters if tenant_of_cluster(it.name) == key]
        if same != [cluster] or key in map(tenant_of_cluster, names_of_no_tenant(self.stacks)):
            adopt["database"] = cluster.name
        if not self.keep_login:
            adopt["login"] = "new"
        stated: dict[str, Any] = {"database_team": cluster.team}
        actual = {
            "region": (droplet.region, stack.region),
            "droplet_size": (droplet.size, Options().droplet_size),
            "database_size": (cluster.size, Options().database_size),
        }
        stated |= {option: value for option, (value, default) in actual.items() if value != default}
        options = {**stated, "adopt": adopt} if adopt else stated
        also = [it for it in self.trusted[cluster.id] if not it.is_droplet(str(droplet.id), droplet.address)]
        return NewEntry(key, options, tuple(sorted(map(str, also))))

    def _trusts(self, cluster: Cluster, droplet: Droplet) -> bool:
        return any(source.is_droplet(str(droplet.id), droplet.address) for source in self.trusted[cluster.id])

    def _rest(self, entries: Sequence[NewEntry]) -> None:
        """Records and clusters that belong to no instance."""
        keys = {instance.key for instance in entries}
        own = {(it.options.get("adopt") or {}).get("database") or it.key for it in entries}
        places = {droplet.address: droplet for droplet in self.free.droplets}
        for record in self.free.records:
            droplet = places.get(record.address)
            if record.name in keys or (droplet and str(droplet.id) in self._unmatched):
                continue
            if droplet:
                why = f"it points to the droplet {droplet.name}, which has another record"
            else:
                why = f"it points to {record.address}, which no droplet without an entry has"
            self._unmatched[f"record {record.id}"] = Unmatched(f"record {record.name} ({record.id})", why)
        for cluster in self.free.clusters:
            if own & {cluster.name, tenant_of_cluster(cluster.name)}:
                continue
            unused = "its name fits no droplet, and it trusts no droplet that lacks a database"
            why = _IN_A_STATE if cluster.id in self.in_states else unused
            self._unmatched[cluster.id] = Unmatched(f"database {cluster.name} ({cluster.id}, {cluster.team})", why)

    def _leave(self, droplet: Droplet, why: str) -> None:
        self._unmatched[str(droplet.id)] = Unmatched(f"droplet {droplet.name} ({droplet.id})", why)
