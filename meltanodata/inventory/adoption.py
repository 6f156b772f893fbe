"""Instances that were made by hand, as entries of the fleet file. Pure.

A droplet, the A record that points to it and the cluster that is its own make an instance. They go by the names that
the guide gives them; a cluster that has another name goes by its trusted source, the droplet (the guide's step 3).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meltanodata.config.fleet import Options, name_problem
from meltanodata.config.object_names import droplet_of, record_of, tenant_of_cluster
from meltanodata.inventory.names import clusters_of
from meltanodata.text import listing

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from meltanodata.config.fleet import Fleet
    from meltanodata.config.settings import Settings
    from meltanodata.inventory.accounts import Cluster, Droplet, Inventory, Record, Source


_KNOWN = "a stack made it, and it has no entry any more: the next up destroys it"


@dataclass(frozen=True)
class Instance:
    """An instance that has no entry yet."""

    key: str
    options: Mapping[str, Any]
    """What its entry states: the team, and whatever differs from the defaults."""
    also_trusted: tuple[str, ...]
    """Whom its database lets in beside the droplet, which nobody will be after the take-over."""


@dataclass(frozen=True, order=True)
class Left:
    """Something that has no entry, and gets none."""

    what: str
    why: str


@dataclass(frozen=True)
class Free:
    """What no entry of the file names, and no setting says to leave alone."""

    droplets: Sequence[Droplet]
    records: Sequence[Record]
    clusters: Sequence[Cluster]


def free(fleet: Fleet, stacks: Sequence[Settings], held: Inventory) -> Free:
    """What could belong to instances without an entry.

    Args:
        fleet: the whole file.
        stacks: all stacks of the fleet.
        held: what the accounts of all their teams have.
    """
    domain = stacks[0].domain
    taken = {name for stack in stacks for name in stack.no_tenants}
    clusters = clusters_of(held)
    droplets = taken | {droplet_of(row.key, row.options, domain) for row in fleet.rows}
    records = taken | {record_of(row.key, row.options) for row in fleet.rows}
    ids = {cluster.id for row in fleet.rows for cluster in clusters(row.key, row.options)}
    return Free(
        [it for it in held.droplets if it.name not in droplets],
        [it for it in held.records if it.name not in records],
        [it for it in held.clusters if it.id not in ids and it.name not in taken],
    )


def instances(
    there: Free,
    stacks: Sequence[Settings],
    trusted: Mapping[str, Collection[Source]],
    known: Collection[str],
    *,
    keep_login: bool,
) -> tuple[list[Instance], list[Left]]:
    """Match what is free.

    Args:
        there: see `free`.
        stacks: all stacks of the fleet.
        trusted: whom each of the clusters lets in, by its id.
        known: the ids of what a stack's state has already: its entry was removed, and it is about to go.
        keep_login: whether the admins keep their passwords.

    Returns:
        The instances by name, and everything else with the reason.
    """
    return _Match(there, stacks, trusted, frozenset(known), keep_login=keep_login).all()


@dataclass(frozen=True)
class _Pair:
    """A droplet and its record."""

    droplet: Droplet
    record: Record


class _Match:
    def __init__(
        self,
        there: Free,
        stacks: Sequence[Settings],
        trusted: Mapping[str, Collection[Source]],
        known: frozenset[str],
        *,
        keep_login: bool,
    ) -> None:
        self._there, self._stacks, self._trusted, self._known = there, stacks, trusted, known
        self._domain = stacks[0].domain
        self._keep_login = keep_login
        self._left: dict[str, Left] = {}
        """By id."""

    def all(self) -> tuple[list[Instance], list[Left]]:
        pairs = [pair for droplet in self._there.droplets if (pair := self._pair(droplet))]
        clusters = dict(self._clusters(pairs))
        owners = defaultdict(list)
        for pair, cluster in clusters.items():
            owners[cluster.id].append(pair)
        found = []
        for pair, cluster in clusters.items():
            others = [other.record.name for other in owners[cluster.id] if other is not pair]
            if others:
                self._leave(pair.droplet, f"its database {cluster.name} would be that of {listing(others, 'and')} too")
            elif pair.droplet.region != cluster.region:
                apart = f"it stands in {pair.droplet.region} and its database {cluster.name} in {cluster.region}"
                self._leave(pair.droplet, f"{apart}, which no entry can say")
            else:
                found.append(self._instance(pair, cluster))
        self._rest(found)
        return sorted(found, key=lambda it: it.key), sorted(self._left.values())

    def _pair(self, droplet: Droplet) -> _Pair | None:
        """The droplet with its record; None, and the reason noted, where it is not clear."""
        mine = [record for record in self._there.records if record.address == droplet.address]
        named = [record for record in mine if f"{record.name}.{self._domain}" == droplet.name]
        records = named or mine
        if why := next(self._unclear(droplet, records), None):
            self._leave(droplet, why)
            return None
        return _Pair(droplet, records[0])

    def _unclear(self, droplet: Droplet, records: Sequence[Record]) -> Iterator[str]:
        """Why a droplet with these records makes no instance; the first reason counts."""
        if str(droplet.id) in self._known:
            yield _KNOWN
        if sum(other.name == droplet.name for other in self._there.droplets) > 1:
            yield "another droplet has the same name. Give the one that is not in use another"
        if droplet.address is None:
            yield "it has no address yet. Wait, and run this again"
        if not records:
            yield f"no A record without an entry points to its address {droplet.address}"
        if len(records) > 1:
            names = listing((f"{it.name} ({it.id})" for it in records), "and")
            yield f"more than one A record points to it: {names}. Write its entry by hand, with adopt: {{record: …}}"
        (record,) = records
        if sum(other.name == record.name for other in self._there.records) > 1:
            yield f"there are two A records {record.name}. Delete the one that is wrong"
        if problem := name_problem(record.name):
            yield f"its record is called {record.name}, and {problem}"

    def _clusters(self, pairs: Sequence[_Pair]) -> Iterator[tuple[_Pair, Cluster]]:
        """The cluster of each pair that has one: by name, and from what is left then by its trusted source."""
        others = [it for it in self._there.clusters if it.id not in self._known]
        named: dict[str, list[Cluster]] = defaultdict(list)
        for cluster in others:
            named[tenant_of_cluster(cluster.name) or ""].append(cluster)
        keys = {pair.record.name for pair in pairs}
        nameless = [it for it in others if tenant_of_cluster(it.name) not in keys]
        for pair in pairs:
            mine = named[pair.record.name]
            candidates = mine if len(mine) == 1 else [it for it in mine or nameless if self._lets_in(it, pair.droplet)]
            if len(candidates) == 1:
                yield pair, candidates[0]
            elif candidates or mine:
                names = listing((f"{it.name} ({it.team})" for it in candidates or mine), "and")
                self._leave(pair.droplet, f"it is not clear which database is its own: {names}")
            else:
                why = f"no database has its name, or lets in its address {pair.droplet.address}"
                self._leave(pair.droplet, why)

    def _instance(self, pair: _Pair, cluster: Cluster) -> Instance:
        droplet, key = pair.droplet, pair.record.name
        stack = next(it for it in self._stacks if cluster.team in {team.name for team in it.database_teams})
        adopt: dict[str, str] = {}
        if droplet.name != f"{key}.{self._domain}":
            adopt["droplet"] = droplet.name
        same = [it for it in self._there.clusters if tenant_of_cluster(it.name) == key]
        if same != [cluster]:
            adopt["database"] = cluster.name
        if not self._keep_login:
            adopt["login"] = "new"
        stated: dict[str, Any] = {"database_team": cluster.team}
        found = {
            "region": (droplet.region, stack.region),
            "droplet_size": (droplet.size, Options().droplet_size),
            "database_size": (cluster.size, Options().database_size),
        }
        stated |= {option: value for option, (value, default) in found.items() if value != default}
        options = {**stated, "adopt": adopt} if adopt else stated
        also = [it for it in self._trusted[cluster.id] if not it.is_droplet(str(droplet.id), droplet.address)]
        return Instance(key, options, tuple(sorted(map(str, also))))

    def _lets_in(self, cluster: Cluster, droplet: Droplet) -> bool:
        return any(source.is_droplet(str(droplet.id), droplet.address) for source in self._trusted[cluster.id])

    def _rest(self, found: Sequence[Instance]) -> None:
        """Records and clusters that belong to no instance."""
        keys = {instance.key for instance in found}
        own = {(it.options.get("adopt") or {}).get("database") or it.key for it in found}
        places = {droplet.address: droplet for droplet in self._there.droplets}
        for record in self._there.records:
            droplet = places.get(record.address)
            if record.name in keys or (droplet and str(droplet.id) in self._left):
                continue
            if droplet:
                why = f"it points to the droplet {droplet.name}, which has another record"
            else:
                why = f"it points to {record.address}, where no droplet without an entry is"
            self._left[f"record {record.id}"] = Left(f"record {record.name} ({record.id})", why)
        for cluster in self._there.clusters:
            if own & {cluster.name, tenant_of_cluster(cluster.name)}:
                continue
            lonely = "it has no droplet's name, and lets in none that is without a database"
            why = _KNOWN if cluster.id in self._known else lonely
            self._left[cluster.id] = Left(f"database {cluster.name} ({cluster.id}, {cluster.team})", why)

    def _leave(self, droplet: Droplet, why: str) -> None:
        self._left[str(droplet.id)] = Left(f"droplet {droplet.name} ({droplet.id})", why)
