"""Requests that DigitalOcean carries out and answers with an error, on the real engine and a light sandbox."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Literal

import pytest

from meltanodata.program.sdk_patches import LEFT_OUT
from sandbox.api.faults import Fault
from sandbox.home import Home
from tests.sandbox.fleet import Fleet, fleet_on

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ACME = {"database_team": "MeltanoData DBs 1"}
DEMO = {"database_team": "MeltanoData DBs 2"}


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """An empty fleet."""
    with fleet_on(Home(tmp_path / "home"), "light") as fleet:
        yield fleet


def _carried_out(path: str, effect: Literal["status", "reset"]) -> Fault:
    return Fault(effect=effect, method="POST", path=path, after_work=True)


def _known(fleet: Fleet, key: str, kind: str) -> str:
    """The id that the state has."""
    return next(id_ for urn, id_ in fleet.ids(key).items() if urn.endswith(f"::{key}-{kind}"))


def test_what_was_made_twice_fails_the_run_and_is_told_apart_from_the_states(fleet: Fleet) -> None:
    fleet.tenants(acme=ACME, demo=DEMO)
    fleet.control.add_fault(_carried_out("/v2/droplets", "status"))
    fleet.control.add_fault(_carried_out("/v2/domains/*/records", "reset"))
    # Another tenant fails meanwhile, and neither trouble hides the other.
    fault = Fault(effect="status", status=422, method="POST", path="/v2/databases", team="MeltanoData DBs 2")
    fleet.control.add_fault(fault)
    said = fleet.up("--continue-on-error", code=1)
    assert "Traceback" not in said
    assert "Something was created twice" in said
    assert LEFT_OUT in said
    twice = {droplet.name.split(".")[0] for droplet in fleet.control.droplets()}
    assert twice == {"acme", "demo"}
    assert len(fleet.control.droplets()) == 3
    key = next(name for name in twice if sum(it.name.startswith(f"{name}.") for it in fleet.control.droplets()) == 2)
    droplets = {str(it.id) for it in fleet.control.droplets() if it.name.startswith(f"{key}.")}
    known = _known(fleet, key, "droplet")
    (stray,) = droplets - {known}
    told = f"{key}: 2 droplets have the name {key}.meltanodata.com. The stack's state has {known} ("
    deletes = f"doctl compute droplet delete {stray}"
    assert told in said
    assert deletes in said
    assert f"doctl compute droplet delete {known}" not in said
    record = re.search(r"(\w+): 2 A records have the name \1\. The stack's state has (\d+) .*? delete \S+ (\d+)", said)
    assert record
    assert record[2] == _known(fleet, record[1], "record")
    assert record[3] != record[2]
    # The next preview says the same, and nothing is done.
    refused = fleet.preview(code=1)
    assert told in refused
    assert deletes in refused
    assert record[0] in refused


def test_a_run_that_creates_once_asks_for_one_set_of_lists_and_one_that_creates_nothing_for_none(fleet: Fleet) -> None:
    fleet.tenants(acme=ACME)
    fleet.up()

    def lists() -> int:
        return sum(it.method == "GET" and it.path.startswith("/v2/droplets?") for it in fleet.control.requests(started))

    started = time.time()
    fleet.unchanged()
    before = lists()
    started = time.time()
    fleet.up()
    assert (before, lists()) == (1, 2)  # the plan that `up` shows asks once, and the run itself
    fleet.tenants(acme={**ACME, "rebuild": 1})
    started = time.time()
    fleet.up()
    assert lists() == 3  # once more, since something was created


@pytest.mark.parametrize("effect", ["status", "reset"])
def test_a_cluster_that_waits_for_its_own_name_is_recognised_at_once(
    fleet: Fleet, effect: Literal["status", "reset"]
) -> None:
    fleet.tenants(acme=ACME)
    fleet.control.add_fault(_carried_out("/v2/databases", effect))
    started = time.monotonic()
    said = fleet.up("--continue-on-error", code=1)
    assert time.monotonic() - started < 100
    made = fleet.world.clusters()["acme"]
    assert f"exists nevertheless: {made} (team MeltanoData DBs 1" in said
    assert "Run `meltanodata up` again, which takes it over" in said
    assert "waits for its name" not in said
    fleet.up()
    assert fleet.world.clusters() == {"acme": made}
    fleet.unchanged()
    assert [moment for moment in fleet.control.database_moments() if moment.open] == []
