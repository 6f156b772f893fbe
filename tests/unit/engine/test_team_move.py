"""A team moved from one state into another: nothing is lost, nothing is twice, and references stay within a state."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meltanodata.engine import team_move
from meltanodata.engine.stack_state import StackState
from meltanodata.errors import UserError
from tests.unit.engine.stacks import (
    DIGITALOCEAN,
    KEY,
    by_urn,
    empty,
    resources,
    state,
    urn,
    whole,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


def joined(source: dict[str, Any], target: dict[str, Any], team: str = "DBs 2", stack: str = "b") -> dict[str, Any]:
    return team_move.joined(source, target, team, stack, "Meltano")


SOURCE = state("a", {"acme": "DBs 2", "bolt": "DBs 1", "core": "DBs 2"}, "DBs 1", "DBs 2")


def test_a_new_stack_becomes_what_it_would_have_made_itself() -> None:
    made = joined(SOURCE, empty("b"))
    assert by_urn(made) == by_urn(state("b", {"acme": "DBs 2", "core": "DBs 2"}, "DBs 2", made_by="a"))
    assert made["deployment"]["secrets_providers"] == KEY | {"stack": "b"}
    assert whole(made)


def test_a_stack_keeps_its_own_connections() -> None:
    target = state("b", {"dax": "DBs 3"}, "DBs 3")
    made = joined(SOURCE, target)
    found = by_urn(made)
    wanted = by_urn(state("b", {"dax": "DBs 3", "acme": "DBs 2", "core": "DBs 2"}, "DBs 3", "DBs 2"))
    team = urn("b", DIGITALOCEAN, "DBs 2")
    assert found.pop(team)["id"] == "a-DBs 2"
    del wanted[team]
    for it in wanted.values():
        if it.get("provider", "").startswith(team):
            it["provider"] = f"{team}::a-DBs 2"
    assert found == wanted
    assert whole(made)


def test_what_is_left() -> None:
    left = team_move.without(SOURCE, "DBs 2")
    assert by_urn(left) == by_urn(state("a", {"bolt": "DBs 1"}, "DBs 1"))
    assert whole(left)


def test_a_team_without_tenants_is_its_connection() -> None:
    source = state("a", {"acme": "DBs 2"}, "DBs 1", "DBs 2")
    assert (team_move.holds(StackState(source), "DBs 1"), team_move.tenants(StackState(source), "DBs 1")) == (True, [])
    found = by_urn(joined(source, empty("b"), "DBs 1"))
    assert set(found) == {
        urn("b", "pulumi:pulumi:Stack", "meltanodata-b"),
        urn("b", DIGITALOCEAN, "Meltano"),
        urn("b", DIGITALOCEAN, "DBs 1"),
    }
    assert by_urn(team_move.without(source, "DBs 1")) == by_urn(state("a", {"acme": "DBs 2"}, "DBs 2"))


def test_the_droplets_team_stays_where_it_holds_databases_too() -> None:
    source = state("a", {"acme": "Meltano", "bolt": "DBs 1"}, "DBs 1")
    assert urn("a", DIGITALOCEAN, "Meltano") in by_urn(team_move.without(source, "Meltano"))


def test_what_a_broken_move_left_is_replaced_by_what_the_source_has_now() -> None:
    once = joined(SOURCE, state("b", {"dax": "DBs 3"}, "DBs 3"))
    now = state("a", {"acme": "DBs 2", "bolt": "DBs 1"}, "DBs 1", "DBs 2")
    assert by_urn(joined(now, once)) == by_urn(joined(now, state("b", {"dax": "DBs 3"}, "DBs 3")))
    assert joined(SOURCE, once) == once


KEYS = st.dictionaries(st.sampled_from(["a1", "a2", "a3", "a4"]), st.sampled_from(["DBs 1", "DBs 2"]))
OTHERS = st.dictionaries(st.sampled_from(["b1", "b2", "b3"]), st.just("DBs 3"))


@given(KEYS, OTHERS)
def test_nothing_is_lost_or_twice_and_there_and_back_is_where_it_began(
    tenants: dict[str, str], others: dict[str, str]
) -> None:
    source, target = state("a", tenants, "DBs 1", "DBs 2"), state("b", others, "DBs 3")
    given_ = copy.deepcopy((source, target))
    made, left = joined(source, target), team_move.without(source, "DBs 2")
    assert (source, target) == given_
    assert whole(made)
    assert whole(left)
    assert not team_move.holds(StackState(left), "DBs 2")

    def ids(*exported: Mapping[str, Any]) -> list[str]:
        return sorted(it["id"] for state in exported for it in resources(state) if it["type"] in {"d", "c", "f"})

    assert ids(made, left) == ids(source, target)
    assert by_urn(joined(made, left, stack="a")) == by_urn(source)
    assert by_urn(team_move.without(made, "DBs 2")) == by_urn(target)


def test_what_is_bound_to_others_does_not_move_alone() -> None:
    for stays, binds in (("bolt", "acme"), ("acme", "bolt")):
        source = copy.deepcopy(SOURCE)
        found = {it["urn"].rsplit("::", 1)[1]: it for it in resources(source)}
        found[f"{stays}-droplet"]["dependencies"] = [found[f"{binds}-droplet"]["urn"]]
        with pytest.raises(UserError, match=f"{stays}-droplet: refers to what"):
            joined(source, empty("b")) if stays == "acme" else team_move.without(source, "DBs 2")


def test_a_name_that_is_taken() -> None:
    with pytest.raises(UserError, match=r"acme, acme-database, .*: is already in the state of b, as another team's"):
        joined(SOURCE, state("b", {"acme": "DBs 3"}, "DBs 3"))


def test_a_stack_without_a_key_for_secrets() -> None:
    with pytest.raises(UserError, match="the stack b has no key for secrets yet; create it again: pulumi stack init b"):
        joined(SOURCE, {"version": 3, "deployment": {}})


def test_what_a_run_has_left_to_do() -> None:
    source = copy.deepcopy(SOURCE)
    assert StackState(source).unfinished == []
    droplet, cluster = (it for it in resources(source) if it["urn"].endswith(("acme-droplet", "acme-database")))
    droplet["delete"], cluster["pendingReplacement"] = True, True
    source["deployment"]["pending_operations"] = [{"type": "creating", "resource": {"urn": "urn::x::y::new-record"}}]
    assert StackState(source).unfinished == [
        "creating new-record",
        "replacing acme-database",
        "deleting acme-droplet",
    ]
