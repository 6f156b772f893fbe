"""Networks of a team's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.sandbox.api import Client, new_database, new_droplet
from tests.waiting import eventually

if TYPE_CHECKING:
    from sandbox.running import Running

NEW = {"name": "tenants", "region": "nyc3"}


def create(client: Client, **changes: object) -> dict[str, Any]:
    vpc: dict[str, Any] = client.post("/v2/vpcs", {**NEW, **changes})["vpc"]
    return vpc


def test_a_region_has_a_default_network_once_it_is_used(meltano: Client) -> None:
    assert meltano.get("/v2/vpcs")["vpcs"] == []
    droplet = meltano.post("/v2/droplets", new_droplet(meltano), 202)["droplet"]
    (vpc,) = meltano.get("/v2/vpcs")["vpcs"]
    assert (vpc["name"], vpc["default"], vpc["region"]) == ("default-nyc3", True, "nyc3")
    assert droplet["vpc_uuid"] == vpc["id"]
    database = meltano.post("/v2/databases", new_database())["database"]
    assert database["private_network_uuid"] == vpc["id"]
    urns = {member["urn"] for member in meltano.get(f"/v2/vpcs/{vpc['id']}/members")["members"]}
    assert urns == {f"do:droplet:{droplet['id']}", f"do:dbaas:{database['id']}"}
    (member,) = meltano.get(f"/v2/vpcs/{vpc['id']}/members?resource_type=dbaas")["members"]
    assert member["name"] == database["name"]


def test_the_first_network_of_a_region_is_its_default(meltano: Client) -> None:
    first, second = create(meltano), create(meltano, name="other")
    assert (first["default"], second["default"]) == (True, False)
    droplet = meltano.post("/v2/droplets", new_droplet(meltano), 202)["droplet"]
    assert droplet["vpc_uuid"] == first["id"]
    assert first["ip_range"] != second["ip_range"]
    made = meltano.patch(f"/v2/vpcs/{second['id']}", {"default": True})["vpc"]
    assert made["default"] is True
    assert meltano.get(f"/v2/vpcs/{first['id']}")["vpc"]["default"] is False
    assert "default" in meltano.patch(f"/v2/vpcs/{second['id']}", {"default": False}, 422)["message"]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"region": "mars1"}, 422),
        ({"name": "under_score"}, 422),
        ({"description": "x" * 256}, 422),
        ({"ip_range": "10.0.0.0/15"}, 422),
        ({"ip_range": "10.0.0.0/29"}, 422),
        ({"ip_range": "8.8.8.0/24"}, 422),
        ({"ip_range": "10.0.0.1/24"}, 422),
        ({"ip_range": "10.100.0.0/24"}, 422),
        ({"name": "taken"}, 409),
    ],
    ids=str,
)
def test_a_network_that_cannot_be_is_refused(meltano: Client, changes: dict[str, str], status: int) -> None:
    create(meltano, name="taken")
    meltano.post("/v2/vpcs", {**NEW, **changes}, status)
    assert len(meltano.get("/v2/vpcs")["vpcs"]) == 1


def test_names_and_descriptions_change(meltano: Client) -> None:
    vpc = create(meltano, description="old")
    path = f"/v2/vpcs/{vpc['id']}"
    assert meltano.patch(path, {"name": "new"})["vpc"]["description"] == "old"
    assert meltano.put(path, {"name": "newer"})["vpc"] == {**vpc, "name": "newer", "description": ""}
    meltano.put(path, {"description": "no name"}, 422)


def test_a_network_goes_once_nothing_is_in_it(meltano: Client) -> None:
    default, other = create(meltano), create(meltano, name="other")
    droplet = meltano.post("/v2/droplets", new_droplet(meltano, vpc_uuid=other["id"]), 202)["droplet"]["id"]
    assert "members" in meltano.delete(f"/v2/vpcs/{other['id']}", 403)["message"]
    meltano.delete(f"/v2/droplets/{droplet}")
    eventually(lambda: meltano.request("GET", f"/v2/droplets/{droplet}").status_code == 404)
    meltano.delete(f"/v2/vpcs/{other['id']}")
    meltano.get(f"/v2/vpcs/{other['id']}", 404)
    assert "default" in meltano.delete(f"/v2/vpcs/{default['id']}", 403)["message"]


def test_a_team_sees_its_own_only(meltano: Client, running: Running) -> None:
    vpc = create(meltano)
    other = Client(running.api_url, running.teams["MeltanoData DBs 1"].token)
    assert other.get("/v2/vpcs")["vpcs"] == []
    other.get(f"/v2/vpcs/{vpc['id']}", 404)
    other.delete(f"/v2/vpcs/{vpc['id']}", 404)
    assert create(other)["name"] == vpc["name"]
