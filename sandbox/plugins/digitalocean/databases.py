"""Database clusters and their firewalls.

Source: `digitalocean_database_cluster` and `digitalocean_database_firewall` of terraform-provider-digitalocean. Left
out: restoring from a backup, storage that grows by itself, and the settings of other engines than PostgreSQL.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import quote, urlsplit

from sandbox.plugins.digitalocean import validate
from sandbox.plugins.digitalocean.attributes import Attribute, Attributes, Many, Values
from sandbox.plugins.digitalocean.client import NotFound, Unreachable, explained
from sandbox.plugins.digitalocean.resource import BridgedResource, Object
from sandbox.plugins.digitalocean.tags import TAGS, update_tags
from sandbox.plugins.digitalocean.waits import TICK
from sandbox.plugins.package import Crashed, ProviderError
from sandbox.plugins.values import UNKNOWN, Properties

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.plugins.digitalocean.client import Client

_HALF_AN_HOUR: Final = 1800
_ONLINE: Final = "online"
_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def _same_hour(old: str, new: str, config: Values) -> bool:
    """`13:00` is `13:00:00`."""
    del config
    return [*old.split(":")][:2] == [*new.split(":")][:2]


_WINDOW: Final = {
    "day": Attribute(required=True, validate=validate.one_of(*_DAYS, ignore_case=True)),
    "hour": Attribute(required=True, same=_same_hour),
}


class DatabaseCluster(BridgedResource):
    """A cluster of database servers."""

    token = "digitalocean:index/databaseCluster:DatabaseCluster"  # noqa: S105 -- a type's name
    timeouts: ClassVar[dict[str, int]] = {"create": _HALF_AN_HOUR}
    attributes: ClassVar[Attributes] = {
        "name": Attribute(required=True, force_new=True, autonamed=True, validate=validate.not_zero),
        "engine": Attribute(required=True, force_new=True, validate=validate.not_zero),
        "version": Attribute(optional=True),
        "size": Attribute(required=True, validate=validate.not_zero),
        "region": Attribute(required=True, normal=str.lower, validate=validate.not_zero),
        "node_count": Attribute("int", required=True, validate=validate.not_zero),
        "maintenance_window": Attribute(Many(_WINDOW, "list"), optional=True, pulumi="maintenanceWindows"),
        "private_network_uuid": Attribute(optional=True, computed=True, force_new=True, validate=validate.not_zero),
        "project_id": Attribute(optional=True, computed=True, force_new=True, validate=validate.not_zero),
        "host": Attribute(computed=True),
        "ui_host": Attribute(computed=True),
        "private_host": Attribute(computed=True),
        "port": Attribute("int", computed=True),
        "ui_port": Attribute("int", computed=True),
        "uri": Attribute(computed=True, sensitive=True),
        "ui_uri": Attribute(computed=True, sensitive=True),
        "private_uri": Attribute(computed=True, sensitive=True),
        "database": Attribute(computed=True),
        "ui_database": Attribute(computed=True),
        "user": Attribute(computed=True),
        "ui_user": Attribute(computed=True),
        "password": Attribute(computed=True, sensitive=True),
        "ui_password": Attribute(computed=True, sensitive=True),
        "urn": Attribute(computed=True, pulumi="clusterUrn"),
        "tags": TAGS,
        "storage_size_mib": Attribute(optional=True, computed=True),
        "metrics_endpoints": Attribute(Many("string", "list"), computed=True),
    }

    def customize(self, old: Values | None, new: Values, config: Values) -> bool:
        """A version is needed, though the table cannot say so."""
        del new
        if not config["version"]:
            if old and old["version"]:
                raise ProviderError(
                    f'The argument "version" is now required. Set the {config["engine"]} version to the value saved '
                    f"to state: {old['version']}"
                )
            raise ProviderError('The argument "version" is required, but no definition was found.')
        return False

    async def make(self, client: Client, thing: Object) -> None:
        """POST, then wait until it is online.

        A wait that fails leaves a cluster that no state knows; that it is so is a fault of the provider.
        """
        with explained("Error creating database cluster"):
            cluster = (await client.send("POST", "/v2/databases", _request(thing.config, thing.values)))["database"]
            _take_connections(thing.values, cluster)
            thing.id = cluster["id"]
            try:
                await self._wait(client, thing)
            except ProviderError:
                thing.id = ""
                raise
        if thing.values["maintenance_window"]:
            await self._set_window(client, thing, "adding")
        if thing.id:
            await self.refresh(client, thing)

    async def look(self, client: Client, thing: Object) -> None:
        """GET."""
        with explained("Error retrieving database cluster"):
            cluster = (await client.send("GET", f"/v2/databases/{thing.id}"))["database"]
        values = thing.values
        values |= {
            "name": cluster["name"],
            "engine": cluster["engine"],
            "version": cluster["version"],
            "size": cluster["size"],
            "region": cluster["region"],
            "node_count": cluster["num_nodes"],
            "storage_size_mib": str(cluster.get("storage_size_mib") or 0),
            "tags": [tag for tag in cluster.get("tags") or () if tag],
            "urn": f"do:dbaas:{cluster['id']}",
            "private_network_uuid": cluster.get("private_network_uuid") or "",
            "project_id": cluster.get("project_id") or "",
            "metrics_endpoints": [
                f"https://{endpoint['host']}:{endpoint['port']}/metrics"
                for endpoint in cluster.get("metrics_endpoints") or ()
            ],
        }
        if values["maintenance_window"]:
            window = cluster["maintenance_window"]
            values["maintenance_window"] = [{"day": window["day"], "hour": window["hour"]}]
        _take_connections(values, cluster)

    async def change(self, client: Client, thing: Object) -> None:
        """Resize, migrate, maintenance window, upgrade, tags, in this order; the upgrade is not waited for."""
        steps = (
            (("size", "node_count", "storage_size_mib"), self._resize),
            (("region",), self._migrate),
            (("maintenance_window",), self._move_window),
            (("version",), self._upgrade),
            (("tags",), self._tag),
        )
        for names, step in steps:
            if thing.changed(*names):
                await step(client, thing)
                if not thing.id:
                    return
        await self.refresh(client, thing)

    async def remove(self, client: Client, thing: Object) -> None:
        """DELETE; a cluster that is gone is an error."""
        with explained("Error deleting database cluster"):
            await client.send("DELETE", f"/v2/databases/{thing.id}")

    # --------------------------------------------------------------------------------------------------------------

    async def _resize(self, client: Client, thing: Object) -> None:
        values = thing.values
        body = {"size": values["size"], "num_nodes": values["node_count"]}
        if thing.changed("storage_size_mib") and values["storage_size_mib"]:
            body["storage_size_mib"] = int(values["storage_size_mib"])
        await self._put_and_wait(client, thing, "resize", body, "Error resizing database cluster")

    async def _migrate(self, client: Client, thing: Object) -> None:
        body = {"region": thing.config["region"]}
        await self._put_and_wait(client, thing, "migrate", body, "Error migrating database cluster")

    async def _put_and_wait(
        self, client: Client, thing: Object, what: str, body: Mapping[str, Any], doing: str
    ) -> None:
        try:
            with explained(doing):
                await client.send("PUT", f"/v2/databases/{thing.id}/{what}", body)
        except NotFound:
            thing.id = ""
            return
        with explained(doing):
            await self._wait(client, thing)

    async def _move_window(self, client: Client, thing: Object) -> None:
        if thing.values["maintenance_window"]:
            await self._set_window(client, thing, "updating")

    async def _set_window(self, client: Client, thing: Object, doing: str) -> None:
        try:
            with explained(f"Error {doing} maintenance window for database cluster"):
                window = thing.values["maintenance_window"][0]
                await client.send("PUT", f"/v2/databases/{thing.id}/maintenance", window)
        except NotFound:
            thing.id = ""

    async def _upgrade(self, client: Client, thing: Object) -> None:
        with explained("Error upgrading version for database cluster"):
            await client.send("PUT", f"/v2/databases/{thing.id}/upgrade", {"version": thing.values["version"]})

    async def _tag(self, client: Client, thing: Object) -> None:
        with explained("Error updating tags"):
            await update_tags(client, thing, "database")

    async def _wait(self, client: Client, thing: Object) -> None:
        """Look at every tick. A 404 is looked over, for ever; no answer at all kills the plugin."""
        looks = int(thing.timeouts["create"] / TICK) + 1
        loop = asyncio.get_running_loop()
        start = loop.time()
        for tick in itertools.count(1):
            await asyncio.sleep(max(0.0, start + tick * TICK - loop.time()))
            try:
                with explained("Error trying to read database cluster state"):
                    cluster = (await client.send("GET", f"/v2/databases/{thing.id}"))["database"]
            except NotFound:
                continue
            except Unreachable as error:
                raise Crashed from error
            if cluster["status"] == _ONLINE:
                return
            looks -= 1
            if not looks:
                raise ProviderError(f"Timeout waiting to database cluster to become {_ONLINE}")


def _request(config: Values, plan: Values) -> Properties:
    """The body of the create."""
    body = {
        "name": plan["name"],
        "engine": plan["engine"],
        "version": plan["version"],
        "size": plan["size"],
        "region": config["region"],
        "num_nodes": plan["node_count"],
        "private_network_uuid": plan["private_network_uuid"] or "",
        "project_id": plan["project_id"] or "",
        "rules": None,
    }
    if plan["tags"]:
        body["tags"] = plan["tags"]
    if plan["storage_size_mib"]:
        body["storage_size_mib"] = int(plan["storage_size_mib"])
    return body


def _take_connections(values: Values, cluster: Properties) -> None:
    """Where and how to connect; the password in `uri` is the one that the state already had."""
    if connection := cluster.get("connection"):
        values |= {
            "host": connection["host"],
            "port": connection["port"],
            "uri": _uri(connection, values["password"]),
            "database": connection["database"],
            "user": connection["user"],
        }
        if connection["password"]:
            values["password"] = connection["password"]
    if private := cluster.get("private_connection"):
        values |= {"private_host": private["host"], "private_uri": _uri(private, values["password"])}


def _uri(connection: Properties, password: str | None) -> str:
    uri = urlsplit(connection["uri"])
    place = uri.netloc.rpartition("@")[2]
    # What Go leaves as it is in a password.
    secret = quote(password or "", safe="$&+,;=")
    return uri._replace(netloc=f"{quote(connection['user'], safe='$&+,;=')}:{secret}@{place}").geturl()


_RULE: Final = {
    "type": Attribute(required=True, validate=validate.one_of("ip_addr", "droplet", "k8s", "tag", "app")),
    "value": Attribute(required=True, validate=validate.not_zero),
    "uuid": Attribute(computed=True),
    "created_at": Attribute(computed=True),
}


class DatabaseFirewall(BridgedResource):
    """All trusted sources of a cluster; without any it is open to the world."""

    token = "digitalocean:index/databaseFirewall:DatabaseFirewall"  # noqa: S105 -- a type's name
    attributes: ClassVar[Attributes] = {
        "cluster_id": Attribute(required=True, force_new=True, validate=validate.not_zero),
        "rule": Attribute(Many(_RULE, "set"), required=True, pulumi="rules"),
    }
    _numbers = itertools.count(1)

    async def make(self, client: Client, thing: Object) -> None:
        """PUT the whole list; the id is made up."""
        with explained("Error creating DatabaseFirewall"):
            await self._put(client, thing)
        thing.id = self._unique(thing.values["cluster_id"])
        await self.refresh(client, thing)

    async def look(self, client: Client, thing: Object) -> None:
        """GET."""
        with explained("Error retrieving DatabaseFirewall"):
            answer = await client.send("GET", f"/v2/databases/{thing.values['cluster_id']}/firewall")
        thing.values["rule"] = [
            {key: rule[key] for key in ("type", "value", "uuid", "created_at")} for rule in answer["rules"] or ()
        ]

    async def adopt(self, client: Client, thing: Object) -> None:
        """An import names the cluster."""
        del client
        thing.values["cluster_id"] = thing.id
        thing.id = self._unique(thing.id)

    async def change(self, client: Client, thing: Object) -> None:
        """PUT the whole list."""
        with explained("Error updating DatabaseFirewall"):
            await self._put(client, thing)
        await self.refresh(client, thing)

    async def remove(self, client: Client, thing: Object) -> None:
        """PUT an empty list, which opens the cluster; a cluster that is gone is an error."""
        thing.values["rule"] = []
        with explained("Error deleting DatabaseFirewall"):
            await self._put(client, thing)

    @staticmethod
    async def _put(client: Client, thing: Object) -> None:
        rules = [
            {
                "uuid": "" if rule["uuid"] in (None, UNKNOWN) else rule["uuid"],
                "cluster_uuid": "",
                "type": rule["type"],
                "value": rule["value"],
                "created_at": "0001-01-01T00:00:00Z",
            }
            for rule in thing.values["rule"] or ()
        ]
        await client.send("PUT", f"/v2/databases/{thing.values['cluster_id']}/firewall", {"rules": rules})

    def _unique(self, cluster: str) -> str:
        """As Terraform's SDK makes ids up: the time and a count."""
        now = dt.datetime.now(dt.UTC)
        return f"{cluster}-{now:%Y%m%d%H%M%S}{now.microsecond // 100:04d}{next(self._numbers):08x}"
