"""What a state tells of tenants, as `pulumi stack export` prints it."""

from __future__ import annotations

from typing import Any

from meltanodata.engine.resource_types import STACK, TENANT, Type
from meltanodata.engine.stack_state import StackState
from tests import previews


def resource(tenant: str, role: str, id_: str, **more: Any) -> dict[str, Any]:
    urn, parent = previews.urn(tenant, role), previews.urn(tenant)
    return {"urn": urn, "type": previews.CHILDREN[role], "id": id_, "parent": parent, **more}


def state(*resources: dict[str, Any]) -> StackState:
    root = {"urn": previews.ROOT, "type": STACK, "outputs": {"tenants": {"gone": {}}}}
    components = [
        {"urn": previews.urn(key), "type": TENANT, "parent": previews.ROOT, "inputs": previews.options(rebuild=2)}
        for key in ("acme", "acme-2")
    ]
    return StackState({"version": 3, "deployment": {"resources": [root, *components, *resources]}})


def test_each_tenant_has_its_own_resources_by_role_although_one_name_begins_with_the_other() -> None:
    found = state(
        resource("acme", "droplet", "1"), resource("acme-2", "droplet", "2"), resource("acme-2", "host-key", "x")
    )
    acme, acme_2 = found.tenants["acme"], found.tenants["acme-2"]
    assert list(found.tenants) == ["acme", "acme-2"]
    assert (list(acme.resources), list(acme_2.resources)) == (["droplet"], ["droplet", "host-key"])
    assert acme.droplet is not None
    assert (acme.droplet.id, acme.cluster, acme.team, acme.options.rebuild) == ("1", None, "MeltanoData DBs 1", 2)
    assert found.ids == {("acme", Type.DROPLET): "1", ("acme-2", Type.DROPLET): "2"}


def test_what_is_replaced_is_the_stacks_still_and_not_the_tenants() -> None:
    found = state(resource("acme", "record", "8"), resource("acme", "record", "7", delete=True))
    assert found.tenants["acme"].resources["record"] == found.objects[Type.RECORD, "8"]
    assert found.ids == {("acme", Type.RECORD): "8"}
    assert found.objects[Type.RECORD, "7"].is_replaced
    assert found.unfinished == ["deleting acme-record"]


def test_the_rebuild_that_a_droplet_was_made_with_is_not_the_one_that_was_asked_for() -> None:
    found = state(resource("acme", "droplet", "1", replacementTrigger=1), resource("acme-2", "droplet", "2"))
    assert [tenant.rebuild for tenant in found.tenants.values()] == [1, None]


def test_secrets_of_a_state_are_not_shown() -> None:
    secret = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "plaintext": '"hunter2"'}
    found = state(resource("acme", "admin-password", "none", inputs={"x": secret}, outputs={"result": secret}))
    assert "hunter2" not in repr((found, found.resources, found.tenants))


def test_a_stack_that_was_never_applied_has_nothing() -> None:
    deployments: list[dict[str, Any]] = [{}, {"resources": None}, {"resources": []}]
    for deployment in deployments:
        never = StackState({"version": 3, "deployment": deployment})
        assert (never.resources, never.tenants, never.ids, never.objects, never.unfinished) == ((), {}, {}, {}, [])
