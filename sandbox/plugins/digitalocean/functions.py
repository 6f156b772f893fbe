"""The provider's functions (data sources) that a program here uses.

Source: the data sources of terraform-provider-digitalocean.
"""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING, ClassVar

from sandbox.plugins.digitalocean.client import Client, explained
from sandbox.plugins.digitalocean.projects import described, project_urns
from sandbox.plugins.package import Call, Function, ProviderError
from sandbox.plugins.schema import Field, Fields

if TYPE_CHECKING:
    from sandbox.plugins.values import Properties


class _Function(Function[Client]):
    """Errors in the bridge's form."""

    async def invoke(self, call: Call[Client], inputs: Properties) -> Properties:
        """The function's result."""
        try:
            return await self.find(call.config, inputs)
        except ProviderError as error:
            raise ProviderError(f"invoking {self.token}: 1 error occurred:\n\t* {error}\n\n") from error

    async def find(self, client: Client, inputs: Properties) -> Properties:
        """The result."""
        raise NotImplementedError


class GetDropletSnapshot(_Function):
    """One snapshot of a droplet, by its name or a pattern."""

    token = "digitalocean:index/getDropletSnapshot:getDropletSnapshot"  # noqa: S105 -- a function's name
    inputs: ClassVar[Fields] = {
        "name": Field(),
        "nameRegex": Field(),
        "region": Field(),
        "mostRecent": Field("boolean", default=False),
    }

    async def find(self, client: Client, inputs: Properties) -> Properties:
        """All snapshots are listed and filtered here.

        Raises:
            ProviderError: None fits, or several do and the most recent is not asked for.
        """
        name, pattern, region = (inputs.get(key) for key in ("name", "nameRegex", "region"))
        try:
            fits = re.compile(pattern or "")
        except re.error as error:
            raise ProviderError(f'"name_regex": error parsing regexp: {error}') from error
        if not name and not pattern:
            raise ProviderError("One of `name` or `name_regex` must be assigned")
        with explained("Error retrieving Droplet snapshots"):
            snapshots = await client.pages("/v2/snapshots", "snapshots", "&resource_type=droplet")
        fitting = [
            snapshot
            for snapshot in snapshots
            if (snapshot["name"] == name if name else fits.search(snapshot["name"]))
            and (not region or region in snapshot["regions"])
        ]
        if not fitting:
            raise ProviderError(f"No DROPLET snapshot found with name {name or ''}")
        if len(fitting) > 1 and not inputs["mostRecent"]:
            raise ProviderError(
                f"too many Droplet snapshots found with name {name or ''} (found {len(fitting)}, expected 1)"
            )
        found = max(fitting, key=lambda snapshot: str(snapshot["created_at"]))
        return {
            **inputs,
            "id": found["id"],
            "name": found["name"],
            "createdAt": found["created_at"],
            "minDiskSize": found["min_disk_size"],
            "regions": sorted(found["regions"]),
            "dropletId": found["resource_id"],
            "size": found["size_gigabytes"],
        }


class GetSshKeys(_Function):
    """All SSH keys of the account; filters and orders are left out."""

    token = "digitalocean:index/getSshKeys:getSshKeys"  # noqa: S105 -- a function's name
    inputs: ClassVar[Fields] = {}

    async def find(self, client: Client, inputs: Properties) -> Properties:
        """Names, numbers, fingerprints and the public keys."""
        del inputs
        with explained("Unable to load records"), explained("Error retrieving ssh keys"):
            keys = await client.pages("/v2/account/keys", "ssh_keys")
        return {
            "id": f"ssh_keys/{zlib.crc32(repr(keys).encode())}",  # a hash of what was found
            "sshKeys": [
                {
                    "id": key["id"],
                    "name": key["name"],
                    "fingerprint": key["fingerprint"],
                    "publicKey": key["public_key"],
                }
                for key in keys
            ],
        }


class GetProject(_Function):
    """One project, by its id or name; else the default one."""

    token = "digitalocean:index/getProject:getProject"  # noqa: S105 -- a function's name
    inputs: ClassVar[Fields] = {"id": Field(), "name": Field()}

    async def find(self, client: Client, inputs: Properties) -> Properties:
        """The project with its resources.

        Raises:
            ProviderError: There is none, or several have the name.
        """
        project = await self._project(client, inputs.get("id"), inputs.get("name"))
        values = described(project)
        return {
            "id": project["id"],
            "name": values["name"],
            "description": values["description"],
            "purpose": values["purpose"],
            "environment": values["environment"],
            "ownerUuid": values["owner_uuid"],
            "ownerId": values["owner_id"],
            "isDefault": values["is_default"],
            "createdAt": values["created_at"],
            "updatedAt": values["updated_at"],
            "resources": await project_urns(client, project["id"]),
        }

    @staticmethod
    async def _project(client: Client, id_: str | None, name: str | None) -> Properties:
        if id_ or not name:
            with explained("Unable to load project" if id_ else "Unable to load default project"):
                found: Properties = (await client.send("GET", f"/v2/projects/{id_ or 'default'}"))["project"]
                return found
        with explained("Error retrieving projects"):
            projects = await client.pages("/v2/projects", "projects")
        fitting: list[Properties] = [project for project in projects if project["name"] == name]
        if not fitting:
            raise ProviderError(f"No projects found with name '{name}'")
        if len(fitting) > 1:
            raise ProviderError(f"Multiple projects found with name '{name}'")
        return fitting[0]
