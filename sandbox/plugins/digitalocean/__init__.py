"""Stand-in for the plugin `digitalocean`: pulumi-digitalocean 4.76, a bridge to terraform-provider-digitalocean 2.96.

`attributes.py`, `check.py` and `plan.py` are what Terraform's SDK and the bridge do, pure; `resource.py` is the life
cycle on top of them; `client.py` and `waits.py` speak to the API; the other modules are the resources, a file per
service of DigitalOcean. It behaves as the real plugin does for what a program here uses, its faults and waits too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sandbox.plugins.digitalocean.client import Client, Settings
from sandbox.plugins.digitalocean.databases import DatabaseCluster, DatabaseFirewall
from sandbox.plugins.digitalocean.domains import DnsRecord, Domain
from sandbox.plugins.digitalocean.droplet import Droplet
from sandbox.plugins.digitalocean.functions import GetDropletSnapshot, GetProject, GetSshKeys
from sandbox.plugins.digitalocean.projects import Project, ProjectResources
from sandbox.plugins.digitalocean.resource import VERSION
from sandbox.plugins.digitalocean.ssh_keys import SshKey
from sandbox.plugins.digitalocean.tags import Tag
from sandbox.plugins.package import Package

if TYPE_CHECKING:
    from collections.abc import Mapping


def _configure(inputs: Mapping[str, Any]) -> Client:
    return Client(Settings.of(inputs))


PACKAGE: Final = Package(
    name="digitalocean",
    version=VERSION,
    resources=(
        Droplet(),
        DnsRecord(),
        Domain(),
        DatabaseCluster(),
        DatabaseFirewall(),
        ProjectResources(),
        Project(),
        Tag(),
        SshKey(),
    ),
    functions=(GetDropletSnapshot(), GetSshKeys(), GetProject()),
    configure=_configure,
)
