"""doctor, ssh, logs, restart and psql up to the droplet: whose stack is asked, what is printed, how it ends."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest
import typer
from pydantic import SecretStr
from typer.testing import CliRunner

from meltanodata import terminal
from meltanodata.cli import droplets
from meltanodata.cli.main import app
from meltanodata.cli.options import tenant_names
from meltanodata.config import settings_loading
from meltanodata.config.checks import Check
from meltanodata.config.settings_loading import read
from meltanodata.config.stacks import Project
from meltanodata.doctor import probes, restarting
from meltanodata.doctor.diagnosis import Finding, Level
from meltanodata.droplet import openssh, psql
from meltanodata.engine import pulumi_cli
from tests.unit.cli.project import SETTINGS
from tests.unit.engine.parts import component, part, state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from typer.testing import Result

    from meltanodata.doctor.probes import Way
    from meltanodata.engine.instances import Instance

TEAM = "MeltanoData DBs"


class World:
    """Two stacks with a team each, whose tenants are as `sick` has them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.states = {"prod": ["acme", "gone"], "prod-2": ["bolt"]}
        self.asked: list[str] = []
        self.sick: dict[str, list[int]] = {}
        """By tenant, at which looks (from 0) something is wrong."""
        self.looks: list[list[str]] = []
        self.ssh: list[tuple[str, Sequence[str]]] = []
        (folder / "Pulumi.yaml").write_text("name: meltanodata\nruntime: python\n")
        for number, stack in enumerate(self.states, 1):
            text = SETTINGS.replace(f"{TEAM} 1", f"{TEAM} {number}")
            (folder / f"Pulumi.{stack}.yaml").write_text(text)
        (folder / "tenants.yaml").write_text(
            f"bolt:\n  database_team: {TEAM} 2\nacme:\n  database_team: {TEAM} 1\nnew:\n  database_team: {TEAM} 1\n"
        )

    def export(self, stack: str, _: Path, *, show_secrets: bool = False) -> dict[str, Any]:
        assert show_secrets
        self.asked.append(stack)
        return state(
            *(
                resource
                for tenant in self.states[stack]
                for resource in (component(tenant), part(tenant, "x", "host-key", stdout="ssh-ed25519 AAAA"))
            )
        )

    def examine(self, patients: Iterable[tuple[Instance, Way]], done: Any) -> dict[str, list[Finding]]:
        found = {}
        for instance, way in patients:
            assert way.private_key.get_secret_value() == "key"
            wrong = len(self.looks) in self.sick.get(instance.tenant, [])
            found[instance.tenant] = [Finding(Check.PING, Level.WRONG if wrong else Level.OK, "seen", "mend")]
            done(instance, found[instance.tenant])
        self.looks.append(list(found))
        return found

    def run(
        self,
        instance: Instance,
        _: int,
        __: SecretStr,
        command: Sequence[str],
        *,
        take: Callable[[str], None] | None = None,
        **___: object,
    ) -> int:
        self.ssh.append((instance.tenant, command))
        if take:
            take("\x1b[32m[info]\x1b[0m \x1b]0;title\x07\n")
            take("::error::x\n")
        return 7


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PULUMI_STACK", raising=False)
    # Not every machine has one; nothing is run of it here.
    (tmp_path / "programs").mkdir()
    (tmp_path / "programs/ping").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "programs"), prepend=os.pathsep)
    monkeypatch.setattr(pulumi_cli, "export", made.export)
    monkeypatch.setattr(pulumi_cli, "config", lambda *_: {})
    monkeypatch.setattr(settings_loading, "ssh_private_key", lambda *_: SecretStr("key"))
    monkeypatch.setattr(probes, "examine", made.examine)
    monkeypatch.setattr(openssh, "run", made.run)
    return made


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def test_all_tenants_of_all_stacks(world: World) -> None:
    world.states["prod"].append("new")
    done = run("doctor")
    assert done.exit_code == 0, done.output
    assert world.looks == [["acme", "gone", "new"], ["bolt"]]
    assert "4 of 4 tenants are well" in done.output


@pytest.mark.usefixtures("world")
def test_who_is_in_the_file_and_was_never_deployed_is_told() -> None:
    done = run("doctor")
    assert done.exit_code == 1
    assert "it has an entry in tenants.yaml and is not deployed yet" in done.output
    assert "new, ssh: meltanodata up --stack prod\n" in done.output
    assert "3 of 4 tenants are well" in done.output


@pytest.mark.parametrize("arguments", [["new"], ["--stack", "prod", "new"]])
def test_asked_for_by_name_too(world: World, arguments: list[str]) -> None:
    done = run("doctor", *arguments)
    assert done.exit_code == 1
    assert world.looks == []
    assert "0 of 1 tenants are well" in done.output
    assert "new, ssh: meltanodata up --stack prod\n" in done.output
    assert json.loads(run("doctor", "new", "--json").stdout)["new"]["well"] is False


def test_before_the_first_deployment_nobody_is_well(world: World) -> None:
    world.states = {"prod": [], "prod-2": []}
    done = run("doctor")
    assert done.exit_code == 1
    assert "0 of 3 tenants are well" in done.output
    assert "bolt, ssh: meltanodata up --stack prod-2\n" in done.output


def test_an_entry_without_a_stack_is_told_too(world: World) -> None:
    with (world.folder / "tenants.yaml").open("a") as file:
        file.write("lost:\n  database_team: MeltanoData DBs 7\n")
    assert "lost, ssh: Its entry names no team of a stack: meltanodata check" in run("doctor").output


