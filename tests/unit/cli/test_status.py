"""`meltanodata status`: whose stack is asked, which rows there are, and what one stack that fails hides."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from meltanodata.cli import droplets, recovery
from meltanodata.cli.status import QUICK
from meltanodata.config.checks import ON_DROPLET, Check
from meltanodata.doctor.diagnosis import Finding, Level
from meltanodata.engine import pulumi_cli
from meltanodata.engine.resource_types import Type
from meltanodata.errors import UserError
from tests.unit.cli.project import SETTINGS, run
from tests.unit.engine.parts import component, part, state

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from meltanodata.config.settings import Settings
    from meltanodata.engine.instances import Instance

TEAM = "MeltanoData DBs"
AT = "2026-11-20T10:05:07Z"


class World:
    """Two stacks: acme and gone are in the first one's state, the file has acme, bolt and new."""

    def __init__(self) -> None:
        self.states: dict[str, dict[str, Any]] = {
            "prod": state(*self.made("acme"), *self.made("gone")),
            "prod-2": state(component("bolt"), part("bolt", Type.DROPLET, "droplet")),
        }
        self.unreadable: set[str] = set()
        self.secrets: list[bool] = []
        self.examined: list[tuple[list[str], frozenset[Check]]] = []

    @staticmethod
    def made(tenant: str) -> list[dict[str, Any]]:
        return [component(tenant), {**part(tenant, Type.COMMAND, "verify"), "modified": AT}]

    def export(self, stack: str, _: Path, *, show_secrets: bool = False) -> dict[str, Any]:
        self.secrets.append(show_secrets)
        if stack in self.unreadable:
            raise UserError("incorrect passphrase")
        return self.states[stack]

    def examine(
        self, _: Settings, __: object, selected: Sequence[Instance], checks: Collection[Check]
    ) -> dict[str, list[Finding]]:
        self.examined.append(([instance.tenant for instance in selected], frozenset(checks)))
        return {
            it.tenant: [Finding(Check.PAGE, Level.WRONG if it.tenant == "gone" else Level.OK, "seen")]
            for it in selected
        }


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    (tmp_path / "Pulumi.yaml").write_text("name: meltanodata\nruntime: python\n")
    for number, stack in enumerate(made.states, 1):
        (tmp_path / f"Pulumi.{stack}.yaml").write_text(SETTINGS.replace(f"{TEAM} 1", f"{TEAM} {number}"))
    entries = {"acme": 1, "bolt": 2, "new": 1, "lost": 7}
    text = "".join(f"{key}:\n  database_team: {TEAM} {number}\n" for key, number in entries.items())
    (tmp_path / "tenants.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PULUMI_STACK", raising=False)
    monkeypatch.setattr(pulumi_cli, "export", made.export)
    environment = {"git.author": "Ann", "git.head": "a" * 40}
    history = [{"startTime": "2026-11-20T10:00:00Z", "endTime": "2026-11-20T10:06:00Z", "environment": environment}]
    monkeypatch.setattr(pulumi_cli, "history", lambda *_: history)
    monkeypatch.setattr(recovery, "locked_by", lambda *_: [])
    monkeypatch.setattr(droplets, "examine", made.examine)
    return made


def rows(*arguments: str, code: int = 0) -> dict[str, Any]:
    done = run("status", "--json", *arguments)
    assert done.exit_code == code, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_every_tenant_of_file_and_state_has_a_row(world: World) -> None:
    found = rows()
    assert {
        tenant: (row["stack"], row["in_file"], row["in_state"], row["health"]) for tenant, row in found.items()
    } == {
        "acme": ("prod", True, "yes", "ok"),
        "gone": ("prod", False, "yes", "wrong"),
        "new": ("prod", True, "no", None),
        "bolt": ("prod-2", True, "unfinished", "ok"),
        "lost": (None, True, "no", None),
    }
    assert found["acme"]["deployed"] == {"at": "2026-11-20T10:05:07+00:00", "author": "Ann", "commit": "a" * 40}
    assert found["bolt"]["deployed"] is None
    assert [tenants for tenants, _ in world.examined] == [["acme", "gone"], ["bolt"]]


def test_health_asks_no_script_on_a_droplet_and_not_digitalocean(world: World) -> None:
    rows()
    assert {checks for _, checks in world.examined} == {QUICK}
    assert not QUICK & {*ON_DROPLET, Check.TRUSTED, Check.FIREWALL, Check.PING}


def test_without_health_no_droplet_is_asked_and_no_secret_is_read(world: World) -> None:
    assert {row["health"] for row in rows("--no-health").values()} == {None}
    assert (world.examined, set(world.secrets)) == ([], {False})


def test_some_tenants_and_one_stack(world: World) -> None:
    assert list(rows("acme", "new")) == ["acme", "new"]
    assert [tenants for tenants, _ in world.examined] == [["acme"]]
    assert list(rows("--stack", "prod-2")) == ["bolt", "lost"]


@pytest.mark.usefixtures("world")
def test_a_name_that_is_nobodys_is_a_mistake() -> None:
    done = run("status", "bold")
    assert done.exit_code == 1
    assert "there is no tenant 'bold' in prod and prod-2. Did you mean 'bolt'?" in str(done.exception)


def test_a_state_that_cannot_be_read_hides_nothing_of_the_others(world: World) -> None:
    world.unreadable = {"prod"}
    found = rows(code=1)
    assert (found["acme"]["in_state"], found["new"]["in_state"]) == ("unknown", "unknown")
    assert found["bolt"]["health"] == "ok"
    assert "prod: incorrect passphrase" in run("status").stderr


def test_a_tenant_on_which_an_operation_was_begun_is_unfinished(world: World) -> None:
    deployment = world.states["prod"]["deployment"]
    urn = "urn:pulumi:prod::meltanodata::meltanodata:index:Tenant$x::acme-files"
    deployment["pending_operations"] = [{"type": "updating", "resource": {"urn": urn}}]
    assert {key: row["in_state"] for key, row in rows("acme", "gone").items()} == {"acme": "unfinished", "gone": "yes"}


def test_droplets_that_cannot_be_examined_leave_the_rest(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    del world

    def examine(*_: object) -> dict[str, list[Finding]]:
        raise UserError("prod has no ssh_private_key")

    monkeypatch.setattr(droplets, "examine", examine)
    found = rows("acme")
    assert (found["acme"]["in_state"], found["acme"]["health"]) == ("yes", None)
    assert "prod: no droplet was examined: prod has no ssh_private_key" in run("status", "acme").stderr


def test_a_file_with_mistakes_makes_nobody_look_removed(world: World) -> None:
    del world
    Path("tenants.yaml").write_text("acme: [\n")
    done = run("status", "--no-health", "--json")
    assert {row["in_file"] for row in json.loads(done.stdout).values()} == {None}
    assert "would delete" not in run("status", "--no-health").output
    assert "tenants.yaml has 1 mistake: meltanodata check" in done.stderr


def test_who_has_the_lock_and_mistakes_in_the_file_are_said(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    del world
    monkeypatch.setattr(recovery, "locked_by", lambda stack, _: [f"locked by ci for {stack}"])
    with Path("tenants.yaml").open("a", encoding="utf-8") as file:
        file.write("odd:\n  nonsense: 1\n")
    done = run("status", "--no-health")
    assert "prod: locked by ci for prod\nprod-2: locked by ci for prod-2\n" in done.stderr
    assert "tenants.yaml has" in done.stderr
    assert "meltanodata check" in done.stderr
