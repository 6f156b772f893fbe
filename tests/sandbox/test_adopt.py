"""Instances that were made by hand are adopted as they are, on the real engine and a light sandbox."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest
import yaml

from sandbox.home import Home
from tests.fakes import onepassword as connect
from tests.sandbox.fleet import REMOVES, Fleet, fleet_on
from tests.sandbox.team import Team

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STACK = ("--stack", "sandbox")
IMPORTED = ("droplet", "record", "database")
MADE = {
    *("project", "firewall", "admin-password", "secret-key", "password-salt", "host-key", "files", "meltano", "verify"),
}
"""What there is nothing of yet; the firewall states the trusted sources."""


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """An empty fleet."""
    with fleet_on(Home(tmp_path / "home"), "light") as fleet:
        fleet.tenants()
        yield fleet


def effects(fleet: Fleet) -> dict[str, list[str]]:
    """What the plan says of an adoption or a new droplet, for people, by the tenant; without restarts."""
    rows = json.loads(fleet.meltanodata("plan", "--json", "--no-guard", *STACK))["plan"]["rows"]
    return {
        it["tenant"]: [effect["text"] for effect in it["effects"] if "restart" not in effect["text"]] for it in rows
    }


def tenants_steps(fleet: Fleet) -> dict[str, str]:
    """What a preview would do with the tenants; not with the stack and its providers."""
    teams = fleet.world.running.teams
    return {name: op for name, op in fleet.steps().items() if name not in teams and not name.startswith("meltanodata-")}


def adoption_of(key: str) -> dict[str, str]:
    """What the preview of an adoption shows of an instance, and nothing else."""
    imports, creates = dict.fromkeys(IMPORTED, "import"), dict.fromkeys(MADE, "create")
    return {key: "create", **{f"{key}-{name}": op for name, op in (imports | creates).items()}}


def test_instances_made_by_hand_are_adopted_as_they_are(fleet: Fleet) -> None:
    meltano, dbs_1, dbs_2 = (Team(fleet, name) for name in ("Meltano", "MeltanoData DBs 1", "MeltanoData DBs 2"))
    made: dict[str, str] = {}
    made["acme-droplet"], acme = meltano.droplet("acme.meltanodata.com")
    made["acme-record"] = meltano.record("acme", acme)
    made["acme-database"] = dbs_2.cluster("db-postgresql-nyc3-52483-acme", acme)
    # Nothing of the second one is called as the guide says, and it is bigger.
    made["demo2-droplet"], demo2 = meltano.droplet("old-demo", size="s-4vcpu-8gb")
    made["demo2-record"] = meltano.record("demo2", demo2)
    made["demo2-database"] = dbs_1.cluster("reporting", demo2, "198.51.100.9", size="db-s-1vcpu-2gb")
    _, controller = meltano.droplet("controller.meltanodata.com")
    meltano.record("controller", controller)
    dbs_1.cluster("lonely")
    fleet.pulumi("config", "set", "meltanodata:no_tenants", '["controller.meltanodata.com", "controller"]')

    _print_and_write(fleet)
    assert effects(fleet) == {"acme": ["keeps its login"], "demo2": ["keeps its login"]}
    assert tenants_steps(fleet) == adoption_of("acme") | adoption_of("demo2")
    started = time.time()
    fleet.up()
    fleet.unchanged()
    for key in ("acme", "demo2"):
        ids = {urn.rpartition("::")[2]: id_ for urn, id_ in fleet.ids(key).items()}
        assert {name: ids[name] for name in made if name.startswith(f"{key}-")} == {
            name: id_ for name, id_ in made.items() if name.startswith(f"{key}-")
        }
    # Nothing was switched off, resized, renamed or destroyed.
    written = [(it.method, it.path) for it in fleet.control.requests(started) if it.method != "GET"]
    assert not [it for it in written if it[0] == "DELETE" or it[1].endswith(("/actions", "/resize"))]
    assert len(fleet.control.droplets()) == 3
    trusted = dbs_1.client.get(f"/v2/databases/{made['demo2-database']}/firewall")["rules"]
    assert [rule["value"] for rule in trusted] == [demo2]
    assert "acme was adopted with its existing login" in fleet.meltanodata("credentials", "acme", *STACK, code=1)
    rest = fleet.meltanodata("adopt", *STACK)
    assert "database lonely" in rest
    assert yaml.safe_load(rest) is None

    # One more, whose admin gets a new password, and which was not made quite as the guide has it.
    _, bolt = meltano.droplet("bolt.meltanodata.com", tags=["by-hand"])
    meltano.record("bolt", bolt, ttl=1800)
    dbs_2.cluster("db-postgresql-nyc3-11111-bolt", bolt)
    shown = [line.split()[:7] for line in fleet.meltanodata("capacity", "--accounts", *STACK).splitlines()]
    assert ["MeltanoData", "DBs", "2", "1", "2", "2", "/"] in shown
    fleet.meltanodata("adopt", "--write", "--new-logins", *STACK)
    assert yaml.safe_load(fleet.file.read_text())["bolt"] == {
        "database_team": "MeltanoData DBs 2",
        "adopt": {"login": "new"},
    }
    others = "every other login of the instance stops working"
    assert effects(fleet) == {"bolt": ["a new login password; the old one stops working", others]}
    assert tenants_steps(fleet) == adoption_of("bolt") | {"bolt-droplet": "update", "bolt-record": "update"}
    fleet.up()
    fleet.unchanged()
    _keep_in_the_vault(fleet)


def _print_and_write(fleet: Fleet) -> None:
    """The entries, first on the terminal, then in the file."""
    printed = fleet.meltanodata("adopt", *STACK)
    assert fleet.file.read_text() == "{}\n"
    assert yaml.safe_load(printed) == {
        "acme": {"database_team": "MeltanoData DBs 2"},
        "demo2": {
            "database_team": "MeltanoData DBs 1",
            "droplet_size": "s-4vcpu-8gb",
            "database_size": "db-s-1vcpu-2gb",
            "adopt": {"droplet": "old-demo", "database": "reporting"},
        },
    }
    assert "# demo2: its cluster also trusts 198.51.100.9 (ip_addr); after up it trusts only the droplet" in printed
    assert "#   database lonely" in printed
    assert "controller" not in printed
    (fleet.home.path / "printed.yaml").write_text(printed)
    assert "2 tenants in 2 teams, no problems" in fleet.meltanodata(
        "check", str(fleet.home.path / "printed.yaml"), *STACK
    )

    fleet.file.write_text("# ours\n{}\n")
    assert "acme added, in MeltanoData DBs 2" in fleet.meltanodata("adopt", "--write", *STACK)
    assert fleet.file.read_text().startswith("# ours\n")
    assert yaml.safe_load(fleet.file.read_text()) == yaml.safe_load(printed)
    fleet.meltanodata("check", *STACK)


def _keep_in_the_vault(fleet: Fleet) -> None:
    """An item is there when its tenant is, and goes with it: the guide's last step of deleting an instance."""
    password = fleet.meltanodata("credentials", "bolt", *STACK).split()[-1]
    assert len(password) == 32
    keep = ("credentials", "--onepassword", "--yes", *STACK)
    with connect.serve() as server:
        vault = server.add_vault("meltanodata.com")
        fleet.environment |= {"OP_CONNECT_HOST": server.url, "OP_CONNECT_TOKEN": connect.TOKEN}
        assert password not in fleet.meltanodata(*keep)
        (item,) = server.items(vault).values()
        assert item["title"] == "bolt.meltanodata.com"
        assert password in [field["value"] for field in item["fields"]]
        assert "3 logins up to date" in fleet.meltanodata(*keep)
        entries = yaml.safe_load(fleet.file.read_text())
        fleet.tenants(**{key: options for key, options in entries.items() if key != "bolt"})
        fleet.up(*REMOVES)
        fleet.meltanodata(*keep)
        assert server.items(vault) == {}


