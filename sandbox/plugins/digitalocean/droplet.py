"""Droplets.

Source: `digitalocean_droplet` of terraform-provider-digitalocean. Left out: volumes, of which the sandbox has none, and
backup policies, which the program does not set.
"""

from __future__ import annotations

import hashlib
import ipaddress
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

from sandbox.plugins.digitalocean import validate
from sandbox.plugins.digitalocean.attributes import Attribute, Attributes, Many, Values
from sandbox.plugins.digitalocean.client import ApiError, Client, NotFound, Unreachable, explained
from sandbox.plugins.digitalocean.resource import BridgedResource, Object
from sandbox.plugins.digitalocean.tags import TAGS, update_tags
from sandbox.plugins.digitalocean.waits import Wait, wait_for
from sandbox.plugins.package import Crashed, ProviderError
from sandbox.plugins.values import UNKNOWN, Properties

if TYPE_CHECKING:
    from sandbox.plugins.digitalocean.waits import Look

_HOUR: Final = 3600
_NOT_FOUND_LOOKS: Final = 120
_DESTROYED: Final = "Not Found"
Operation = Literal["create", "update", "delete"]


class Droplet(BridgedResource):
    """A droplet."""

    token = "digitalocean:index/droplet:Droplet"  # noqa: S105 -- a type's name
    timeouts: ClassVar[dict[str, int]] = {"create": _HOUR, "delete": 60, "update": _HOUR}
    schema_version = "1"
    attributes: ClassVar[Attributes] = {
        "image": Attribute(required=True, force_new=True, validate=validate.not_zero),
        "name": Attribute(required=True, autonamed=True, validate=validate.not_zero),
        "region": Attribute(optional=True, computed=True, force_new=True, normal=str.lower, validate=validate.not_zero),
        "size": Attribute(required=True, normal=str.lower, validate=validate.not_zero),
        "graceful_shutdown": Attribute("bool", optional=True, default=False),
        "created_at": Attribute(computed=True),
        "urn": Attribute(computed=True, pulumi="dropletUrn"),
        "disk": Attribute("int", computed=True),
        "vcpus": Attribute("int", computed=True),
        "memory": Attribute("int", computed=True),
        "price_hourly": Attribute("float", computed=True),
        "price_monthly": Attribute("float", computed=True),
        "resize_disk": Attribute("bool", optional=True, default=True),
        "status": Attribute(computed=True),
        "locked": Attribute("bool", computed=True),
        "backups": Attribute("bool", optional=True, default=False),
        "ipv6": Attribute("bool", optional=True, default=False),
        "ipv6_address": Attribute(optional=True, computed=True),
        "private_networking": Attribute("bool", optional=True, computed=True),
        "public_networking": Attribute("bool", optional=True, computed=True, force_new=True),
        "ipv4_address": Attribute(computed=True),
        "ipv4_address_private": Attribute(computed=True),
        "ssh_keys": Attribute(Many("string", "set"), optional=True, force_new=True, validate=validate.not_zero),
        "user_data": Attribute(
            optional=True,
            force_new=True,
            normal=lambda text: hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest(),
            validate=validate.not_zero,
        ),
        "monitoring": Attribute("bool", optional=True, force_new=True, default=False),
        "droplet_agent": Attribute("bool", optional=True, force_new=True),
        "volume_ids": Attribute(Many("string", "set"), computed=True),
        "tags": TAGS,
        "vpc_uuid": Attribute(optional=True, computed=True, force_new=True, validate=validate.not_zero),
    }

    def customize(self, old: Values | None, new: Values, config: Values) -> bool:
        """IPv6 is switched on in place, and its address is new; it cannot be switched off."""
        del config
        before = bool(old and old["ipv6"])
        if not before and new["ipv6"] is True:
            new["ipv6_address"] = UNKNOWN
        return before and new["ipv6"] is False

    async def make(self, client: Client, thing: Object) -> None:
        """POST, then wait until it is active; what the waiting sees becomes the state."""
        with explained("Error creating droplet"):
            answer = await client.send("POST", "/v2/droplets", _request(thing.config, thing.values))
        thing.id = str(answer["droplet"]["id"])
        with explained(f"Error waiting for droplet ({thing.id}) to become ready"):
            await self._wait(client, thing, "create", "status", "active", {"new"})

    async def look(self, client: Client, thing: Object) -> None:
        """GET; neither image nor keys are looked at, so that they may differ."""
        droplet_id = _number(thing.id)
        with explained("Error retrieving droplet"):
            _take(thing, (await client.send("GET", f"/v2/droplets/{droplet_id}"))["droplet"])

    async def adopt(self, client: Client, thing: Object) -> None:
        """An import takes the image from the API."""
        with explained("Error importing droplet"):
            image = (await client.send("GET", f"/v2/droplets/{_number(thing.id)}"))["droplet"]["image"]
        thing.values |= {"image": image.get("slug") or str(image["id"]), "resize_disk": True}

    async def change(self, client: Client, thing: Object) -> None:
        """Resize, rename, backups, IPv6, tags, in this order.

        Every wait overwrites what later steps take for the wish with what the API says: with a new size or name, IPv6
        is not switched on and backups are switched off. That is the provider's.
        """
        if thing.changed("size"):
            await self._resize(client, thing)
        if thing.changed("name"):
            name = thing.plan["name"]
            with explained(f"Error renaming droplet ({thing.id})"):
                await self._act(client, thing, "rename", name=name)
            with explained(f"Error waiting for rename droplet ({thing.id}) to finish"):
                await self._wait(client, thing, "update", "name", name, {"", thing.old["name"]})
        if thing.changed("backups"):
            verb, past = ("enable", "enabled") if thing.values["backups"] else ("disable", "disabled")
            with explained(f"Error {verb[:-1]}ing backups on droplet ({thing.id})"):
                action = await self._act(client, thing, f"{verb}_backups")
            with explained(f"Error waiting for backups to be {past} for droplet ({thing.id})"):
                await wait_for_action(client, action)
        if thing.changed("ipv6") and thing.values["ipv6"]:
            with explained(f"Error turning on ipv6 for droplet ({thing.id})"):
                await self._act(client, thing, "enable_ipv6")
            with explained(f"Error waiting for ipv6 to be turned on for droplet ({thing.id})"):
                await self._wait(client, thing, "update", "ipv6", "true", {"", "false"})
        if thing.changed("tags"):
            with explained("Error updating tags"):
                await update_tags(client, thing, "droplet")
        await self.refresh(client, thing)

    async def remove(self, client: Client, thing: Object) -> None:
        """Wait until it is unlocked, DELETE, wait until it is gone: 60 s for all of it.

        An error of DELETE other than 404 is swallowed, and the wait after it runs into the limit; a droplet that is
        gone already is an error. Both are the provider's.
        """
        with explained(f"Error waiting for droplet to be unlocked for destroy ({thing.id})"):
            await self._wait(client, thing, "delete", "locked", "false", {"", "true"})
        if thing.old["graceful_shutdown"]:
            with explained(f"Error shutting down the the droplet ({thing.id})"):
                await self._act(client, thing, "shutdown")
            with explained(f"Error waiting for droplet ({thing.id}) to become off"):
                await self._wait(client, thing, "delete", "status", "off", {"active"})
        try:
            await client.send("DELETE", f"/v2/droplets/{thing.id}")
        except NotFound:
            return
        except Unreachable:
            raise Crashed from None
        except ApiError:
            pass
        with explained("Error deleting droplet"):
            wait = Wait(_DESTROYED, frozenset({"active", "off"}), 60)
            await thing.wait(wait, self._look(client, thing, "delete", "status"))

    # --------------------------------------------------------------------------------------------------------------

    async def _resize(self, client: Client, thing: Object) -> None:
        with explained(f"Error powering off droplet ({thing.id})"):
            try:
                await self._act(client, thing, "power_off")
            except ApiError as error:
                if "Droplet is already powered off" not in str(error):
                    raise
        with explained(f"Error waiting for droplet ({thing.id}) to become powered off"):
            await self._wait(client, thing, "update", "status", "off", {"active"})
        try:
            with explained(f"Error resizing droplet ({thing.id})"):
                action = await self._act(
                    client, thing, "resize", size=thing.config["size"], disk=thing.values["resize_disk"]
                )
            with explained(f"Error waiting for resize droplet ({thing.id}) to finish"):
                await wait_for_action(client, action)
        except ProviderError:
            await self._power_on(client, thing)
            raise
        with explained(f"Error powering on droplet ({thing.id}) after resize"):
            await self._power_on(client, thing)

    async def _power_on(self, client: Client, thing: Object) -> None:
        await self._act(client, thing, "power_on")
        await self._wait(client, thing, "update", "status", "active", {"off"})

    @staticmethod
    async def _act(client: Client, thing: Object, action: str, **arguments: Any) -> Properties:
        answer = await client.send("POST", f"/v2/droplets/{thing.id}/actions", {"type": action, **arguments})
        found: Properties = answer["action"]
        return found

    async def _wait(  # noqa: PLR0917
        self, client: Client, thing: Object, operation: Operation, name: str, target: str, pending: set[str]
    ) -> None:
        wait = Wait(target, frozenset(pending), thing.timeouts[operation], _NOT_FOUND_LOOKS)
        await thing.wait(wait, self._look(client, thing, operation, name))

    @staticmethod
    def _look(client: Client, thing: Object, operation: Operation, name: str) -> Look:
        async def look() -> str | None:
            with explained("Error retrieving droplet"):
                try:
                    droplet = (await client.send("GET", f"/v2/droplets/{thing.id}"))["droplet"]
                except NotFound:
                    droplet = None
            if droplet is None:
                if operation == "update":
                    raise ProviderError(f"droplet ({thing.id}) not found during update")
                return _DESTROYED if operation == "delete" else None
            _take(thing, droplet)
            # A locked droplet takes no action, so its state is of no use.
            value = None if thing.values["locked"] else thing.values[name]
            return str(value).lower() if isinstance(value, bool) else value

        return look


