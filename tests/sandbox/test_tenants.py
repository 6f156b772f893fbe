"""The whole program on the real engine and a light sandbox: tenants come, stay, change and go, whatever happens."""

from __future__ import annotations

import json
import re
import signal
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import asyncssh
import pytest

from meltanodata.program.sdk_patches import LEFT_OUT
from sandbox.api.faults import Fault
from sandbox.api.messages import DropletFault, NewSnapshot
from sandbox.home import Home
from sandbox.keys import Keys
from tests.sandbox.fleet import ACME, DEMO, REMOVES, Fleet, fleet_on, secrets_of
from tests.sandbox.processes import process_list
from tests.sandbox.programs import SECONDS
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGVzdCBrZXkgZm9yIHRlc3RzIG9ubHkgMTIzNDU2Nzg5 test"
NOTHING: tuple[dict[str, int], set[str], dict[str, str]] = ({}, set(), {})


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """An empty fleet."""
    with fleet_on(Home(tmp_path / "home"), "light") as fleet:
        yield fleet


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A fleet of two tenants that are there already; each test leaves it so."""
    with fleet_on(Home(tmp_path_factory.mktemp("settled") / "home"), "light") as fleet:
        fleet.tenants(demo=DEMO, acme=ACME)
        fleet.up()
        yield fleet


def _text(files: Iterable[Path]) -> str:
    return "".join(file.read_text(errors="replace") for file in files if file.is_file())


def test_two_tenants_live_side_by_side(fleet: Fleet) -> None:
    fleet.tenants(demo=DEMO, acme=ACME)
    with process_list() as processes:
        said = fleet.preview("--diff")
        made = fleet.up()
    said += made
    for key in ("demo", "acme"):
        assert (
            f"{key} is ready: https://{key}.meltanodata.com. The admin's login: meltanodata credentials {key}" in made
        )
    assert "database_team" not in made
    droplets, records, clusters = fleet.world.everything()
    assert set(droplets) == records == set(clusters) == {"demo", "acme"}
    said += fleet.preview("--expect-no-changes", "--diff") + fleet.pulumi("stack", "output")
    outputs = json.loads(fleet.pulumi("stack", "output", "--json", "--show-secrets"))["tenants"]
    assert outputs["acme"]["database_team"] == ACME["database_team"]
    assert outputs["acme"]["address"] == fleet.world.records()["acme"]["data"]

    # Each team's token is used for that team's objects alone.
    requests = fleet.control.requests()
    written = {(seen.team, seen.path.split("/")[2]) for seen in requests if seen.method != "GET"}
    assert {place for team, place in written if team == "Meltano"} == {"droplets", "domains", "projects"}
    assert {(team, place) for team, place in written if team != "Meltano"} == {
        (entry["database_team"], "databases") for entry in (DEMO, ACME)
    }

    # No secret is to be seen anywhere.
    secrets = secrets_of(fleet)
    assert len(secrets) > 15
    state = "".join(
        path.read_text(errors="replace") for path in fleet.home.folder("state").rglob("*") if path.is_file()
    )
    logs = "".join(path.read_text(errors="replace") for path in fleet.home.path.glob("*.log"))
    commands = "".join(
        execution.command + str(execution.environment)
        for droplet in droplets.values()
        for execution in fleet.control.executions(droplet)
    )
    shown = {"output": said, "processes": "".join(processes), "state": state, "logs": logs, "commands": commands}
    assert shown["state"]
    assert "meltano" in shown["processes"]
    found = [(place, name) for place, text in shown.items() for name, secret in secrets.items() if secret in text]
    assert found == []

    # Nothing that happens around them is a reason to change them.
    fleet.pulumi("refresh", "--yes", "--skip-preview", "--run-program", "--expect-no-changes")
    fleet.control.add_snapshot(NewSnapshot(team="Meltano", name="Ubuntu meltano-999999999", region="nyc3"))
    fleet.world.meltano.post("/v2/account/keys", {"name": "new colleague", "public_key": KEY})
    fleet.unchanged()

    # One of them goes; the other does not notice.
    ids, told = fleet.ids("demo"), fleet.told("demo")
    started = time.time()
    fleet.tenants(demo=DEMO)
    fleet.up(*REMOVES)
    assert fleet.world.everything() == ({"demo": droplets["demo"]}, {"demo"}, {"demo": clusters["demo"]})
    assert (fleet.ids("demo"), fleet.told("demo")) == (ids, told)
    assert fleet.ids("acme") == {}
    # At no moment did its database stand open.
    assert not [moment for moment in fleet.control.database_moments(started) if moment.open]
    fleet.unchanged()

    # It comes back under its old name at once.
    fleet.tenants(demo=DEMO, acme=ACME)
    fleet.up()
    again = fleet.world.everything()
    assert set(again[0]) == again[1] == set(again[2]) == {"demo", "acme"}
    assert again[0]["acme"] != droplets["acme"]
    assert again[2]["acme"] != clusters["acme"]
    assert (fleet.ids("demo"), fleet.told("demo")) == (ids, told)
    fleet.unchanged()


def test_a_run_that_is_killed_while_it_creates_is_finished_by_the_next(fleet: Fleet) -> None:
    fleet.tenants(acme=ACME)
    made: dict[str, Any] = {}

    def clusters() -> int:
        return sum(team.databases for team in fleet.control.status().teams)

    def commands(count: int) -> bool:
        return sum(len(fleet.control.executions(droplet.id)) for droplet in fleet.control.droplets()) >= count

    fleet.killed_when(fleet.control.droplets)
    made["droplet"] = fleet.world.droplets()["acme"]
    fleet.killed_when(clusters)
    fleet.killed_when(lambda: fleet.control.status().records)
    made["cluster"] = fleet.world.clusters()["acme"]
    fleet.killed_when(lambda: commands(1))
    for count in (3, 4):  # the scripts are put there in between
        fleet.killed_when(lambda count=count: commands(count))  # type: ignore[misc]
    said = fleet.up()
    droplets, records, found = fleet.world.everything()
    assert (droplets, records, found) == ({"acme": made["droplet"]}, {"acme"}, {"acme": made["cluster"]}), said
    fleet.unchanged()
    fleet.tenants()
    fleet.up(*REMOVES)
    assert fleet.world.everything() == NOTHING


def test_a_run_that_is_killed_while_it_removes_is_finished_by_the_next(fleet: Fleet) -> None:
    fleet.tenants(demo=DEMO, acme=ACME)
    fleet.up()
    ids, told, kept = fleet.ids("demo"), fleet.told("demo"), fleet.world.droplets()["demo"]
    fleet.tenants(demo=DEMO)

    def asked(method: str, place: str) -> bool:
        return any(seen.method == method and place in seen.path for seen in fleet.control.requests(started))

    for method, place in (("DELETE", "/records/"), ("DELETE", "/v2/databases/"), ("DELETE", "/v2/droplets/")):
        started = time.time()
        if place == "/v2/databases/" and "acme" not in fleet.world.clusters():
            continue  # the run before got so far
        fleet.killed_when(lambda method=method, place=place: asked(method, place), *REMOVES)  # type: ignore[misc]
    fleet.up(*REMOVES)
    assert fleet.world.everything() == ({"demo": kept}, {"demo"}, {"demo": fleet.world.clusters()["demo"]})
    assert (fleet.ids("demo"), fleet.told("demo")) == (ids, told)
    assert fleet.ids("acme") == {}
    fleet.unchanged()


def test_a_plugin_that_dies_leaves_a_cluster_that_the_next_run_takes_over(fleet: Fleet) -> None:
    fleet.tenants(acme=ACME)
    one = "/v2/databases/*-*-*-*-*"
    number = fleet.control.add_fault(Fault(effect="reset", method="GET", path=one, times=None))
    said = fleet.up(code=1)
    assert "EOF" in said
    fleet.control.remove_fault(number)
    orphan = fleet.world.clusters()["acme"]
    fleet.up()
    assert fleet.world.clusters() == {"acme": orphan}
    fleet.unchanged()


def test_an_interrupted_run_is_finished_by_the_next(fleet: Fleet) -> None:
    fleet.tenants(acme=ACME)
    with fleet.starting_up() as process:
        eventually(fleet.control.droplets, SECONDS)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=SECONDS)
    assert process.returncode != 0
    fleet.up()
    assert set(fleet.world.droplets()) == set(fleet.world.clusters()) == {"acme"}
    fleet.unchanged()


def test_an_api_in_trouble_only_takes_longer(fleet: Fleet) -> None:
    fleet.tenants(acme=ACME)
    for fault in (
        Fault(effect="status", status=429, retry_after=1, times=3),
        Fault(effect="status", status=503, method="GET", times=2),
        Fault(effect="status", status=429, retry_after=1, method="POST", times=2),
        Fault(effect="reset", method="GET", path="/v2/domains*", times=1),
    ):
        fleet.control.add_fault(fault)
    fleet.up()
    assert fleet.control.faults() == {}
    assert set(fleet.world.droplets()) == set(fleet.world.clusters()) == {"acme"}
    fleet.unchanged()


@pytest.mark.parametrize(
    ("effect", "words"),
    [("reset", "cannot be reached"), ("status", "Meltano: DigitalOcean answered GET /v2/account with 500")],
)
def test_an_api_that_is_down_is_said_and_harms_nobody(settled: Fleet, effect: Any, words: str) -> None:
    before, told = settled.world.everything(), settled.told("acme")
    number = settled.control.add_fault(Fault(effect=effect, status=500, times=None))
    for said in (settled.preview(code=1), settled.up(code=1)):
        assert words in said
        assert "Traceback" not in said
    settled.control.remove_fault(number)
    settled.unchanged()
    assert (settled.world.everything(), settled.told("acme")) == (before, told)


def test_a_deployment_says_who_is_ready_and_shows_no_plan_meanwhile(settled: Fleet) -> None:
    """Each tenant once, in its own stage; a plan says who has the lock; and `status` has all of it."""
    settled.tenants(demo=DEMO, acme={**ACME, "tls": "self_signed"}, bolt={**ACME}, core={**ACME})
    settled.pulumi("config", "set", "--path", "meltanodata:rollout.batch", "1")
    settled.pulumi("config", "set", "--path", "meltanodata:rollout.pause", "0")
    command = [sys.executable, "-c", "from meltanodata.cli.main import main; main()", "deploy"]
    deploying = settled.start(*command)
    with deploying:
        locks = settled.home.folder("state") / ".pulumi/locks"
        eventually(lambda: list(locks.rglob("*.json")) or deploying.poll() is not None, SECONDS)
        meanwhile = settled.meltanodata("plan", code=1)
        said, _ = deploying.communicate(timeout=SECONDS * 4)
    assert deploying.returncode == 0, said
    assert "which a run is changing: the stack is locked by" in meanwhile
    assert "which is still running. Wait until it ends" in meanwhile
    login = ". The admin's login: meltanodata credentials"
    assert re.findall(r"(\w+) is ready: https://\1\.meltanodata\.com" + re.escape(login) + r" \1\n", said) == [
        "bolt",
        "core",
    ]
    assert re.findall(r"(\w+) is ready again: (\S+)", said) == [("acme", "https://acme.meltanodata.com")]
    rows = json.loads(settled.meltanodata("status", "--no-health", "--json"))
    assert {tenant: row["in_state"] for tenant, row in rows.items()} == dict.fromkeys(
        ("acme", "bolt", "core", "demo"), "yes"
    )
    assert rows["demo"]["deployed"]["at"] < rows["acme"]["deployed"]["at"] < rows["core"]["deployed"]["at"]

    settled.tenants(demo=DEMO, acme=ACME)
    settled.up(*REMOVES)
    settled.unchanged()


def test_a_token_that_is_missing_or_refused_is_said_and_harms_nobody(settled: Fleet) -> None:
    before = settled.world.everything()
    setting = 'meltanodata:tokens["MeltanoData DBs 2"]'
    token = settled.world.running.teams["MeltanoData DBs 2"].token
    settled.pulumi("config", "rm", "--path", setting)
    said = settled.preview(code=1)
    assert f"{setting[12:]} is missing" in said
    assert "pulumi config set --stack sandbox --secret --path" in said
    settled.pulumi("config", "set", "--secret", "--path", setting, "dop_v1_wrong")
    for said in (settled.preview(code=1), settled.up(code=1)):
        assert "MeltanoData DBs 2" in said
        assert "Traceback" not in said
        assert "dop_v1_wrong" not in said
    settled.pulumi("config", "set", "--secret", "--path", setting, token)
    settled.unchanged()
    assert settled.world.everything() == before


def test_two_teams_tokens_swapped_are_found_before_anything_else(settled: Fleet) -> None:
    before = settled.world.everything()
    teams = ("MeltanoData DBs 1", "MeltanoData DBs 2")
    tokens = [settled.world.running.teams[team].token for team in teams]

    def give(*given: str) -> None:
        for team, token in zip(teams, given, strict=True):
            settled.pulumi("config", "set", "--secret", "--path", f'meltanodata:tokens["{team}"]', token)

    give(*reversed(tokens))
    started = time.time()
    for said in (settled.preview(code=1), settled.up(code=1)):
        for mine, other in (teams, reversed(teams)):
            assert f"{mine}: the token is of the team {other}" in said
            assert f"pulumi config set --stack sandbox --secret --path 'meltanodata:tokens[\"{mine}\"]'" in said
        assert "tenants.yaml" not in said
        assert not [token for token in tokens if token in said]
    assert {it.path for it in settled.control.requests(started)} == {"/v2/account"}
    give(*tokens)
    settled.unchanged()
    assert settled.world.everything() == before


def test_a_tenant_whose_name_leads_elsewhere_is_left_alone_before_anything_is_made(settled: Fleet) -> None:
    records = "/v2/domains/meltanodata.com/records"
    others = {
        "www": ("A", "198.51.100.80"),
        "shop": ("CNAME", "shop.example.com."),
        "six": ("AAAA", "2001:db8::1"),
        "acme": ("AAAA", "2001:db8::2"),
    }
    made = {
        name: settled.world.meltano.post(records, {"type": type_, "name": name, "data": data})["domain_record"]
        for name, (type_, data) in others.items()
    }
    before, written = settled.world.everything(), settled.world.writes()
    new = {name: dict(ACME) for name in others if name != "acme"}  # no two may be the same to YAML
    settled.tenants(demo=DEMO, acme=ACME, **new)
    for said in (settled.preview(), settled.up(code=5)):
        for name, record in made.items():
            reason = f"{name}.meltanodata.com has the {record['type']} record {record['id']} ("
            assert (reason in said) == (name != "acme")
        assert "Give the tenant another name" in said
        assert "Traceback" not in said
    settled.pulumi("config", "set", "meltanodata:no_tenants", '["shop"]')
    assert f"{settled.file.name}:" in (said := settled.preview(code=1))
    assert "shop: the setting no_tenants lists shop" in said
    settled.pulumi("config", "rm", "meltanodata:no_tenants")
    assert (settled.world.everything(), settled.world.writes()) == (before, written)
    # The tenants that are there are not concerned: not even by what stands beside their own record.
    settled.tenants(demo=DEMO, acme=ACME)
    settled.unchanged()
    assert "acme.meltanodata.com has AAAA records for 2001:db8::2" in settled.meltanodata("doctor", "acme", code=1)
    for record in made.values():
        settled.world.meltano.delete(f"{records}/{record['id']}")


def test_a_cluster_waits_for_a_name_that_was_used_a_moment_ago(fleet: Fleet) -> None:
    number = fleet.control.add_fault(
        Fault(
            effect="status",
            status=422,
            message="cluster name is not available",
            method="POST",
            path="/v2/databases",
            times=3,
        )
    )
    fleet.tenants(acme=ACME)
    said = fleet.up()
    assert "acme-database waits for its name" in said
    assert number not in fleet.control.faults()
    fleet.unchanged()
    # Where the hook has nothing to say, neither has it when the last tenant goes.
    fault = Fault(effect="status", status=422, message="not now", method="DELETE", path="/v2/databases/*", times=None)
    number = fleet.control.add_fault(fault)
    fleet.tenants()
    assert "not now" in fleet.up(*REMOVES, code=1)
    fleet.control.remove_fault(number)
    fleet.up(*REMOVES)
    assert fleet.world.everything() == NOTHING


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (DropletFault(kind="break"), "closes the connection while it is given the scripts"),
        (DropletFault(kind="exit", status=9, text="the disk is full"), "does not take the scripts: the disk is full"),
        (DropletFault(kind="break", command="write_files"), "acme-files"),
        (DropletFault(kind="exit", status=9, text="no such user", command="write_files"), "no such user"),
    ],
)
def test_a_droplet_that_fails_is_said_and_finished_by_the_next_run(
    settled: Fleet, fault: DropletFault, words: str
) -> None:
    droplets, demo, told = settled.world.droplets(), settled.ids("demo"), settled.told("demo")
    with _something_to_do(settled):
        settled.control.set_droplet_fault(droplets["acme"], fault)
        said = settled.up(code=1)
        assert words in said
        assert not [name for name, secret in secrets_of(settled).items() if secret in said]
        settled.control.set_droplet_fault(droplets["acme"], None)
        settled.up()
        settled.unchanged()
    assert (settled.world.droplets(), settled.ids("demo"), settled.told("demo")) == (droplets, demo, told)


def test_a_tenant_that_fails_loses_nothing_and_nobody_is_removed_meanwhile(settled: Fleet) -> None:
    before, ids, told = settled.world.everything(), settled.ids("acme"), settled.told("acme")
    number = settled.control.add_fault(
        Fault(effect="status", status=422, method="PUT", path="/v2/databases/*/resize", times=None)
    )
    started = time.time()
    settled.tenants(acme={**ACME, "database_size": "db-s-1vcpu-2gb"})
    said = settled.up("--continue-on-error", *REMOVES, code=1)
    assert LEFT_OUT in said
    assert "Traceback" not in said
    # What depends on the database, its firewall first of all, is as it was.
    assert (settled.world.everything(), settled.ids("acme"), settled.told("acme")) == (before, ids, told)
    firewalls = [seen for seen in settled.control.requests(started) if seen.path.endswith("/firewall")]
    assert [seen for seen in firewalls if seen.method != "GET"] == []
    settled.control.remove_fault(number)
    settled.tenants(demo=DEMO, acme=ACME)
    settled.up()
    settled.unchanged()


def test_a_droplet_that_hangs_can_be_interrupted(settled: Fleet) -> None:
    droplets, told = settled.world.droplets(), settled.told("acme")
    with _something_to_do(settled):
        settled.control.set_droplet_fault(droplets["acme"], DropletFault(kind="hang", command="write_files"))
        with settled.starting_up() as process:
            eventually(lambda: settled.told("acme") > told + 1, SECONDS)  # the first puts the scripts there
            # The first time the engine ends what it has begun, and this has no end; the second time it ends itself.
            process.send_signal(signal.SIGINT)
            assert any("^C received; cancelling" in line for line in process.stdout or ())
            process.send_signal(signal.SIGINT)
            said, _ = process.communicate(timeout=SECONDS)
        assert process.returncode != 0
        # The engine's outputs would look as if every tenant had been deleted.
        assert "database_team" not in said
        assert "Interrupted.\nUnder way at the end" in said
        assert "  creating acme-files\n" in said  # in place of the one that it has
        assert "This continues: meltanodata up --stack sandbox" in said
        settled.control.set_droplet_fault(droplets["acme"], None)
        settled.up()
        settled.unchanged()
    assert settled.world.droplets() == droplets


def test_another_ssh_key_runs_nothing_and_is_used_from_then_on(settled: Fleet) -> None:
    """Changed as an operator does: on the droplets, then in the settings."""
    ids = settled.ids("acme")
    before = Keys.ensure(settled.home, settled.world.running.domain).ssh_private_key.read_text()
    key = asyncssh.generate_private_key("ssh-ed25519")
    keys = settled.home.path / f"droplets/{settled.world.droplets()['acme']}/authorized_keys"
    old = keys.read_text()
    keys.write_bytes(key.export_public_key())
    settled.secret("ssh_private_key", key.export_private_key().decode())
    settled.unchanged()
    assert settled.ids("acme") == ids
    with _something_to_do(settled):
        settled.up()
        settled.unchanged()
    keys.write_text(old)
    settled.secret("ssh_private_key", before)
    settled.unchanged()


@contextmanager
def _something_to_do(settled: Fleet) -> Iterator[None]:
    """An edit that takes a Command on acme's droplet; taken back at the end."""
    settled.tenants(demo=DEMO, acme={**ACME, "tls": "self_signed"})
    yield
    settled.tenants(demo=DEMO, acme=ACME)
    settled.up()


def test_a_droplet_that_refuses_for_a_while_is_waited_for(fleet: Fleet) -> None:
    fleet.tenants(acme=ACME)
    with fleet.starting_up() as process:
        (droplet,) = eventually(fleet.control.droplets, SECONDS)
        fleet.control.set_droplet_fault(droplet.id, DropletFault(kind="refuse"))
        # The record comes when the droplet is active; by then the first contact has been tried.
        eventually(lambda: fleet.control.status().records, SECONDS)
        fleet.control.set_droplet_fault(droplet.id, None)
        said, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, said
    fleet.unchanged()
