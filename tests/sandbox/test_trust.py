"""Whom a tenant's database lets in at each moment of its life, on the real engine and a light sandbox."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from meltanodata.engine import deletions
from meltanodata.inventory.accounts import NOBODY
from sandbox.api.faults import Fault
from sandbox.home import Home
from tests.sandbox.fleet import REMOVES, Fleet, fleet_on

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sandbox.api.messages import DatabaseMoment

ACME = {"database_team": "MeltanoData DBs 1"}
CLOSED = (f"{NOBODY.kind}:{NOBODY.value}",)


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """An empty fleet."""
    with fleet_on(Home(tmp_path / "home"), "light") as fleet:
        yield fleet


def _address(fleet: Fleet) -> str:
    """Of acme's droplet."""
    (droplet,) = (it for it in fleet.control.droplets() if it.name.startswith("acme."))
    return droplet.address


def _rules(fleet: Fleet) -> list[tuple[str, ...]]:
    """What acme's cluster trusted, one after the other, since the start."""
    found: list[tuple[str, ...]] = []
    for moment in fleet.control.database_moments():
        if moment.status != "deleted" and moment.rules not in found[-1:]:
            found.append(moment.rules)
    return found


def _trusted_at(moments: list[DatabaseMoment], when: float) -> tuple[str, ...]:
    """What the one cluster trusted at a time."""
    return [moment for moment in moments if moment.time <= when][-1].rules


def _as_an_older_version_wrote_it(fleet: Fleet) -> None:
    """Take the hooks out of the state."""
    exported = fleet.export()
    hooks = [resource.pop("resourceHooks", None) for resource in exported["deployment"]["resources"]]
    assert any(hooks)
    file = fleet.home.path / "older.json"
    file.write_text(json.dumps(exported))
    fleet.pulumi("stack", "import", "--file", str(file))


def test_a_database_trusts_its_own_droplet_or_nobody_at_every_moment(fleet: Fleet) -> None:
    # The droplet cannot be made at first: its database is closed, and stays so.
    fleet.tenants(acme=ACME)
    no_droplet = Fault(effect="status", status=422, method="POST", path="/v2/droplets", times=None)
    number = fleet.control.add_fault(no_droplet)
    fleet.up("--continue-on-error", code=1)
    assert _rules(fleet) == [(), CLOSED]
    fleet.control.remove_fault(number)
    fleet.up()
    first = f"ip_addr:{_address(fleet)}"
    assert _rules(fleet) == [(), CLOSED, (first,)]
    fleet.pulumi("refresh", "--yes", "--skip-preview", "--run-program", "--expect-no-changes")
    fleet.unchanged()

    # A rebuild that fails halfway has given the old address back.
    fleet.tenants(acme={**ACME, "rebuild": 1})
    number = fleet.control.add_fault(no_droplet)
    fleet.up(code=1)
    assert fleet.world.droplets() == {}
    assert _rules(fleet)[3:] == [CLOSED]
    fleet.control.remove_fault(number)
    fleet.up()
    second = f"ip_addr:{_address(fleet)}"
    assert _rules(fleet)[4:] == [(second,)]
    fleet.unchanged()

    # So has a removal.
    number = fleet.control.add_fault(
        Fault(effect="status", status=422, method="DELETE", path="/v2/databases/*", times=None)
    )
    fleet.tenants()
    fleet.up("--continue-on-error", code=1)
    assert fleet.world.droplets() == {}
    assert list(fleet.world.clusters()) == ["acme"]
    assert _rules(fleet)[5:] == [CLOSED]
    fleet.control.remove_fault(number)
    fleet.up()
    assert fleet.world.clusters() == {}

    moments = fleet.control.database_moments()
    assert moments[0].status == "creating"
    assert "online" in {moment.status for moment in moments}
    assert [moment for moment in moments if moment.open] == []
    given_back = [it.time for it in fleet.control.requests() if it.method == "DELETE" and "/v2/droplets/" in it.path]
    assert len(given_back) >= 2
    assert {_trusted_at(moments, when) for when in given_back} == {CLOSED}