async def wait_for_action(client: Client, action: Properties) -> None:
    """Wait until an action is completed; its time is an hour, whatever the operation's."""

    async def look() -> str:
        found = (await client.send("GET", f"/v2/actions/{action['id']}"))["action"]
        if found["status"] == "errored":
            return "errored"
        return "completed" if found["completed_at"] else "in-progress"

    await wait_for(Wait("completed", frozenset({"in-progress"}), _HOUR, 60), look)


def _request(config: Values, plan: Values) -> Properties:
    """The body of the create."""
    flags = ("backups", "ipv6", "private_networking", "monitoring")
    body = {
        "name": plan["name"],
        "region": config["region"] or "",
        "size": config["size"],
        "image": _id_or_name(plan["image"]),
        "ssh_keys": [_id_or_name(key) for key in plan["ssh_keys"] or ()] or None,
        "tags": plan["tags"] or [],
        **{flag: bool(plan[flag]) for flag in flags},
    }
    if config["user_data"]:
        body["user_data"] = config["user_data"]
    if plan["vpc_uuid"]:
        body["vpc_uuid"] = plan["vpc_uuid"]
    if plan["droplet_agent"] is not None:
        body["with_droplet_agent"] = plan["droplet_agent"]
    if plan["public_networking"] is False:
        body["public_networking"] = False
    return body


