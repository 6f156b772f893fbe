"""`meltanodata rename`, as the shell sees it: what it says, and what it leaves alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from meltanodata.cli import recovery
from meltanodata.cli.main import app
from meltanodata.engine import pulumi_cli
from meltanodata.errors import UserError
from tests.unit.engine.renaming import state
from tests.unit.engine.stacks import resources

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = """\
config:
  meltanodata:domain: meltanodata.com
  meltanodata:project: Meltano
  meltanodata:database_version: "16"
  meltanodata:droplet_team: {name: Meltano}
  meltanodata:database_teams: [{name: DBs 1}]
  meltanodata:rollout: {canaries: [demo, acme]}
"""
TENANTS = "acme:\n  database_team: DBs 1\ndemo:\n  database_team: DBs 1\n"


class World:
    """A project's folder, and the state of its stack in place of the engine's."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "tenants.yaml"
        self.file.write_text(TENANTS)
        (folder / "Pulumi.yaml").write_text("name: meltanodata\n")
        (folder / "Pulumi.prod.yaml").write_text(SETTINGS)
        self.state = state("acme", "demo")
        self.deployed: list[dict[str, Any]] = []
        """What the state becomes after each look at it, because somebody deploys."""

    def export(self, *_: object) -> dict[str, Any]:
        state = self.state
        if self.deployed:
            self.state = self.deployed.pop(0)
        return state

    def replace(self, stack: str, _: Path, exported: dict[str, Any]) -> None:
        assert stack == "prod"
        self.state = exported


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.chdir(tmp_path)
    world = World(tmp_path)
    monkeypatch.setattr(recovery, "unlock", lambda *_: None)
    monkeypatch.setattr(pulumi_cli, "export", world.export)
    monkeypatch.setattr(pulumi_cli, "replace_state", world.replace)
    return world


def test_a_canary_is_to_be_renamed_in_the_settings_too(world: World) -> None:
    said = CliRunner().invoke(app, ["rename", "acme", "acme2"])
    assert said.exit_code == 0
    assert "Pulumi.prod.yaml lists acme as a canary. Set the new name:" in said.output
    assert "pulumi config set --stack prod --path 'meltanodata:rollout.canaries[1]' acme2\n" in said.output
    assert world.file.read_text().startswith("acme2:\n  database_team: DBs 1\n  adopt: {record: acme, database: db-")


def refused(world: World, new: str = "acme2") -> str:
    state, file = world.state, world.file.read_text()
    result = CliRunner().invoke(app, ["rename", "acme", new])
    assert isinstance(result.exception, UserError)
    assert world.file.read_text() == file
    assert world.state == state
    return str(result.exception)


def test_a_deployment_at_the_same_time_is_noticed_before_anything_is_written(world: World) -> None:
    now = state("acme", "demo", "new")
    world.deployed = [now]
    result = CliRunner().invoke(app, ["rename", "acme", "acme2"])
    assert str(result.exception) == (
        "the state of prod changed meanwhile: a deployment is running. Run this again afterwards."
    )
    assert (world.state, world.file.read_text()) == (now, TENANTS)


def test_a_tenant_that_is_not_finished_is_finished_first(world: World) -> None:
    world.state["deployment"]["resources"] = [
        it for it in resources(world.state) if not it["urn"].endswith(("::acme-record", "::acme-database"))
    ]
    assert refused(world) == (
        "acme is not finished: the state of prod does not have its record and database. Finish it first:"
        " meltanodata up --stack prod"
    )


def test_a_name_that_the_state_has_still_is_another_tenants(world: World) -> None:
    world.state = state("acme", "acme2", "demo")
    assert "the state of prod has both acme and acme2, so they are two tenants" in refused(world)


def test_a_new_entry_is_not_taken_for_a_tenant_whose_entry_is_gone(world: World) -> None:
    """The state has acme2, which waits to be removed; acme is new, and not made yet."""
    world.state = state("acme2", "demo")
    said = refused(world)
    assert said.startswith(
        "the entry of acme does not name the objects that the state of prod has for acme2, so it may be another"
    )


def test_what_the_state_does_not_have_is_renamed_in_the_file_alone(world: World) -> None:
    world.state = state("demo")
    assert "Rename a tenant that is not deployed by editing its entry" in refused(world)


def test_the_new_name_has_to_be_one(world: World) -> None:
    assert refused(world, "Acme").startswith("'Acme': a tenant's name is 1 to 63 of")
    assert "demo exists already" in refused(world, "demo")
    (world.file.parent / "Pulumi.prod.yaml").write_text(f"{SETTINGS}  meltanodata:no_tenants: [www.meltanodata.com]\n")
    for entries in (TENANTS, TENANTS.replace("acme:", "www:")):  # the file may have the new name already
        world.file.write_text(entries)
        assert refused(world, "www") == (
            "www: the setting no_tenants lists this name for another purpose. Choose another one"
        )
    world.file.write_text("acme: {}\n")
    assert refused(world) == "acme: no stack has its database team. Run: meltanodata check"