def test_a_droplet_and_its_database_go_together_or_stay_together(fleet: Fleet) -> None:
    fleet.tenants(acme=ACME)
    fleet.up()
    _as_an_older_version_wrote_it(fleet)
    fleet.unchanged()
    fleet.up()
    droplets = fleet.world.droplets()
    fault = Fault(effect="status", status=422, message="not now", method="PUT", path="/v2/databases/*", times=None)
    number = fleet.control.add_fault(fault)
    fleet.tenants(acme={**ACME, "rebuild": 1})
    said = fleet.up(code=1)
    assert "acme-droplet is left unchanged" in said
    assert "not now" in said
    assert fleet.world.droplets() == droplets
    fleet.control.remove_fault(number)
    # A droplet that cannot be destroyed after all works on with its database.
    number = fleet.control.add_fault(
        Fault(effect="status", status=403, method="GET", path="/v2/droplets/*", times=None)
    )
    fleet.up(code=1)
    assert fleet.world.droplets() == droplets
    assert _rules(fleet)[-2:] == [CLOSED, (f"ip_addr:{_address(fleet)}",)]
    fleet.control.remove_fault(number)
    fleet.up()
    assert fleet.world.droplets() != droplets
    assert _rules(fleet)[-1] == (f"ip_addr:{_address(fleet)}",)
    # The engine alone cannot do it, and says with what it can.
    assert "You must run with the `--run-program` flag" in fleet.pulumi("destroy", "--yes", "--skip-preview", code=1)
    fleet.environment[deletions.VARIABLE] = "acme"
    fleet.pulumi("destroy", "--yes", "--skip-preview", "--run-program")
    del fleet.environment[deletions.VARIABLE]
    assert fleet.world.everything() == ({}, set(), {})
    assert [moment for moment in fleet.control.database_moments() if moment.open] == []


def test_a_database_that_a_killed_run_left_open_is_closed_as_the_first_thing(fleet: Fleet) -> None:
    fleet.tenants(acme=ACME)
    fleet.killed_when(lambda: sum(team.databases for team in fleet.control.status().teams))
    (cluster,) = fleet.world.clusters().values()
    started = time.time()
    fleet.up()
    first, *_ = (it for it in fleet.control.requests(started) if it.method != "GET")
    assert (first.method, first.path) == ("PUT", f"/v2/databases/{cluster}/firewall")
    assert _rules(fleet)[-1] == (f"ip_addr:{_address(fleet)}",)
    fleet.unchanged()


def test_what_a_killed_run_was_making_is_closed_and_not_forgotten_when_its_entry_is_gone(fleet: Fleet) -> None:
    fleet.tenants(acme=ACME)
    stays_open = Fault(effect="hang", method="PUT", path="/v2/databases/*/firewall", times=None)
    number = fleet.control.add_fault(stays_open)
    fleet.killed_when(lambda: any(moment.open for moment in fleet.control.database_moments()))
    fleet.control.remove_fault(number)
    (cluster,) = fleet.world.clusters().values()
    pending = fleet.export()["deployment"]["pending_operations"]
    fleet.tenants()
    said = fleet.up(*REMOVES, code=1)
    assert f"acme: a killed run created the database db-postgresql-nyc3-11799-acme ({cluster}, " in said
    assert "Restore the entry of acme" in said
    assert _rules(fleet)[-1] == CLOSED
    assert fleet.export()["deployment"]["pending_operations"] == pending
    # A region that it is not in, so that there is no plan: it is closed all the same.
    writes = fleet.world.writes()
    fleet.tenants(acme={**ACME, "region": "sfo3"})
    assert "which is to be adopted, has nyc3" in fleet.up(code=1)
    assert fleet.world.writes() == writes
    # By the message: the entry back, then removed as ever.
    fleet.tenants(acme=ACME)
    fleet.up()
    fleet.unchanged()
    fleet.tenants()
    fleet.up(*REMOVES)
    assert fleet.world.everything() == ({}, set(), {})


def test_a_droplet_whose_rebuild_was_broken_off_and_taken_back_gets_into_its_database_again(fleet: Fleet) -> None:
    fleet.tenants(acme=ACME)
    fleet.up()
    before = _address(fleet)
    stays = Fault(effect="delay", delay=60, method="DELETE", path="/v2/droplets/*")
    number = fleet.control.add_fault(stays)
    fleet.tenants(acme={**ACME, "rebuild": 1})
    fleet.killed_when(lambda: _rules(fleet)[-1] == CLOSED)
    fleet.control.remove_fault(number)
    fleet.tenants(acme=ACME)
    fleet.up()
    assert _address(fleet) == before
    assert _rules(fleet)[-1] == (f"ip_addr:{before}",)
    fleet.unchanged()
