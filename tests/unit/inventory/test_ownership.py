"""No stack touches what another one owns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from meltanodata.engine import resource_types
from meltanodata.engine.resource_types import CLUSTER, DROPLET, RECORD
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


def strangers(stack: Settings, *held: tuple[tuple[str, str], str]) -> list[str]:
    state = {(type_, f"{key}-{kind}"): "1" for (type_, kind), key in held}
    return list(ownership.strangers(FLEET, stack, [ONE, TWO], state))


def test_each_stack_holds_its_own() -> None:
    assert strangers(ONE, (DROPLET, "bolt"), (CLUSTER, "bolt")) == []
    assert strangers(TWO, (DROPLET, "acme")) == []


@pytest.mark.parametrize("kind", [DROPLET, RECORD, CLUSTER])
def test_a_tenant_of_another_stack_in_the_state(kind: tuple[str, str]) -> None:
    (said,) = strangers(ONE, (kind, "acme"), (kind, "bolt"))
    assert said.startswith("acme: it is in the state of prod, and its team DBs 2 belongs to prod-2.")
    assert "meltanodata move 'DBs 2' --to STACK" in said


def test_a_tenant_whose_entry_is_gone_may_be_destroyed() -> None:
    assert strangers(ONE, (DROPLET, "core")) == []


def state(type_: str, id_: str) -> dict[str, Any]:
    return {"deployment": {"resources": [{"type": type_, "id": id_, "urn": "urn::x::y::z"}]}}


@pytest.mark.parametrize(
    ("imported", "type_", "id_"),
    [
        ({"import_droplet": "7"}, DROPLET[0], "7"),
        ({"import_record": "meltanodata.com,8"}, RECORD[0], "8"),
        ({"import_cluster": "c-9"}, CLUSTER[0], "c-9"),
    ],
)
def test_what_another_stacks_state_holds_is_not_taken_over(imported: dict[str, str], type_: str, id_: str) -> None:
    mine = {"acme": Existing(ALL.droplet, ALL.record, ALL.cluster, **imported)}
    assert ownership.take_over(mine)
    (said,) = ownership.taken(mine, {"prod-2": state(type_, id_)}, "prod")
    assert f"{id_} is in the state of the stack prod-2, and is not taken over from there" in said
    assert list(ownership.taken(mine, {"prod-2": state(type_, "1")}, "prod")) == []
    assert list(ownership.taken({"acme": ALL}, {"prod-2": state(type_, id_)}, "prod")) == []


def test_nobody_is_asked_where_nothing_is_taken_over() -> None:
    assert not ownership.take_over({"acme": ALL})


def of(key: str, *, delete: bool = False) -> dict[str, Any]:
    """A state in which a tenant has all three, each to be destroyed still if asked for."""
    component = f"urn:pulumi:prod::meltanodata::meltanodata:index:Tenant::{key}"
    objects = ((DROPLET, "7"), (RECORD, "8"), (CLUSTER, "c-9"))
    found = [
        {"type": type_, "id": id_, "urn": f"urn::x::y::{key}-{kind}", "parent": component}
        | ({"delete": True} if delete else {})
        for (type_, kind), id_ in objects
    ]
    return {"deployment": {"resources": found}}


TAKING = Existing(
    ALL.droplet, ALL.record, ALL.cluster, import_droplet="7", import_record="meltanodata.com,8", import_cluster="c-9"
)


def test_what_another_tenant_of_the_same_state_has_is_not_taken_over() -> None:
    (said,) = ownership.taken({"acme2": TAKING}, {"prod": of("acme")}, "prod")
    assert said == (
        "acme2: the droplet 7, the record 8 and the database c-9 are in the state of the stack prod, and are not taken"
        " over from there. They belong to acme. If acme2 is acme under a new name: meltanodata rename acme acme2. If it"
        " is another tenant, it needs objects of its own: give it another name, and leave out of its `adopt` what is"
        " acme's"
    )
    (said,) = ownership.taken({"acme2": TAKING}, {"prod-2": of("acme")}, "prod")
    assert "If acme2 is acme under a new name and in a database team of prod-2: meltanodata rename acme acme2" in said


@pytest.mark.parametrize("kind", ["droplet", "record", "cluster"])
def test_a_single_object_of_another_tenant_is_enough_to_refuse(kind: str) -> None:
    mine = Existing(ALL.droplet, ALL.record, ALL.cluster, **{f"import_{kind}": "7"})
    (said,) = ownership.taken({"acme2": mine}, {"prod": of("acme")}, "prod")
    assert "It belongs to acme." in said


def test_what_an_unfinished_run_has_still_to_destroy_is_not_taken_over() -> None:
    (said,) = ownership.taken({"acme": TAKING}, {"prod": of("acme", delete=True)}, "prod")
    assert "a run that was broken off has still to destroy what it replaced" in said
    assert "pulumi state delete" in said


def connected(url: str | None) -> dict[str, Any]:
    inputs = {} if url is None else {"apiEndpoint": url}
    return {
        "deployment": {"resources": [{"type": resource_types.TEAM_PROVIDER, "urn": "urn::x::y::z", "inputs": inputs}]}
    }


@pytest.mark.parametrize(("url", "shares"), [("https://a", True), ("https://b", False), (None, True)])
def test_ids_of_another_api_mean_other_objects(url: str | None, shares: bool) -> None:
    assert ownership.shares_account(connected(url), "https://a") is shares
    assert not ownership.shares_account({"deployment": {}}, "https://a")
