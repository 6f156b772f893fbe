"""States of stacks with tenants in several database teams, in the engine's shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "plaintext": '"p"'}
KEY = {"type": "passphrase", "state": {"salt": "v1:x"}}
DIGITALOCEAN, RANDOM = "pulumi:providers:digitalocean", "pulumi:providers:random"
TENANT = "meltanodata:index:Tenant"


def urn(stack: str, type_: str, name: str) -> str:
    return f"urn:pulumi:{stack}::meltanodata::{type_}::{name}"


def state(stack: str, tenants: Mapping[str, str], *teams: str, made_by: str | None = None) -> dict[str, Any]:
    """A stack with tenants by their teams, and connections to teams, whose ids tell which stack has made them."""
    maker = made_by or stack
    root = urn(stack, "pulumi:pulumi:Stack", f"meltanodata-{stack}")
    outputs = {"tenants": {key: {"url": f"https://{key}", "admin_password": SECRET} for key in tenants}}
    found: list[dict[str, Any]] = [{"urn": root, "type": "pulumi:pulumi:Stack", "outputs": outputs}]
    connections = {}
    for team in ("Meltano", *teams):
        its = urn(stack, DIGITALOCEAN, team)
        inputs = {"token": SECRET, "apiEndpoint": maker}
        found.append({"urn": its, "type": DIGITALOCEAN, "id": f"{maker}-{team}", "parent": root, "inputs": inputs})
        connections[team] = f"{its}::{maker}-{team}"
    default = urn(stack, RANDOM, "default_4_19_1")
    found.append({"urn": default, "type": RANDOM, "id": f"{maker}-default"})
    for key, team in tenants.items():
        own = urn(stack, TENANT, key)
        droplet = urn(stack, f"{TENANT}$digitalocean:index/droplet:Droplet", f"{key}-droplet")
        cluster = urn(stack, f"{TENANT}$digitalocean:index/databaseCluster:DatabaseCluster", f"{key}-database")
        firewall = urn(stack, f"{TENANT}$digitalocean:index/databaseFirewall:DatabaseFirewall", f"{key}-firewall")
        password = urn(stack, f"{TENANT}$random:index/randomPassword:RandomPassword", f"{key}-secret-key")
        found += [
            {"urn": own, "type": TENANT, "parent": root, "inputs": {"database_team": team}},
            {"urn": droplet, "type": "d", "id": f"{key}-1", "parent": own, "provider": connections["Meltano"]},
            {"urn": cluster, "type": "c", "id": f"{key}-2", "parent": own, "provider": connections[team]},
            {
                "urn": firewall,
                "type": "f",
                "id": f"{key}-3",
                "parent": own,
                "provider": connections[team],
                "dependencies": [cluster, droplet],
                "propertyDependencies": {"rules": [droplet], "clusterId": [cluster]},
                "deletedWith": cluster,
            },
            {"urn": password, "type": "p", "id": "none", "parent": own, "provider": f"{default}::{maker}-default"},
        ]
    return {"version": 3, "deployment": {"secrets_providers": KEY, "resources": found}}


def empty(stack: str) -> dict[str, Any]:
    """A stack as `pulumi stack init` makes it."""
    return {"version": 3, "deployment": {"secrets_providers": KEY | {"stack": stack}}}


def resources(exported: Mapping[str, Any]) -> list[dict[str, Any]]:
    return list(exported["deployment"]["resources"])


def by_urn(exported: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Without order, and nothing twice."""
    found = {it["urn"]: it for it in resources(exported)}
    assert len(found) == len(resources(exported))
    return found


def whole(exported: Mapping[str, Any]) -> bool:
    """Whether each resource comes after all that it refers to."""
    known: set[str] = set()
    for resource in resources(exported):
        needed = {resource.get("parent"), resource.get("deletedWith"), *resource.get("dependencies", [])}
        needed |= {resource["provider"]} if "provider" in resource else set()
        if not needed - {None} <= known:
            return False
        known |= {resource["urn"], f"{resource['urn']}::{resource.get('id')}"}
    return True