def told_of_login(fleet: Fleet, droplet: str) -> list[tuple[bool, bool]]:
    """Whether a droplet was told to keep the admin's password, and its secrets, by each run of the scripts for them."""
    documents = [
        json.loads(it.stdin) for it in fleet.control.executions(int(droplet)) if it.stdin.startswith(("{", "["))
    ]
    passwords = [it["keep"] for it in documents if "keep" in it]
    secrets = [bool(it["kept"]) for it in documents if "kept" in it]
    return list(zip(passwords, secrets, strict=False))


def test_a_login_is_kept_or_not_whatever_is_killed_on_the_way(fleet: Fleet) -> None:
    meltano, dbs = Team(fleet, "Meltano"), Team(fleet, "MeltanoData DBs 2")
    hand, address = meltano.droplet("acme.meltanodata.com")
    meltano.record("acme", address)
    dbs.cluster("db-postgresql-nyc3-52483-acme", address)
    ours = {"database_team": "MeltanoData DBs 1"}
    fleet.tenants(acme={"database_team": "MeltanoData DBs 2"}, bolt=ours)

    def bolts() -> list[str]:
        return [str(it.id) for it in fleet.control.droplets() if it.name == "bolt.meltanodata.com"]

    # What this run makes and does not note is found by the next one as if it had been made by hand.
    fleet.killed_when(bolts)
    (made,) = bolts()
    goes_on = ["an interrupted adoption continues; its login is as that run's plan said"]
    said = effects(fleet)
    assert said["bolt"] == goes_on
    # How far it got with the other one depends on the machine.
    assert said["acme"] in (["keeps its login"], goes_on, [])
    fleet.killed_when(lambda: fleet.control.executions(int(hand)))
    fleet.killed_when(lambda: told_of_login(fleet, hand) or told_of_login(fleet, made))
    fleet.up()
    fleet.unchanged()
    assert bolts() == [made]
    assert set(told_of_login(fleet, hand)) == {(True, True)}
    assert set(told_of_login(fleet, made)) == {(False, False)}
    assert len(fleet.meltanodata("credentials", "bolt", *STACK).split()[-1]) == 32
    assert "acme was adopted with its existing login" in fleet.meltanodata("credentials", "acme", *STACK, code=1)

    # A new password leaves the secrets that the other logins need.
    fleet.tenants(acme={"database_team": "MeltanoData DBs 2", "admin_password_generation": 2}, bolt=ours)
    assert "a new login password; the old one stops working" in effects(fleet)["acme"]
    commands = {"acme-meltano": "replace", "acme-verify": "replace"}
    assert tenants_steps(fleet) == {"acme": "update", "acme-admin-password": "replace", **commands}

    # A new droplet has nothing of the old one's, so it gets the login of the state; and it is said.
    fleet.tenants(acme={"database_team": "MeltanoData DBs 2", "rebuild": 1}, bolt=ours)
    assert "a new login password; the old one stops working" in effects(fleet)["acme"]
    fleet.killed_when(fleet.asked("POST", "/v2/droplets"))
    fleet.up()
    fleet.unchanged()
    (anew,) = [str(it.id) for it in fleet.control.droplets() if it.name == "acme.meltanodata.com"]
    assert anew != hand
    assert set(told_of_login(fleet, anew)) == {(False, False)}
    assert len(fleet.meltanodata("credentials", "acme", *STACK).split()[-1]) == 32
