"""1Password Connect as a server: what it is asked, what it says, and what it does not."""

from __future__ import annotations

import pytest

from meltanodata.credentials import onepassword
from tests.fakes import onepassword as connect
from tests.states import exported
from tests.unit.credentials.world import World, keep, refused, run, wait_for_writes


def test_a_vault_out_of_scope_and_two_of_a_name(world: World) -> None:
    world.server.out_of_scope.add(world.vault)
    assert "there is no vault 'meltanodata.com' that the token (OP_CONNECT_TOKEN) can read" in refused("--onepassword")
    for _ in range(2):
        world.server.add_vault("meltanodata.com")
    assert "2 vaults have the name 'meltanodata.com'" in refused("--onepassword")


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
    wait_for_writes(monkeypatch, patience=0.01)
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
@pytest.mark.parametrize("token", ["eyJ.one\neyJ.two", "eyJ.tokén€"])
def test_a_token_that_is_none(monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    """Put into a request, it would stand in the library's error."""
    monkeypatch.setenv(onepassword.TOKEN, token)
    said = refused("--onepassword")
    assert said.strip() == "OP_CONNECT_TOKEN is not a token: a token is one word of ASCII letters, digits and signs"


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
