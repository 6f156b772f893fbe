"""What is about to be deleted, and is in no account any more."""

from __future__ import annotations

from typing import Any

from meltanodata.engine.resource_types import Type
from meltanodata.engine.stack_state import Resource, StackState
from meltanodata.inventory.vanished import going, vanished, without_replaced
from tests import previews
from tests.program import builders

PROJECT = "digitalocean:index/projectResources:ProjectResources"


def resource(tenant: str, kind: str, role: str, id_: str, **more: Any) -> dict[str, Any]:
    urn, parent = previews.urn(tenant, role), previews.urn(tenant)
    return {"urn": urn, "type": kind, "id": id_, "parent": parent, **more}


def state(*keys: str, more: tuple[dict[str, Any], ...] = ()) -> StackState:
    found: list[dict[str, Any]] = [{"urn": previews.ROOT, "type": "pulumi:pulumi:Stack"}]
    for key in keys:
        found += [
            {"urn": previews.urn(key), "type": previews.COMPONENT, "parent": previews.ROOT},
            resource(key, Type.DROPLET, "droplet", f"{key}-1"),
            resource(key, PROJECT, "project", "p", deletedWith=previews.urn(key, "droplet")),
            resource(key, Type.CLUSTER, "database", f"{key}-2"),
            resource(key, Type.FIREWALL, "firewall", "f", deletedWith=previews.urn(key, "database")),
            resource(key, Type.COMMAND, "files", "c"),
        ]
    return StackState({"version": 3, "deployment": {"resources": [*found, *more]}})


NOBODY = builders.accounts()


def test_a_tenant_with_an_entry_is_left_alone_whatever_is_missing() -> None:
    before = state("acme")
    assert going(before, {"acme"}) == []


def test_of_a_tenant_without_an_entry_what_is_in_no_account_goes_with_what_depends_on_it() -> None:
    before = state("acme", "bolt")
    doomed = going(before, {"bolt"})
    assert doomed == list(state("acme").resources[2:])
    roles = ("database", "droplet", "firewall", "project")
    assert vanished(doomed, NOBODY) == sorted(previews.urn("acme", role) for role in roles)


def test_what_is_there_still_is_deleted_as_usual() -> None:
    before = state("acme")
    held = builders.accounts(clusters=[builders.cluster(id="acme-2")])
    lost = vanished(going(before, set()), held)
    assert lost == sorted(previews.urn("acme", role) for role in ("droplet", "project"))


def test_what_was_replaced_and_is_gone_is_taken_out_of_the_state_and_its_successor_stays() -> None:
    old = resource("acme", Type.RECORD, "record", "7", delete=True)
    new = resource("acme", Type.RECORD, "record", "8")
    before = state("acme", more=(old, new))
    assert going(before, {"acme"}) == [Resource.read(old)]
    assert without_replaced(before, NOBODY) == state("acme", more=(new,)).exported
    assert vanished([Resource.read(old)], NOBODY) == []
    held = builders.accounts(records=[builders.record(id=7)])
    assert without_replaced(before, held) == before.exported
