"""What was deleted by hand does not keep `up` from finishing: a delete that finds nothing is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox.home import Home
from tests.sandbox.fleet import Fleet, fleet_on

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BOLT = {"database_team": "MeltanoData DBs 2"}


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with fleet_on(Home(tmp_path / "home"), "light") as made:
        yield made


def test_removing_a_tenant_whose_objects_are_gone_already_is_done(fleet: Fleet) -> None:
    acme = {"database_team": "MeltanoData DBs 1"}
    fleet.tenants(acme=acme, bolt=BOLT)
    fleet.up()
    bolts = fleet.ids("bolt")
    world = fleet.world
    world.team("MeltanoData DBs 1").delete(f"/v2/databases/{world.clusters()['acme']}")
    world.meltano.delete(f"/v2/domains/meltanodata.com/records/{world.records()['acme']['id']}")
    world.meltano.delete(f"/v2/droplets/{world.droplets()['acme']}")
    fleet.tenants(bolt=BOLT)
    assert "Removing from the state what no longer exists" in fleet.up()
    assert fleet.ids("acme") == {}
    assert fleet.ids("bolt") == bolts
    fleet.unchanged()