def test_one_stack(world: World) -> None:
    assert run("doctor", "--stack", "prod-2").exit_code == 0
    assert (world.asked, world.looks) == (["prod-2"], [["bolt"]])


def test_only_the_stack_of_a_tenant_is_asked(world: World) -> None:
    assert run("doctor", "bolt").exit_code == 0
    assert (world.asked, world.looks) == (["prod-2"], [["bolt"]])


def test_one_that_is_not_in_the_file_any_more_is_still_somewhere(world: World) -> None:
    assert run("doctor", "gone").exit_code == 0
    assert world.looks == [["gone"]]


def test_json_is_all_that_is_printed(world: World) -> None:
    world.sick = {"bolt": [1]}
    world.states["prod"].append("new")
    done = run("doctor", "--json")
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    assert {tenant: it["well"] for tenant, it in found.items()} == {
        "acme": True,
        "gone": True,
        "new": True,
        "bolt": False,
    }


@pytest.mark.parametrize("command", ["doctor", "ssh", "logs", "restart", "psql"])
def test_nobody_of_that_name(world: World, command: str) -> None:
    done = run(command, "bold")
    assert done.exit_code == 1
    assert "there is no tenant 'bold' in prod and prod-2. Did you mean 'bolt'?" in str(done.exception)
    assert (world.looks, world.ssh) == ([], [])


@pytest.mark.parametrize("command", ["ssh", "logs", "restart", "psql"])
def test_nobody_signs_in_to_who_was_never_deployed(world: World, command: str) -> None:
    done = run(command, "new")
    assert str(done.exception) == (
        "new: it has an entry in tenants.yaml and is not deployed yet. meltanodata up --stack prod"
    )
    assert world.ssh == []


def test_without_ping_it_says_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(world.folder))
    done = run("doctor", "bolt")
    assert "no program `ping` on the PATH" in str(done.exception)


def test_ssh_ends_as_the_command_does(world: World) -> None:
    assert run("ssh", "bolt", "--", "ls", "-l").exit_code == 7
    assert world.ssh == [("bolt", ["ls", "-l"])]


@pytest.mark.parametrize(("level", "code"), [(Level.OK, 0), (Level.WARNING, 0), (Level.WRONG, 1)])
@pytest.mark.parametrize(("only", "services"), [("", ("meltano", "caddy")), ("caddy", ("caddy",))])
def test_a_restart_says_what_came_back_and_ends_with_1_where_something_did_not(
    request: pytest.FixtureRequest, level: Level, code: int, only: str, services: tuple[str, ...]
) -> None:
    world, monkeypatch = request.getfixturevalue("world"), request.getfixturevalue("monkeypatch")
    asked = []

    def restart(instance: Instance, _: int, __: SecretStr, ___: int, services: Sequence[str]) -> list[Finding]:
        asked.append((instance.tenant, tuple(services)))
        return [Finding(Check.SYSTEM, level, "what came of it", "mend"), Finding(Check.PAGE, Level.OK, "the page")]

    monkeypatch.setattr(restarting, "restart", restart)
    done = run("restart", "bolt", *(["--only", only] if only else []))
    assert (done.exit_code, asked, world.ssh) == (code, [("bolt", services)], [])
    assert "bolt: what came of it\n   mend\n" in done.stdout


def test_psql_gets_its_arguments_and_ends_as_it_does(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def client(instance: Instance, _: int, __: SecretStr, arguments: Sequence[str]) -> int:
        asked.append((instance.tenant, list(arguments)))
        return 3

    monkeypatch.setattr(psql, "run", client)
    assert run("psql", "bolt", "--", "--command", "SELECT 1").exit_code == 3
    assert (asked, world.ssh) == ([("bolt", ["--command", "SELECT 1"])], [])


def test_logs(world: World) -> None:
    assert run("logs", "acme").exit_code == 7
    assert run("logs", "acme", "-f").exit_code == 0
    (_, (once,)), (_, (forever,)) = world.ssh
    assert "--follow" not in once
    assert "--follow" in forever


def test_a_log_is_text(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert run("logs", "acme").stdout == "[info] \\x1b]0;title\\x07\n\\::error::x\n"
    assert world.ssh[0][0] == "acme"


def test_a_log_that_nobody_reads_any_more_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """With `| head`: it would be followed for ever."""
    reading, writing = os.pipe()
    os.close(reading)
    monkeypatch.setattr(sys, "stderr", sys.stderr)
    monkeypatch.setattr(sys, "stdout", os.fdopen(writing, "w", encoding="utf-8"))
    terminal.guard()
    with pytest.raises(typer.Exit) as ended:
        droplets._print("a line\n")
    assert ended.value.exit_code == 0
    sys.stdout.close()


def test_a_deployment_believes_what_it_sees_twice(world: World) -> None:
    world.sick = {"acme": [0, 1], "gone": [0]}
    own = read(world.folder / "Pulumi.prod.yaml")
    assert droplets.unwell(own, Project(world.folder), ["acme", "gone"], pause=0) == {"acme": "ping: seen. mend."}
    assert world.looks == [["acme", "gone"], ["acme", "gone"]]


def test_completion_knows_the_file(world: World) -> None:
    assert tenant_names() == ["acme", "bolt", "new"]
    assert world.asked == []
