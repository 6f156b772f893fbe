"""No stack touches what another one owns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from meltanodata.engine import resource_types
from meltanodata.engine.resource_types import OBJECTS, Type, resource_name
from meltanodata.engine.stack_state import StackState
from meltanodata.inventory import ownership
from meltanodata.inventory.accounts import Cluster, Droplet, Record
from meltanodata.inventory.names import Existing
from tests.fleets import parsed, settings, team

if TYPE_CHECKING:
    from meltanodata.config.settings import Settings

ONE = settings(stack="prod", database_teams=[team("DBs 1")])
TWO = settings(stack="prod-2", database_teams=[team("DBs 2")])
FLEET, _ = parsed("acme:\n  database_team: DBs 2\nbolt:\n  database_team: DBs 1\n")
ALL = Existing(
    Droplet(7, "acme.meltanodata.com", "active", "nyc3", "s-2vcpu-2gb", 60),
    Record(8, "acme", "203.0.113.7"),
    Cluster("c-9", "db-postgresql-nyc3-12345-acme", "DBs 2", "online", "nyc3", "db-s-1vcpu-1gb", "16"),
)


def strangers(stack: Settings, *held: tuple[str, Type]) -> list[str]:
    return list(ownership.strangers(FLEET, stack, [ONE, TWO], dict.fromkeys(held, "1")))


def test_each_stack_holds_its_own() -> None:
    assert strangers(ONE, ("bolt", Type.DROPLET), ("bolt", Type.CLUSTER)) == []
    assert strangers(TWO, ("acme", Type.DROPLET)) == []


@pytest.mark.parametrize("kind", OBJECTS)
def test_a_tenant_of_another_stack_in_the_state(kind: Type) -> None:
    (said,) = strangers(ONE, ("acme", kind), ("bolt", kind))
    assert said.startswith("acme: it is in the state of prod, and its team DBs 2 belongs to prod-2.")
    assert "meltanodata move 'DBs 2' --to STACK" in said


def test_a_tenant_whose_entry_is_gone_may_be_destroyed() -> None:
    assert strangers(ONE, ("core", Type.DROPLET)) == []


def state(type_: str, id_: str) -> StackState:
    return StackState({"deployment": {"resources": [{"type": type_, "id": id_, "urn": "urn::x::y::z"}]}})


@pytest.mark.parametrize(
    ("imported", "type_", "id_"),
    [
        ({"import_droplet": "7"}, Type.DROPLET, "7"),
        ({"import_record": "meltanodata.com,8"}, Type.RECORD, "8"),
        ({"import_cluster": "c-9"}, Type.CLUSTER, "c-9"),
    ],
)
def test_what_another_stacks_state_holds_is_not_adopted(imported: dict[str, str], type_: str, id_: str) -> None:
    mine = {"acme": Existing(ALL.droplet, ALL.record, ALL.cluster, **imported)}
    assert mine["acme"].imports == {type_: id_}
    (said,) = ownership.taken(mine, {"prod-2": state(type_, id_)}, "prod")
    assert f"{id_} is in the state of the stack prod-2, and is not adopted from there" in said
    assert list(ownership.taken(mine, {"prod-2": state(type_, "1")}, "prod")) == []
    assert list(ownership.taken({"acme": ALL}, {"prod-2": state(type_, id_)}, "prod")) == []


def test_no_state_is_read_where_nothing_is_adopted() -> None:
    assert ALL.imports == {}


def of(key: str, *, delete: bool = False) -> StackState:
    """A state in which a tenant has all three, each to be destroyed still if asked for."""
    component = f"urn:pulumi:prod::meltanodata::meltanodata:index:Tenant::{key}"
    found = [
        {"type": type_, "id": id_, "urn": f"urn::x::y::{resource_name(key, type_)}", "parent": component}
        | ({"delete": True} if delete else {})
        for type_, id_ in zip(OBJECTS, ("7", "8", "c-9"), strict=True)
    ]
    return StackState({"deployment": {"resources": found}})


TAKING = Existing(
    ALL.droplet, ALL.record, ALL.cluster, import_droplet="7", import_record="meltanodata.com,8", import_cluster="c-9"
)


def test_what_another_tenant_of_the_same_state_has_is_not_adopted() -> None:
    (said,) = ownership.taken({"acme2": TAKING}, {"prod": of("acme")}, "prod")
    assert said == (
        "acme2: the droplet 7, the record 8 and the database c-9 are in the state of the stack prod, and are not"
        " adopted from there. They belong to acme. If acme2 is acme under a new name: meltanodata rename acme acme2. If"
        " it is another tenant, it needs objects of its own: give it another name, and leave out of its `adopt` what is"
        " acme's"
    )
    (said,) = ownership.taken({"acme2": TAKING}, {"prod-2": of("acme")}, "prod")
    assert "If acme2 is acme under a new name and in a database team of prod-2: meltanodata rename acme acme2" in said


@pytest.mark.parametrize("kind", ["droplet", "record", "cluster"])
def test_a_single_object_of_another_tenant_is_enough_to_refuse(kind: str) -> None:
    mine = Existing(ALL.droplet, ALL.record, ALL.cluster, **{f"import_{kind}": "7"})
    (said,) = ownership.taken({"acme2": mine}, {"prod": of("acme")}, "prod")
    assert "It belongs to acme." in said


def test_what_an_unfinished_run_still_has_to_destroy_is_not_adopted() -> None:
    (said,) = ownership.taken({"acme": TAKING}, {"prod": of("acme", delete=True)}, "prod")
    assert "an interrupted run still has to destroy what it replaced" in said
    assert "pulumi state delete" in said


def connected(url: str | None) -> StackState:
    inputs = {} if url is None else {"apiEndpoint": url}
    provider = {"type": resource_types.TEAM_PROVIDER, "urn": "urn::x::y::z", "inputs": inputs}
    return StackState({"deployment": {"resources": [provider]}})


@pytest.mark.parametrize(("url", "shares"), [("https://a", True), ("https://b", False), (None, True)])
def test_ids_of_another_api_mean_other_objects(url: str | None, shares: bool) -> None:
    assert ownership.shares_account(connected(url), "https://a") is shares
    assert not ownership.shares_account(StackState({"deployment": {}}), "https://a")
