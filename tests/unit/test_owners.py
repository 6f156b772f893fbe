"""No stack touches what another one owns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from meltanodata import owners
from meltanodata.accounts import Cluster, Droplet, Record
from meltanodata.names import CLUSTER, DROPLET, RECORD, Existing
from tests.fleets import parsed, settings, team

if TYPE_CHECKING:
    from meltanodata.settings import Settings

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
    return list(owners.strangers(FLEET, stack, [ONE, TWO], state))


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
    assert owners.take_over(mine)
    (said,) = owners.taken(mine, {"prod-2": state(type_, id_)})
    assert f"{id_} is in the state of the stack prod-2, and is not taken over from there" in said
    assert list(owners.taken(mine, {"prod-2": state(type_, "1")})) == []
    assert list(owners.taken({"acme": ALL}, {"prod-2": state(type_, id_)})) == []


def test_nobody_is_asked_where_nothing_is_taken_over() -> None:
    assert not owners.take_over({"acme": ALL})