def _id_or_name(value: str) -> int | str:
    return int(value) if value.lstrip("+-").isdecimal() else value


def _number(text: str) -> int:
    if not text.isdecimal():
        raise ProviderError(f'invalid droplet id: strconv.Atoi: parsing "{text}": invalid syntax')
    return int(text)


def _take(thing: Object, droplet: Properties) -> None:
    """Write the API's droplet into the state."""
    networks = droplet["networks"]
    public = _address(networks["v4"], "public")
    thing.values |= {
        "name": droplet["name"],
        "urn": f"do:droplet:{droplet['id']}",
        "region": droplet["region"]["slug"],
        "size": droplet["size"]["slug"],
        "price_hourly": float(droplet["size"]["price_hourly"]),
        "price_monthly": float(droplet["size"]["price_monthly"]),
        "disk": droplet["disk"],
        "vcpus": droplet["vcpus"],
        "memory": droplet["memory"],
        "status": droplet["status"],
        "locked": droplet["locked"],
        "created_at": droplet["created_at"],
        "vpc_uuid": droplet.get("vpc_uuid") or "",
        "ipv4_address": public,
        "ipv4_address_private": _address(networks["v4"], "private"),
        "ipv6_address": _address(networks["v6"], "public").lower(),
        "public_networking": bool(public),
        "volume_ids": droplet.get("volume_ids") or [],
        "tags": [tag for tag in droplet["tags"] or () if tag],
    }
    if droplet.get("features") is not None:
        flags = ("backups", "ipv6", "private_networking", "monitoring")
        thing.values |= {flag: flag in droplet["features"] for flag in flags}


def _address(networks: list[Properties] | None, kind: str) -> str:
    for network in networks or ():
        try:
            ipaddress.ip_address(network["ip_address"])
        except ValueError:
            continue
        if network["type"] == kind:
            return str(network["ip_address"])
    return ""
