"""Tags on droplets and databases, and tags themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, Literal

from sandbox.plugins.digitalocean import validate
from sandbox.plugins.digitalocean.attributes import Attribute, Attributes, Many
from sandbox.plugins.digitalocean.client import explained
from sandbox.plugins.digitalocean.resource import BridgedResource, Object

if TYPE_CHECKING:
    from sandbox.plugins.digitalocean.client import Client

TAGS: Final = Attribute(Many("string", "set", key=str.lower), optional=True, validate=validate.tag)


async def update_tags(client: Client, thing: Object, kind: Literal["droplet", "database"]) -> None:
    """Take off the tags that the plan does not have, put on those that it has; new tags are made first."""
    old, new = (set(values["tags"] or ()) for values in (thing.old, thing.plan))
    body = {"resources": [{"resource_id": thing.id, "resource_type": kind}]}
    for tag in sorted(old - new):
        await client.send("DELETE", f"/v2/tags/{tag}/resources", body)
    for tag in sorted(new - old):
        await client.send("POST", "/v2/tags", {"name": tag})
        await client.send("POST", f"/v2/tags/{tag}/resources", body)


class Tag(BridgedResource):
    """A tag of the team."""

    token = "digitalocean:index/tag:Tag"  # noqa: S105 -- a type's name
    attributes: ClassVar[Attributes] = {
        "name": Attribute(required=True, force_new=True, autonamed=True, validate=validate.tag),
        "total_resource_count": Attribute("int", computed=True),
        "droplets_count": Attribute("int", computed=True),
        "images_count": Attribute("int", computed=True),
        "volumes_count": Attribute("int", computed=True),
        "volume_snapshots_count": Attribute("int", computed=True),
        "databases_count": Attribute("int", computed=True),
    }

    async def make(self, client: Client, thing: Object) -> None:
        """POST, which succeeds also for a tag that exists."""
        with explained("Error creating tag"):
            answer = await client.send("POST", "/v2/tags", {"name": thing.values["name"]})
        thing.id = answer["tag"]["name"]
        await self.refresh(client, thing)

    async def look(self, client: Client, thing: Object) -> None:
        """GET, with the counts of what bears the tag."""
        with explained("Error retrieving tag"):
            tag = (await client.send("GET", f"/v2/tags/{thing.id}"))["tag"]
        counts = tag["resources"]
        thing.values |= {"name": tag["name"], "total_resource_count": counts["count"]} | {
            f"{kind}_count": counts[kind]["count"]
            for kind in ("droplets", "images", "volumes", "volume_snapshots", "databases")
        }

    async def remove(self, client: Client, thing: Object) -> None:
        """DELETE; a tag that is gone is an error."""
        with explained("Error deleting tag"):
            await client.send("DELETE", f"/v2/tags/{thing.id}")
