"""The admins' logins: shown, and kept in a vault of 1Password."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sandbox.home import PROJECT
from tests.fleets import write_stack
from tests.unit.credentials.world import World, keep, refused, run, vault_and_stack

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Two tenants that are applied, whose logins are in no vault yet."""
    with vault_and_stack(tmp_path, monkeypatch) as world:
        yield world


@pytest.mark.usefixtures("world")
def test_a_login_is_shown() -> None:
    result = run("acme")
    assert (result.exit_code, result.stdout) == (
        0,
        "URL       https://acme.meltanodata.com\nuser      meltano\npassword  Secret0fAcme\n",
    )


def test_the_login_of_an_instance_that_kept_its_own_is_not_known(world: World) -> None:
    world.tenants("acme", adopt={"login": "keep"}, admin_password_generation=1)
    assert refused("acme") == (
        "acme was adopted with its existing login, so the stack does not have the password."
        " To set a new one, write admin_password_generation: 2 into its entry, and run meltanodata up"
    )
    world.tenants("acme", adopt={"login": "keep"}, admin_password_generation=2)
    assert run("acme").stdout.endswith("Secret0fAcme\n")


def test_a_login_that_is_not_made_yet(world: World) -> None:
    world.outputs["prod"]["tenants"]["acme"]["admin_password"] = None
    assert refused("acme") == (
        "acme: the last run ended before it created the login. Run meltanodata up, which continues"
    )


@pytest.mark.usefixtures("world")
def test_a_tenant_that_there_is_not() -> None:
    assert refused("acmee") == "there is no tenant acmee in the state of prod. Did you mean 'acme'?"
    assert refused("--onepassword", "nobody") == "there is no tenant nobody in the state of prod."


def test_a_tenant_of_another_stack_is_found(world: World, tmp_path: Path) -> None:
    write_stack(tmp_path, "prod-2", database_teams=[{"name": "DBs 3"}])
    world.tenants("core", stack="prod-2")
    assert "core.meltanodata.com" in run("core").stdout
    assert refused("core", "--stack", "prod") == (
        "there is no tenant core in the state of prod. It may be in prod-2: add --stack"
    )


def test_a_stack_that_was_never_applied_is_not_an_empty_one(world: World) -> None:
    keep()
    world.states["prod"] = {"version": 3, "deployment": {}}
    assert "nothing was ever applied to this stack. Check that the backend is the right one" in refused(
        "--onepassword", "--yes"
    )
    assert len(world.titles()) == 2


@pytest.mark.parametrize("arguments", [[], ["acme", "bolt"], ["acme", "--yes"]])
@pytest.mark.usefixtures("world")
def test_wrong_usage(arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert "name one tenant, or add --onepassword" in result.stderr


def test_without_a_terminal_it_shows_and_changes_nothing(world: World) -> None:
    result = run("--onepassword")
    assert result.exit_code == 2
    assert "a new tenant" in result.stdout
    assert "add --yes" in result.stderr
    assert world.titles() == set()


def test_the_terminal_is_asked(world: World) -> None:
    """On a terminal it asks, and no means no."""
    program = (
        "import json, sys; from meltanodata.cli import main; from meltanodata.engine import pulumi_cli as engine;"
        "states, outputs = json.load(open('world.json'));"
        "engine.export = lambda stack, _: states[stack]; engine.outputs = lambda stack, _: outputs[stack]; main.main()"
    )
    Path("world.json").write_text(json.dumps([world.states, world.outputs]), encoding="utf-8")
    for answer, made in ((b"n\n", 0), (b"y\n", 2)):
        ours, theirs = pty.openpty()
        with subprocess.Popen(
            [sys.executable, "-c", program, "credentials", "--onepassword"],
            stdin=theirs,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
        ) as process:
            os.write(ours, answer)
            said, _ = process.communicate(timeout=120)
        os.close(ours)
        os.close(theirs)
        assert process.returncode == 0
        assert b"Apply these changes?" in said
        assert len(world.titles()) == made
