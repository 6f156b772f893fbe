"""Domains and their records.

Source: `digitalocean_domain` and `digitalocean_record` of terraform-provider-digitalocean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from sandbox.plugins.digitalocean import validate
from sandbox.plugins.digitalocean.attributes import Attribute, Attributes, Values
from sandbox.plugins.digitalocean.client import NotFound, explained
from sandbox.plugins.digitalocean.resource import BridgedResource, Object
from sandbox.plugins.package import ProviderError

if TYPE_CHECKING:
    from sandbox.plugins.digitalocean.client import Client

_TYPES: Final = ("A", "AAAA", "CAA", "CNAME", "MX", "NS", "TXT", "SRV", "SOA")
_NAMING_HOSTS: Final = frozenset({"CNAME", "MX", "NS", "SRV", "CAA"})
"""Types whose value is a host's name, which the API has without the dot at its end."""
_PORT: Final = validate.between(0, 65535)


class Domain(BridgedResource):
    """A domain of the team."""

    token = "digitalocean:index/domain:Domain"  # noqa: S105 -- a type's name
    attributes: ClassVar[Attributes] = {
        "name": Attribute(required=True, force_new=True, validate=validate.not_zero),
        "ip_address": Attribute(optional=True, force_new=True, validate=validate.not_zero),
        "urn": Attribute(computed=True, pulumi="domainUrn"),
        "ttl": Attribute("int", computed=True),
    }

    async def make(self, client: Client, thing: Object) -> None:
        """POST."""
        body = {key: thing.values[key] for key in ("name", "ip_address") if thing.values[key]}
        with explained("Error creating Domain"):
            thing.id = (await client.send("POST", "/v2/domains", body))["domain"]["name"]
        await self.refresh(client, thing)

    async def look(self, client: Client, thing: Object) -> None:
        """GET."""
        with explained("Error retrieving domain"):
            domain = (await client.send("GET", f"/v2/domains/{thing.id}"))["domain"]
        name = domain["name"]
        thing.values |= {"name": name, "urn": f"do:domain:{name}", "ttl": domain["ttl"]}

    async def remove(self, client: Client, thing: Object) -> None:
        """DELETE; a domain that is gone is an error."""
        with explained("Error deleting Domain"):
            await client.send("DELETE", f"/v2/domains/{thing.id}")


def _same_name(old: str, new: str, config: Values) -> bool:
    domain = f"{config['domain']}."
    return (old == "@" and new == domain) or f"{old}.{domain}" == new


def _same_value(old: str, new: str, config: Values) -> bool:
    domain = f"{config['domain']}."
    return (old == "@" and new == domain) or old == f"{new}.{domain}"


class DnsRecord(BridgedResource):
    """A record of a domain."""

    token = "digitalocean:index/dnsRecord:DnsRecord"  # noqa: S105 -- a type's name
    attributes: ClassVar[Attributes] = {
        "type": Attribute(required=True, force_new=True, validate=validate.one_of(*_TYPES)),
        "domain": Attribute(required=True, force_new=True, validate=validate.not_zero),
        "name": Attribute(required=True, autonamed=True, same=_same_name, validate=validate.not_zero),
        "port": Attribute("int", optional=True, validate=_PORT),
        "priority": Attribute("int", optional=True, validate=_PORT),
        "weight": Attribute("int", optional=True, validate=_PORT),
        "ttl": Attribute("int", optional=True, computed=True, validate=validate.at_least(1)),
        "value": Attribute(required=True, same=_same_value),
        "fqdn": Attribute(computed=True),
        "flags": Attribute("int", optional=True, validate=validate.between(0, 255)),
        "tag": Attribute(optional=True, validate=validate.one_of("issue", "issuewild", "iodef")),
    }

    def customize(self, old: Values | None, new: Values, config: Values) -> bool:
        """Some types need more than a value."""
        del old, new
        needs = {"MX": ("priority",), "SRV": ("priority", "weight"), "CAA": ("flags", "tag")}
        for name in needs.get(config["type"], ()):
            if config[name] is None:
                raise ProviderError(f"`{name}` is required for when type is `{config['type']}`")
        return False

    async def make(self, client: Client, thing: Object) -> None:
        """POST; an existing record of the name is not adopted."""
        values = thing.values
        if values["type"] == "SRV" and values["port"] is None:
            raise ProviderError("`port` is required for when type is `SRV`")
        with explained("Failed to create record"):
            body = {"type": values["type"], **_request(values)}
            answer = await client.send("POST", f"/v2/domains/{values['domain']}/records", body)
        thing.id = str(answer["domain_record"]["id"])
        await self.refresh(client, thing)

    async def look(self, client: Client, thing: Object) -> None:
        """GET."""
        record = (await client.send("GET", _path(thing)))["domain_record"]
        data = record["data"]
        if record["type"] in _NAMING_HOSTS and data != "@" and record.get("tag") != "iodef":
            data += "."
        name, domain = record["name"], thing.values["domain"]
        thing.values |= {
            "name": name,
            "type": record["type"],
            "value": data,
            "fqdn": domain if name == "@" else f"{name}.{domain}",
            "tag": record.get("tag") or "",
            **{key: record.get(key) or 0 for key in ("port", "priority", "ttl", "weight", "flags")},
        }

    async def adopt(self, client: Client, thing: Object) -> None:
        """An import names `domain,id`."""
        del client
        domain, comma, number = thing.id.partition(",")
        if comma and not number.isdecimal():
            raise ProviderError(f'invalid record ID: strconv.Atoi: parsing "{number}": invalid syntax')
        if comma:
            thing.id, thing.values["domain"] = number, domain

    async def change(self, client: Client, thing: Object) -> None:
        """PUT."""
        with explained("Failed to update record"):
            await client.send("PUT", _path(thing), _request(thing.values))
        await self.refresh(client, thing)

    async def remove(self, client: Client, thing: Object) -> None:
        """DELETE; a record that is gone is fine."""
        try:
            with explained("Error deleting record"):
                await client.send("DELETE", _path(thing))
        except NotFound:
            pass


def _path(thing: Object) -> str:
    if not thing.id.isdecimal():
        raise ProviderError(f'invalid record ID: strconv.Atoi: parsing "{thing.id}": invalid syntax')
    return f"/v2/domains/{thing.values['domain']}/records/{thing.id}"


def _request(values: Values) -> dict[str, Any]:
    numbers = {key: values[key] or 0 for key in ("priority", "port", "weight", "flags")}
    options = {key: values[key] for key in ("ttl", "tag") if values[key]}
    return {"name": values["name"], "data": values["value"], **numbers, **options}
