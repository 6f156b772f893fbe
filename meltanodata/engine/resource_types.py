"""The types of resources, as they stand in URNs, and what a tenant's resources are called.

https://www.pulumi.com/docs/iac/concepts/resources/names/#urns
"""

from __future__ import annotations

from enum import StrEnum


class Type(StrEnum):
    """The types of a tenant's resources."""

    DROPLET = "digitalocean:index/droplet:Droplet"
    RECORD = "digitalocean:index/dnsRecord:DnsRecord"
    CLUSTER = "digitalocean:index/databaseCluster:DatabaseCluster"
    FIREWALL = "digitalocean:index/databaseFirewall:DatabaseFirewall"
    PASSWORD = "random:index/randomPassword:RandomPassword"  # noqa: S105  a type, no password
    COMMAND = "command:remote:Command"
    MEMBERSHIP = "digitalocean:index/projectResources:ProjectResources"


TENANT = "meltanodata:index:Tenant"
"""A tenant's component, whose children its resources are."""
STACK = "pulumi:pulumi:Stack"
PROVIDER = "pulumi:providers:"
"""How the type of every provider begins."""
TEAM_PROVIDER = "pulumi:providers:digitalocean"
"""A team's provider, which has the team's name."""

ROLES: dict[str, str] = {
    Type.DROPLET: "droplet",
    Type.RECORD: "record",
    Type.CLUSTER: "database",
    Type.FIREWALL: "firewall",
}
"""The role of a type that each tenant has one resource of: what people call it, and how the resource's name ends."""

OBJECTS = (Type.DROPLET, Type.RECORD, Type.CLUSTER)
"""What the inventory lists: it can exist before the program creates it, and be created twice."""


def resource_name(tenant: str, type_: Type) -> str:
    """What a tenant's one resource of a type is called."""
    return f"{tenant}-{ROLES[type_]}"


def tenant_of(resource: str) -> str:
    """The tenant in a resource's name whose role is a single word."""
    return resource.rpartition("-")[0]
