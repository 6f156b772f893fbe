"""A team's account, in which a person works."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from tests.sandbox.api import Client, new_database, new_droplet
from tests.sandbox.programs import SECONDS
from tests.waiting import eventually

if TYPE_CHECKING:
    from tests.sandbox.fleet import Fleet


class Team:
    """A team's account, in which a person works."""

    def __init__(self, fleet: Fleet, name: str) -> None:
        running = fleet.world.running
        self.client = Client(running.api_url, running.teams[name].token)
        self.moments = fleet.control.database_moments

    @cached_property
    def keys(self) -> list[int]:
        """The ids of its SSH keys, asked for once: only ten lists a minute are answered."""
        return [key["id"] for key in self.client.get("/v2/account/keys")["ssh_keys"]]

    def droplet(self, name: str, **more: Any) -> tuple[str, str]:
        """A droplet's id and address, once it is active."""
        body = new_droplet(self.client, name=name, ssh_keys=self.keys, **more)
        id_ = self.client.post("/v2/droplets", body, 202)["droplet"]["id"]

        def active() -> Any:
            droplet = self.client.get(f"/v2/droplets/{id_}")["droplet"]
            return droplet if droplet["status"] == "active" else None

        networks = eventually(active, SECONDS)["networks"]["v4"]
        return str(id_), next(it["ip_address"] for it in networks if it["type"] == "public")

    def record(self, name: str, address: str, ttl: int = 3600) -> str:
        """An A record's id."""
        body = {"type": "A", "name": name, "data": address, "ttl": ttl}
        return str(self.client.post("/v2/domains/meltanodata.com/records", body)["domain_record"]["id"])

    def cluster(self, name: str, *trusted: str, **more: Any) -> str:
        """A cluster's id, once it is online."""
        id_ = self.client.post("/v2/databases", new_database(name=name, **more))["database"]["id"]
        rules = [{"type": "ip_addr", "value": address} for address in trusted]
        # Not of the API, which has so many answers a minute.
        eventually(lambda: "online" in {it.status for it in self.moments() if it.id == id_}, SECONDS)
        self.client.put(f"/v2/databases/{id_}/firewall", {"rules": rules}, 204)
        return str(id_)
