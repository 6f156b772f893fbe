"""One tenant that cannot be planned holds up no other and loses nothing, on the real engine and a light sandbox."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from meltanodata.cli.exit_codes import DRIFTED, FAILED, STOPPED
from sandbox.home import Home
from tests.sandbox.fleet import ACME, DEMO, REMOVES, Fleet, fleet_on
from tests.sandbox.programs import SECONDS
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.sandbox.api import Client

BOLT = {"database_team": "MeltanoData DBs 1"}
STACK = ("--stack", "sandbox")


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with fleet_on(Home(tmp_path / "home"), "light") as made:
        yield made


def _acts(fleet: Fleet, droplet: int, **action: Any) -> None:
    """An action on a droplet, as in the control panel, to its end."""
    id_ = fleet.world.meltano.post(f"/v2/droplets/{droplet}/actions", action)["action"]["id"]
    eventually(lambda: fleet.world.meltano.get(f"/v2/actions/{id_}")["action"]["status"] == "completed", SECONDS)


def _resources(fleet: Fleet, key: str) -> dict[str, dict[str, Any]]:
    """All that the state has of a tenant by name, without what each write makes anew: encryption, times and order."""
    resources = fleet.export("--show-secrets")["deployment"]["resources"]
    own = [it for it in resources if it["urn"].rpartition("::")[2].split("-")[0] == key]
    return {it["urn"].rpartition("::")[2]: _ordered({name: it[name] for name in _KEPT & it.keys()}) for it in own}


_KEPT = {
    *("id", "type", "parent", "provider", "inputs", "outputs", "dependencies", "propertyDependencies", "deletedWith"),
    *("resourceHooks", "customTimeouts", "replacementTrigger", "additionalSecretOutputs"),
}


def _ordered(resource: dict[str, Any]) -> dict[str, Any]:
    by_property = resource.get("propertyDependencies") or {}
    # The plugin's mark says which of the same inputs are defaults.
    inputs = {name: value for name, value in (resource.get("inputs") or {}).items() if name != "__defaults"}
    return {
        **resource,
        "inputs": inputs,
        "dependencies": sorted(resource.get("dependencies") or ()),
        "propertyDependencies": {name: sorted(urns) for name, urns in by_property.items() if urns},
        "additionalSecretOutputs": sorted(resource.get("additionalSecretOutputs") or ()),
    }


def test_a_droplet_resized_by_hand_stops_nobody_and_loses_nothing(fleet: Fleet) -> None:
    fleet.tenants(acme=ACME, demo=DEMO)
    fleet.up()
    acme = fleet.world.droplets()["acme"]
    before, told, login = _resources(fleet, "acme"), fleet.told("acme"), _login(fleet)
    for action in (
        {"type": "power_off"},
        {"type": "resize", "size": "s-2vcpu-4gb", "disk": True},
        {"type": "power_on"},
    ):
        _acts(fleet, acme, **action)

    # Somebody else's entry comes and goes meanwhile, and a third one's can never become anything.
    fleet.tenants(acme=ACME, bolt=BOLT, cave={**BOLT, "droplet_size": "s-9vcpu-9gb"})
    said = fleet.meltanodata("plan", *STACK, code=STOPPED)
    assert "Write droplet_size: s-2vcpu-4gb to keep the droplet" in said
    assert "cave cannot be planned" in said
    printed = fleet.meltanodata("plan", "--json", "--no-guard", *STACK)
    plan = json.JSONDecoder().raw_decode(printed)[0]["plan"]  # the reasons come on stderr as well
    assert {row["tenant"]: row["change"] for row in plan["rows"]} == {"bolt": "created", "demo": "destroyed"}
    assert [it["tenant"] for it in plan["left_alone"]] == ["acme", "cave"]
    said = fleet.up(*REMOVES, code=FAILED)
    assert "Write droplet_size: s-2vcpu-4gb to keep the droplet" in said.replace("\n", " ")
    assert set(fleet.world.droplets()) == set(fleet.world.clusters()) == {"acme", "bolt"}
    assert fleet.world.droplets()["acme"] == acme
    after = _resources(fleet, "acme")
    assert set(after) == set(before)
    for name, resource in after.items():
        assert resource == before[name], name
    assert (fleet.told("acme"), _login(fleet)) == (told, login)

    # The edit that was offered is enough.
    fleet.tenants(acme={**ACME, "droplet_size": "s-2vcpu-4gb"}, bolt=BOLT)
    fleet.up()
    fleet.unchanged()
    assert fleet.world.droplets()["acme"] == acme
    # A tenant that was left alone is rebuilt like any other.
    fleet.tenants(acme={**ACME, "rebuild": 1}, bolt=BOLT)
    fleet.up()
    fleet.unchanged()
    assert fleet.world.droplets()["acme"] != acme


def _login(fleet: Fleet) -> Any:
    return json.loads(fleet.pulumi("stack", "output", "--json", "--show-secrets"))["tenants"]["acme"]


def test_what_was_changed_by_hand_is_said_with_its_values_and_others_tags_stay(fleet: Fleet) -> None:
    fleet.tenants(acme=ACME, demo=DEMO)
    fleet.up()
    meltano, dbs = fleet.world.meltano, fleet.world.team("MeltanoData DBs 2")
    acme, record, cluster = (
        fleet.world.droplets()["acme"],
        fleet.world.records()["acme"],
        fleet.world.clusters()["acme"],
    )
    _tag(meltano, "monitored", "droplet", acme)
    _tag(dbs, "backed-up", "database", cluster)
    fleet.unchanged()
    assert "There is no drift" in fleet.meltanodata("drift", *STACK)

    # The program's own tag and TTL come back, with both values in the plan; nobody else's tag goes.
    meltano.delete("/v2/tags/production/resources", json={"resources": [_resource("droplet", acme)]})
    meltano.put(f"/v2/domains/meltanodata.com/records/{record['id']}", {"type": "A", "ttl": 1800})
    dbs.put(f"/v2/databases/{cluster}/resize", {"size": "db-s-1vcpu-2gb", "num_nodes": 1}, 202)
    eventually(lambda: dbs.get(f"/v2/databases/{cluster}")["database"]["status"] == "online", SECONDS)
    # A cluster that somebody scaled is left alone with its whole tenant: DigitalOcean would answer 422.
    said = fleet.meltanodata("drift", *STACK, code=DRIFTED)
    assert "Write database\\_size: db-s-1vcpu-2gb" in said.replace("database_size", "database\\_size")
    said = fleet.meltanodata("deploy", "--refresh", *STACK, code=FAILED)
    assert "Write database_size: db-s-1vcpu-2gb" in " ".join(said.split())

    fleet.tenants(acme={**ACME, "database_size": "db-s-1vcpu-2gb"}, demo=DEMO)
    said = fleet.meltanodata("drift", *STACK, code=DRIFTED)
    assert 'droplet tags: `["monitored"]` → `["monitored", "production"]`' in said
    assert "record ttl: `1800` → `3600`" in said
    assert "✅" not in said
    fleet.meltanodata("deploy", "--refresh", *STACK)
    assert sorted(meltano.get(f"/v2/droplets/{acme}")["droplet"]["tags"]) == ["monitored", "production"]
    assert sorted(dbs.get(f"/v2/databases/{cluster}")["database"]["tags"]) == ["backed-up", "production"]
    assert "There is no drift" in fleet.meltanodata("drift", *STACK)
    # A droplet that replaces it has them too: a Cloud Firewall may go by them.
    fleet.tenants(acme={**ACME, "database_size": "db-s-1vcpu-2gb", "rebuild": 1}, demo=DEMO)
    fleet.up()
    rebuilt = meltano.get(f"/v2/droplets/{fleet.world.droplets()['acme']}")["droplet"]
    assert (rebuilt["id"] != acme, sorted(rebuilt["tags"])) == (True, ["monitored", "production"])


def _resource(kind: str, id_: object) -> dict[str, str]:
    return {"resource_id": str(id_), "resource_type": kind}


def _tag(team: Client, tag: str, kind: str, id_: object) -> None:
    team.post("/v2/tags", {"name": tag})
    team.post(f"/v2/tags/{tag}/resources", {"resources": [_resource(kind, id_)]}, 204)
