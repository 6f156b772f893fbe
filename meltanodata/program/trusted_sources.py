"""A database trusts its own droplet alone, at every moment: docs/decisions/databases-are-never-open.md.

DigitalOcean creates a cluster open, and its provider sets the firewall last, when cluster and droplet exist. Hooks that
the engine calls around the creation and deletion of a tenant's cluster and droplet do what has to happen before:

- A new cluster is closed as soon as it is listed, while the provider still waits for it to come online.
- A cluster is closed before its droplet is destroyed, which gives the droplet's address back to DigitalOcean.
- The same before a droplet is created for a cluster that exists already, whatever that trusts.
- A droplet that could not be destroyed is trusted again.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pulumi

from meltanodata.config.object_names import names_of
from meltanodata.engine.resource_types import tenant_of
from meltanodata.engine.stack_state import Database
from meltanodata.errors import UserError
from meltanodata.inventory import accounts
from meltanodata.inventory.accounts import NOBODY, Source

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pydantic import SecretStr

    from meltanodata.config.settings import Settings
    from meltanodata.config.tenants import Tenant
    from meltanodata.inventory.accounts import Cluster
    from meltanodata.inventory.names import Existing

_PAUSE = 2
"""Seconds between two looks for new clusters, all of a team at once; a token has 250 requests a minute."""


class Trust:
    """The trusted sources of a run's clusters until their firewalls are set."""

    def __init__(
        self,
        tenants: Sequence[Tenant],
        settings: Settings,
        tokens: Mapping[str, SecretStr],
        *,
        existing: Mapping[str, Existing],
        clusters: Sequence[Cluster],
        databases: Mapping[str, Database],
        pause: float = _PAUSE,
    ) -> None:
        """Register the hooks, in every run: the state has their names, so they are never renamed.

        `clusters` exist before the run, and `databases` are those in the state, by tenant.
        """
        self.watch_cluster = pulumi.ResourceHook("database-watch", self._watch_cluster)
        """Before a cluster is created."""
        self.close_cluster = pulumi.ResourceHook("database-close", self._close_cluster)
        """After it was created."""
        self.trust_nobody = pulumi.ResourceHook("database-trusts-nobody", self._trust_nobody)
        """Before a droplet is created, and before it is deleted."""
        self.trust_droplet = pulumi.ResourceHook("database-trusts-droplet", self._trust_droplet)
        """After a droplet was created."""
        self.trust_kept_droplet = pulumi.ErrorHook("database-trusts-kept-droplet", self._trust_kept_droplet)
        """When a droplet could not be created or deleted."""
        self._settings, self._tokens, self._pause = settings, tokens, pause
        self._team_of = {tenant.key: tenant.database_team for tenant in tenants}
        left_over = _left_by_a_killed_run(tenants, existing)
        created = {tenant.key: Database(cluster.id, cluster.team, frozenset()) for cluster, tenant in left_over}
        self._databases = {**created, **databases}
        self._older = frozenset(cluster.id for cluster in clusters)
        """The ids of the clusters that existed before the run."""
        self._awaited: dict[str, dict[str, str]] = {}
        """By team: the names of clusters that are being created, with the status in which one could not be closed."""
        self._watches: dict[str, asyncio.Task[None]] = {}
        """By team."""
        self._closed: dict[str, asyncio.Task[bool]] = {}
        """By the id of the cluster."""

    async def made_by_us(self, key: str, name: str, *, last: bool) -> Cluster | None:
        """The cluster of this name that a request of this run has created, closed; None where there is none.

        `last` says that its creation has failed for good.

        Raises:
            UserError: DigitalOcean does not answer.
        """
        team = self._team_of[key]
        if last:
            self._awaited.get(team, {}).pop(name, None)
        cluster = next((new for new in await self._listed(team) if new.name == name), None)
        if cluster is not None:
            try:
                await self._close(team, cluster.id)
            except UserError as error:
                pulumi.log.warn(f"the new database {cluster.id} is still open to everybody: {error}")
        return cluster

    def _watch_cluster(self, args: pulumi.ResourceHookArgs) -> None:
        team = self._team_of[tenant_of(args.name)]
        awaited = self._awaited.setdefault(team, {})
        awaited[(args.new_inputs or {})["name"]] = ""
        if team not in self._watches or self._watches[team].done():
            self._watches[team] = asyncio.ensure_future(self._watch(team, awaited))

    async def _watch(self, team: str, awaited: dict[str, str]) -> None:
        """Close the clusters that are awaited as soon as they are listed."""
        while awaited:
            await asyncio.sleep(self._pause)
            try:
                listed = await self._listed(team)
            except UserError:
                continue  # the hook after the creation reports it, if it lasts
            for cluster in listed:
                if awaited.get(cluster.name) not in {None, cluster.status}:
                    try:
                        await self._close(team, cluster.id)
                    except UserError:
                        # Most likely DigitalOcean is still creating it. The next status starts the next attempt.
                        awaited[cluster.name] = cluster.status
                    else:
                        awaited.pop(cluster.name, None)

    async def _listed(self, team: str) -> list[Cluster]:
        """The team's clusters that are new since the run began."""
        listed = await asyncio.to_thread(accounts.clusters_now, self._settings, self._tokens, team)
        return [cluster for cluster in listed if cluster.id not in self._older]

    async def _close_cluster(self, args: pulumi.ResourceHookArgs) -> None:
        team = self._team_of[tenant_of(args.name)]
        self._awaited.get(team, {}).pop((args.new_inputs or {})["name"], None)
        try:
            await self._close(team, args.id)
        except UserError as error:
            raise UserError(
                f"the new database {args.id} is still open to everybody: {error}. Run this again to set its firewall"
            ) from None

    async def _close(self, team: str, cluster: str) -> None:
        """Let nobody into a cluster, once a run; does nothing where the cluster is gone."""
        task = self._closed.get(cluster)
        if task is None or (task.done() and task.exception()):
            task = self._closed[cluster] = asyncio.ensure_future(self._let_in(team, cluster, NOBODY))
        await task

    async def _let_in(self, team: str, cluster: str, source: Source) -> bool:
        return await asyncio.to_thread(accounts.let_in, self._settings, self._tokens, team, cluster, source)

    async def _trust_nobody(self, args: pulumi.ResourceHookArgs) -> None:
        """Before a droplet is created or deleted: no address that its database trusts is the tenant's for long."""
        database = self._databases.get(tenant_of(args.name))
        if database is None:
            return
        why = f"its database {database.cluster} ({database.team}) would trust an address that is not its droplet's"
        if database.team not in self._tokens:
            raise UserError(
                f"{args.name} is left unchanged: {why}, and the settings have no token of that team. List the team in"
                " database_teams and set its token, then run this again"
            )
        try:
            await self._close(database.team, database.cluster)
        except UserError as error:
            raise UserError(f"{args.name} is left unchanged: {why}. {error}. Run this again") from None

    async def _trust_droplet(self, args: pulumi.ResourceHookArgs) -> None:
        """After a droplet was created for a cluster that trusts nobody, with the address of the droplet before it.

        Then the state's firewall has that address already, and the engine does not set it again.
        """
        database = self._databases.get(tenant_of(args.name))
        address = (args.new_outputs or {}).get("ipv4Address")
        if database is not None and address in database.trusted:
            await self._reopen(database, address)

    async def _trust_kept_droplet(self, args: pulumi.ErrorHookArgs) -> bool:
        """After a droplet could not be deleted: it still works with its database. Never retries the deletion."""
        database = self._databases.get(tenant_of(args.name))
        if args.failed_operation != "delete" or database is None:
            return False
        address = (args.old_outputs or {}).get("ipv4Address")
        try:
            droplets = await asyncio.to_thread(accounts.droplets_now, self._settings, self._tokens)
            if address and any((str(droplet.id), droplet.address) == (args.id, address) for droplet in droplets):
                await self._reopen(database, address)
        except UserError as error:
            remedy = f"Restore the firewall: meltanodata deploy --stack {self._settings.stack} --refresh"
            pulumi.log.warn(f"{args.name} is kept, and its database may not trust it: {error}. {remedy}")
        return False

    async def _reopen(self, database: Database, address: str) -> None:
        """Let a droplet into its database again."""
        self._closed.pop(database.cluster, None)
        await self._let_in(database.team, database.cluster, Source("ip_addr", address))


