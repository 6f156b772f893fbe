"""DigitalOcean's own Python client takes the sandbox for DigitalOcean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pydo
import pytest
from azure.core.exceptions import HttpResponseError

from tests.sandbox.api import Client, new_database, new_droplet
from tests.waiting import eventually

if TYPE_CHECKING:
    from sandbox.running import Running

# pydo refuses a bearer token over plain HTTP unless each call says that it may go.
PLAIN = {"enforce_https": False}


@pytest.fixture
def client(running: Running, meltano: Client) -> Any:  # noqa: ARG001 (a sandbox as at first)
    return pydo.Client(running.teams["Meltano"].token, endpoint=running.api_url)


def test_a_tenants_objects_come_and_go(client: Any, meltano: Client) -> None:
    keys = [key["id"] for key in client.ssh_keys.list(**PLAIN)["ssh_keys"]]
    made = client.droplets.create(body=new_droplet(meltano, ssh_keys=keys), **PLAIN)["droplet"]
    droplet = eventually(lambda: (d := client.droplets.get(made["id"], **PLAIN)["droplet"])["status"] == "active" and d)
    address = next(n["ip_address"] for n in droplet["networks"]["v4"] if n["type"] == "public")
    record = {"type": "A", "name": "acme", "data": address, "ttl": 3600}
    made_record = client.domains.create_record("meltanodata.com", body=record, **PLAIN)["domain_record"]
    assert record.items() <= made_record.items()
    body = {key: value for key, value in new_database().items() if value}
    cluster = client.databases.create_cluster(body=body, **PLAIN)["database"]["id"]
    client.databases.update_firewall_rules(cluster, body={"rules": [{"type": "ip_addr", "value": address}]}, **PLAIN)
    assert [r["value"] for r in client.databases.list_firewall_rules(cluster, **PLAIN)["rules"]] == [address]
    client.droplets.destroy(made["id"], **PLAIN)
    client.domains.delete_record("meltanodata.com", made_record["id"], **PLAIN)
    client.databases.destroy_cluster(cluster, **PLAIN)
    assert client.databases.list_clusters(**PLAIN)["databases"] == []
    eventually(lambda: client.droplets.list(**PLAIN)["meta"]["total"] == 0)


def test_a_list_is_followed_to_its_end(client: Any, meltano: Client) -> None:
    names = [f"t{number:02}.meltanodata.com" for number in range(45)]
    body = new_droplet(meltano)
    del body["name"]
    for start in range(0, 45, 10):
        client.droplets.create(body=body | {"names": names[start : start + 10]}, **PLAIN)
    found: list[str] = []
    page = 1
    while True:
        answer = client.droplets.list(page=page, **PLAIN)  # 20 at a time, its default
        found += [droplet["name"] for droplet in answer["droplets"]]
        if "next" not in answer["links"].get("pages", {}):
            break
        page += 1
    assert (found, page) == (names, 3)


def test_errors_arrive_as_the_client_expects_them(client: Any, running: Running) -> None:
    assert client.droplets.get(1, **PLAIN)["id"] == "not_found"
    stranger = pydo.Client("nobody's", endpoint=running.api_url)
    with pytest.raises(HttpResponseError) as refused:
        stranger.account.get(**PLAIN)
    assert refused.value.status_code == 401
    with pytest.raises(HttpResponseError, match="invalid cluster engine version") as refused:
        client.databases.create_cluster(body={**new_database(version="11"), "rules": []}, **PLAIN)
    assert refused.value.status_code == 422
