"""Items of logins in a vault: made, updated, removed, and left alone where they are not ours."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.fakes import onepassword as connect
from tests.fleets import write_stack
from tests.unit.credentials.world import PASSWORDS, TAG, World, keep, refused, run

if TYPE_CHECKING:
    from pathlib import Path


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


def test_what_somebody_changed_by_hand_is_corrected(world: World) -> None:
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