def _left_by_a_killed_run(
    tenants: Sequence[Tenant], existing: Mapping[str, Existing]
) -> Iterator[tuple[Cluster, Tenant]]:
    """The clusters that a run of this program created and no state has, with their tenants.

    A cluster made by hand, which somebody may work with, has another name than the program gives the tenant's cluster
    in that region.
    """
    for tenant in tenants:
        cluster = existing[tenant.key].cluster
        if cluster is not None and existing[tenant.key].import_cluster:
            in_its_region = tenant.model_copy(update={"region": cluster.region})
            if cluster.name == names_of(in_its_region, "").new_cluster:
                yield cluster, tenant


def close_what_was_left(
    tenants: Sequence[Tenant],
    existing: Mapping[str, Existing],
    settings: Settings,
    tokens: Mapping[str, SecretStr],
) -> None:
    """Close the clusters that a killed run left open: each trusts its tenant's droplet, or nobody without one.

    A cluster that has trusted sources stays as it is, and so does one that was made by hand.

    Raises:
        UserError: a cluster is online, and cannot be closed.
    """
    for cluster, tenant in _left_by_a_killed_run(tenants, existing):
        droplet = existing[tenant.key].droplet
        source = Source("ip_addr", droplet.address) if droplet and droplet.address else NOBODY
        accounts.close(settings, tokens, cluster, source, f"{tenant.key}: its database {cluster.id}")
