"""The types of a tenant's resources, as they stand in URNs, and what people call them.

https://www.pulumi.com/docs/iac/concepts/resources/names/#urns
"""

from __future__ import annotations

from enum import StrEnum


class Type(StrEnum):
    """The types of a tenant's resources, as in their URNs."""

    DROPLET = "digitalocean:index/droplet:Droplet"
    RECORD = "digitalocean:index/dnsRecord:DnsRecord"
    CLUSTER = "digitalocean:index/databaseCluster:DatabaseCluster"
    FIREWALL = "digitalocean:index/databaseFirewall:DatabaseFirewall"
    PASSWORD = "random:index/randomPassword:RandomPassword"  # noqa: S105  a type, no password
    COMMAND = "command:remote:Command"
    MEMBERSHIP = "digitalocean:index/projectResources:ProjectResources"


NAMES: dict[str, str] = {
    Type.DROPLET: "droplet",
    Type.RECORD: "record",
    Type.CLUSTER: "database",
    Type.FIREWALL: "firewall",
}
"""What people call a resource of this type."""


TENANT = "meltanodata:index:Tenant"
"""A tenant's component, whose children its resources are."""
STACK = "pulumi:pulumi:Stack"
PROVIDER = "pulumi:providers:"
"""How the type of every provider begins."""
TEAM_PROVIDER = "pulumi:providers:digitalocean"
"""A team's provider, which has the team's name."""

DROPLET = (Type.DROPLET.value, "droplet")
RECORD = (Type.RECORD.value, "record")
CLUSTER = (Type.CLUSTER.value, "database")
"""Of what can exist before the program does: Pulumi's type, and how the resource's name ends after the tenant's key."""
