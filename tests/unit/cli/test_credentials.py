"""The admins' logins: shown, and kept in a vault of 1Password."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from meltanodata.cli.main import app
from meltanodata.credentials import onepassword
from meltanodata.engine import pulumi_cli
from meltanodata.errors import UserError
from tests.fakes import onepassword as connect
from tests.unit.cli.test_main import PROJECT, write_stack
from tests.unit.render.test_page import exported

if TYPE_CHECKING:
    from collections.abc import Iterator

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


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    (tmp_path / "Pulumi.yaml").write_text("name: meltanodata\n")
    write_stack(tmp_path, "prod")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(onepassword, "PAUSE", 0.001)
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
    assert refused("acmee") == "there is no tenant acmee in the stack's state. Did you mean 'acme'?"
    assert refused("--onepassword", "nobody") == "there is no tenant nobody in the stack's state."


def test_a_tenant_of_another_stack_is_found(world: World, tmp_path: Path) -> None:
    write_stack(tmp_path, "prod-2", database_teams=[{"name": "DBs 3"}])
    world.tenants("core", stack="prod-2")
    assert "core.meltanodata.com" in run("core").stdout
    assert "there is no tenant core" in refused("core", "--stack", "prod")


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


def test_items_are_made_as_the_guide_has_them_and_a_second_run_changes_nothing(world: World) -> None:
    said = keep()
    assert re.search(r"acme\.meltanodata\.com +create +a new tenant", said)
    assert said.endswith("acme.meltanodata.com: created\nbolt.meltanodata.com: created\n")
    item = world.item("acme")
    assert (item["title"], item["category"], item["tags"]) == ("acme.meltanodata.com", "LOGIN", [TAG])
    assert item["urls"] == [{"href": "acme.meltanodata.com", "primary": True}]
    assert world.fields("acme") == {"username": "meltano", "password": "Secret0fAcme"}
    before, requests = world.server.items(world.vault), len(world.server.requests)
    assert keep() == "2 logins up to date, nothing to do\n"
    assert (world.server.items(world.vault), len(world.server.requests)) == (before, requests)


def test_another_password_is_written_and_whatever_else_is_there_stays(world: World) -> None:
    keep()
    item = world.item("acme")
    notes = {"id": "notesPlain", "type": "STRING", "purpose": "NOTES", "label": "notesPlain", "value": "call Ann"}
    ours = {"href": "https://acme.meltanodata.com/", "primary": True}
    world.server.edit(
        world.vault, item["title"], fields=[*item["fields"], notes], urls=[{"href": "https://ann.example"}, ours]
    )
    assert "nothing to do" in keep()
    world.outputs["prod"]["tenants"]["acme"]["admin_password"] = "An0therSecret"
    said = keep()
    assert re.search(r"acme\.meltanodata\.com +update +new password", said)
    assert "bolt" not in said
    assert "An0therSecret" not in said
    assert world.fields("acme") == {"username": "meltano", "password": "An0therSecret", "notesPlain": "call Ann"}
    assert [url["href"] for url in world.item("acme")["urls"]] == [ours["href"], "https://ann.example"]
    assert world.item("acme")["version"] == 3
    assert world.item("bolt")["version"] == 1
    assert "nothing to do" in keep()


def test_what_somebody_changed_by_hand_is_mended(world: World) -> None:
    keep()
    fields = [{**field, "value": "x"} for field in world.item("acme")["fields"]]
    world.server.edit(world.vault, "acme.meltanodata.com", fields=fields, urls=[])
    assert "new user name, password and website" in keep()
    assert world.fields("acme") == {"username": "meltano", "password": "Secret0fAcme"}
    assert world.item("acme")["urls"] == [{"href": "acme.meltanodata.com", "primary": True}]
    assert "nothing to do" in keep()


def test_the_item_of_a_tenant_that_is_gone_is_removed(world: World) -> None:
    keep()
    world.tenants("bolt")
    said = keep()
    assert re.search(r"acme\.meltanodata\.com +remove +the tenant was removed", said)
    assert world.titles() == {"bolt.meltanodata.com"}


def test_a_tenant_that_is_only_half_removed_keeps_its_item(world: World) -> None:
    keep()
    del world.outputs["prod"]["tenants"]["acme"]
    assert "the last run ended before it created the login of acme" in " ".join(keep(code=1).split())
    assert world.titles() == {"acme.meltanodata.com", "bolt.meltanodata.com"}


def test_items_of_people_and_of_other_stacks_are_never_touched(world: World) -> None:
    world.server.by_hand(world.vault, "gone.meltanodata.com")
    world.server.by_hand(world.vault, "core.meltanodata.com", tags=["meltanodata/prod-2"])
    world.server.by_hand(world.vault, "note", category="SECURE_NOTE", tags=[TAG], fields=[])
    before = world.server.items(world.vault)
    keep()
    assert before.items() <= world.server.items(world.vault).items()


def test_an_item_made_by_hand_is_handed_over_by_the_tag(world: World) -> None:
    world.server.by_hand(world.vault, "acme.meltanodata.com", tags=["customers"])
    said = keep(code=1)
    assert "an item of this name exists without the tag meltanodata/prod. Add the tag" in " ".join(said.split())
    assert world.fields("acme")["password"] == connect.HAND_MADE
    assert world.titles() == {"acme.meltanodata.com", "bolt.meltanodata.com"}
    world.server.edit(world.vault, "acme.meltanodata.com", tags=["customers", TAG])
    keep()
    assert world.fields("acme") == {"username": "meltano", "password": "Secret0fAcme", "notesPlain": "call Ann"}
    assert world.item("acme")["tags"] == ["customers", TAG]


def test_the_item_of_an_instance_that_kept_its_login_is_left_alone(world: World) -> None:
    world.server.by_hand(world.vault, "acme.meltanodata.com")
    before = world.server.items(world.vault)
    world.tenants("acme", adopt={"login": "keep"}, admin_password_generation=1)
    assert "adopted with its existing login" in " ".join(keep().split())
    assert world.server.items(world.vault) == before


def test_an_instance_that_is_called_otherwise_has_the_item_of_its_host_name(world: World) -> None:
    world.tenants("acme", adopt={"record": "acme2", "login": "new"})
    keep()
    assert world.titles() == {"acme2.meltanodata.com"}
    assert "https://acme2.meltanodata.com" in run("acme").stdout


def test_the_item_of_a_tenant_whose_host_name_changes_stays_the_same_one(world: World) -> None:
    keep()
    item = world.item("acme")
    world.tenants("acme2", "bolt")
    assert re.search(r"acme2\.meltanodata\.com +update +new host name and website", keep())
    now = world.item("acme2")
    assert (now["id"], world.titles()) == (item["id"], {"acme2.meltanodata.com", "bolt.meltanodata.com"})
    assert now["urls"] == [{"href": "acme2.meltanodata.com", "primary": True}]
    assert world.fields("acme2")["password"] == PASSWORDS["acme"]
    assert "nothing to do" in keep()


def test_a_second_item_of_ours_goes(world: World) -> None:
    keep()
    twin = world.server.by_hand(world.vault, "acme.meltanodata.com", tags=[TAG])
    said = keep()
    assert "a duplicate item of this name" in said
    assert world.item("acme")["id"] != twin["id"]


def test_only_the_tenants_named_are_looked_at(world: World) -> None:
    keep("acme")
    assert world.titles() == {"acme.meltanodata.com"}
    keep()
    world.tenants()
    keep("acme")
    assert world.titles() == {"bolt.meltanodata.com"}


def test_stacks_of_a_fleet_share_a_vault(world: World, tmp_path: Path) -> None:
    write_stack(tmp_path, "prod-2", database_teams=[{"name": "DBs 3"}])
    world.tenants("core", stack="prod-2")
    keep()
    assert world.item("core")["tags"] == ["meltanodata/prod-2"]
    world.tenants("acme", stack="prod")
    keep("--stack", "prod")
    assert world.titles() == {"acme.meltanodata.com", "core.meltanodata.com"}


def test_the_vault_can_have_another_name(world: World, tmp_path: Path) -> None:
    write_stack(tmp_path, "prod", onepassword_vault="Customers")
    assert refused("--onepassword").startswith(
        "1Password: there is no vault 'Customers' that the token (OP_CONNECT_TOKEN) can read. It can read"
        " 'meltanodata.com'."
    )
    customers = world.server.add_vault("Customers")
    keep()
    assert len(world.server.items(customers)) == 2


def test_a_vault_out_of_scope_and_two_of_a_name(world: World) -> None:
    world.server.out_of_scope.add(world.vault)
    assert "there is no vault 'meltanodata.com' that the token (OP_CONNECT_TOKEN) can read" in refused("--onepassword")
    for _ in range(2):
        world.server.add_vault("meltanodata.com")
    assert "2 vaults have the name 'meltanodata.com'" in refused("--onepassword")


def test_without_a_terminal_it_shows_and_changes_nothing(world: World) -> None:
    result = run("--onepassword")
    assert result.exit_code == 2
    assert "a new tenant" in result.stdout
    assert "add --yes" in result.stderr
    assert world.titles() == set()


def test_what_was_written_is_waited_for(world: World) -> None:
    """A Connect server shows it later; a run right after would make it twice."""
    world.server.lag = 3
    keep()
    assert "nothing to do" in keep()
    world.outputs["prod"]["tenants"]["acme"]["admin_password"] = "An0therSecret"
    world.states["prod"] = exported("acme")
    keep()
    assert "nothing to do" in keep()
    assert world.titles() == {"acme.meltanodata.com"}


def test_a_server_that_never_shows_it_is_not_waited_for_for_ever(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onepassword, "PATIENCE", 0.01)
    world.server.lag = 10**6
    result = run("--onepassword", "--yes")
    assert result.exit_code == 0
    assert "does not show every change yet" in result.stderr


@pytest.mark.parametrize("missing", [onepassword.HOST, onepassword.TOKEN])
@pytest.mark.usefixtures("world")
def test_the_environment_says_where(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(missing)
    assert refused("--onepassword").startswith(f"{missing} must be set: a 1Password Connect server")


@pytest.mark.usefixtures("world")
def test_a_token_that_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(onepassword.TOKEN, "eyJ.wrong")
    said = refused("--onepassword")
    assert "the token (OP_CONNECT_TOKEN) is refused (401)" in said
    assert "eyJ.wrong" not in said


def test_a_token_that_may_only_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(onepassword.TOKEN, connect.READ_ONLY)
    said = refused("--onepassword", "--yes")
    assert said.startswith("acme.meltanodata.com: 1Password, vault 'meltanodata.com': the token (OP_CONNECT_TOKEN)")
    assert "lacks a right (403)" in said
    assert said.endswith("0 of 2 changes were made. Run this again, which continues with the rest")
    assert world.titles() == set()


@pytest.mark.parametrize("body", [b'{"status":500,"message":"Secret0fAcme"}', b"<html>Secret0fAcme"])
def test_a_server_in_trouble_is_said_and_the_next_run_goes_on(world: World, body: bytes) -> None:
    keep("acme")
    world.tenants("bolt", "core")
    world.server.fails["DELETE", world.item("acme")["id"]] = (500, body)
    said = refused("--onepassword", "--yes")
    assert "DELETE failed with status 500. Run this again" in said
    assert "0 of 3 changes were made" in said
    keep()
    assert world.titles() == {"bolt.meltanodata.com", "core.meltanodata.com"}


def test_an_item_that_goes_meanwhile(world: World) -> None:
    keep()
    world.server.fails["GET", world.item("acme")["id"]] = (404, b"{}")
    assert "an item was removed meanwhile (404). Run this again" in refused("--onepassword")


@pytest.mark.parametrize("body", [b"<html>", b"{}", b"[1]", b'[{"name": 5}]', b'[{"type": "ODD"}]', b"null"])
def test_something_that_is_no_connect_server(world: World, body: bytes) -> None:
    world.server.fails["GET", "/v1/vaults"] = (200, body)
    said = refused("--onepassword")
    assert "1Password" in said
    assert "Traceback" not in said


@pytest.mark.usefixtures("world")
def test_no_server_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(onepassword.HOST, "http://127.0.0.1:1")
    assert refused("--onepassword").startswith("1Password Connect (OP_CONNECT_HOST) cannot be reached: ")
    monkeypatch.setenv(onepassword.HOST, "connect")
    assert "is not the address of a server, such as http://localhost:8080" in refused("--onepassword")


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
