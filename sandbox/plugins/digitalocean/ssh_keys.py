"""SSH keys of the team's account.

Source: `digitalocean_ssh_key` of terraform-provider-digitalocean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from sandbox.plugins.digitalocean import validate
from sandbox.plugins.digitalocean.attributes import Attribute, Attributes, Values
from sandbox.plugins.digitalocean.client import NotFound, explained
from sandbox.plugins.digitalocean.resource import BridgedResource, Object
from sandbox.plugins.digitalocean.waits import retried

if TYPE_CHECKING:
    from sandbox.plugins.digitalocean.client import Client


def _same_key(old: str, new: str, config: Values) -> bool:
    del config
    return old.strip() == new.strip()


class SshKey(BridgedResource):
    """An SSH key."""

    token = "digitalocean:index/sshKey:SshKey"  # noqa: S105 -- a type's name
    timeouts: ClassVar[dict[str, int]] = {"create": 120}
    attributes: ClassVar[Attributes] = {
        "name": Attribute(required=True, autonamed=True, validate=validate.not_zero),
        "public_key": Attribute(required=True, force_new=True, same=_same_key, validate=validate.not_zero),
        "fingerprint": Attribute(computed=True),
    }

    async def make(self, client: Client, thing: Object) -> None:
        """POST, then look until it is there."""
        body = {name: thing.values[name] for name in ("name", "public_key")}
        with explained("Error creating SSH Key"):
            thing.id = str((await client.send("POST", "/v2/account/keys", body))["ssh_key"]["id"])

        async def there() -> bool:
            try:
                await client.send("GET", f"/v2/account/keys/{thing.id}")
            except NotFound:
                return False
            return True

        with explained("Error retrieving SSH Key"):
            await retried(there, thing.timeouts["create"])
        await self.refresh(client, thing)

    async def look(self, client: Client, thing: Object) -> None:
        """GET."""
        with explained("Error retrieving SSH key"):
            key = (await client.send("GET", f"/v2/account/keys/{thing.id}"))["ssh_key"]
        thing.values |= {name: key[name] for name in ("name", "fingerprint", "public_key")}

    async def change(self, client: Client, thing: Object) -> None:
        """PUT its name."""
        with explained("Failed to update SSH key"):
            await client.send("PUT", f"/v2/account/keys/{thing.id}", {"name": thing.values["name"]})
        await self.refresh(client, thing)

    async def remove(self, client: Client, thing: Object) -> None:
        """DELETE; a key that is gone is an error."""
        with explained("Error deleting SSH key"):
            await client.send("DELETE", f"/v2/account/keys/{thing.id}")
