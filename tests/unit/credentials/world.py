"""Tenants' logins and a vault of 1Password: the world that tests of them start from, and the command run in it."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partialmethod
from typing import TYPE_CHECKING, Any

from typer.testing import CliRunner

from meltanodata.cli.main import app
from meltanodata.credentials import onepassword
from meltanodata.engine import pulumi_cli
from meltanodata.errors import UserError
from tests.fakes import onepassword as connect
from tests.fleets import write_stack
from tests.states import exported

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest
    from typer.testing import Result

PASSWORDS = {"acme": "Secret0fAcme", "acme2": "Secret0fAcme", "bolt": "Secret0fBolt", "core": "Secret0fCore"}
TAG = "meltanodata/prod"


class World:
    """A project's folder with the stack prod, its state in place of the engine's, and a 1Password Connect server."""

    def __init__(self, server: connect.Server) -> None:
        self.server = server
        self.vault = server.add_vault("meltanodata.com")
        self.states: dict[str, dict[str, Any]] = {}
        self.outputs: dict[str, dict[str, Any]] = {}

    def tenants(self, *keys: str, stack: str = "prod", **inputs: Any) -> None:
        """These are applied, and no others."""
        self.states[stack] = exported(*keys, **inputs)
        self.outputs[stack] = {
            "tenants": {
                key: {"url": f"https://{key}.x", "admin_user": "meltano", "admin_password": PASSWORDS[key]}
                for key in keys
            }
        }

    def item(self, tenant: str) -> dict[str, Any]:
        """What 1Password has of a tenant."""
        return self.server.items(self.vault)[f"{tenant}.meltanodata.com"]

    def titles(self) -> set[str]:
        """Of all items."""
        return set(self.server.items(self.vault))

    def fields(self, tenant: str) -> dict[str, str]:
        """The values of an item by their fields' names."""
        return {field["label"]: field["value"] for field in self.item(tenant)["fields"]}


def wait_for_writes(monkeypatch: pytest.MonkeyPatch, **seconds: float) -> None:
    """Let the command wait with these arguments for what it wrote."""
    shows = partialmethod(onepassword.Vault.shows_what_was_written, **seconds)
    monkeypatch.setattr(onepassword.Vault, "shows_what_was_written", shows)


@contextmanager
def vault_and_stack(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Two tenants that are applied, whose logins are in no vault yet; the folder is the working directory."""
    (folder / "Pulumi.yaml").write_text("name: meltanodata\n")
    write_stack(folder, "prod")
    monkeypatch.chdir(folder)
    wait_for_writes(monkeypatch, pause=0.001)
    with connect.serve() as server:
        world = World(server)
        monkeypatch.setenv(onepassword.HOST, server.url)
        monkeypatch.setenv(onepassword.TOKEN, connect.TOKEN)
        monkeypatch.setattr(pulumi_cli, "export", lambda stack, _: world.states[stack])
        monkeypatch.setattr(pulumi_cli, "outputs", lambda stack, _: world.outputs[stack])
        world.tenants("acme", "bolt")
        yield world


def run(*arguments: str) -> Result:
    """Run `credentials`; a user's mistake is in the result's exception. No secret is in what comes of it."""
    result = CliRunner().invoke(app, ["credentials", *arguments])
    said = f"{result.output}{result.stderr}{result.exception}"
    if "--onepassword" in arguments:
        assert not [secret for secret in (*PASSWORDS.values(), connect.HAND_MADE, connect.TOKEN) if secret in said]
    return result


def keep(*arguments: str, code: int = 0) -> str:
    """Run `credentials --onepassword --yes`, which ends as it should; what it prints."""
    result = run("--onepassword", "--yes", *arguments)
    assert result.exit_code == code, f"{result.output}{result.exception}"
    return result.stdout


def refused(*arguments: str) -> str:
    """The mistake that a command ends with."""
    result = run(*arguments)
    assert isinstance(result.exception, UserError), result.output
    return str(result.exception)
