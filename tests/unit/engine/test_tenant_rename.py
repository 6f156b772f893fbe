"""A tenant under another name in the state: the same objects, and every reference goes to them."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meltanodata.config.options import Options
from meltanodata.engine import tenant_rename
from meltanodata.engine.stack_state import StackState
from meltanodata.errors import UserError
from tests.unit.engine.renaming import is_component, state
from tests.unit.engine.stacks import TENANT, by_urn, resources, urn, whole


def test_everything_of_the_tenant_is_called_after_its_new_name() -> None:
    before = state("acme", "bolt")
    given_ = copy.deepcopy(before)
    now = tenant_rename.renamed(before, "acme", "acme2")
    assert before == given_
    assert whole(now)
    # As if it had been made under that name, but for what its entry says now.
    wanted = json.loads(json.dumps(before).replace('"acme"', '"acme2"').replace("::acme", "::acme2"))
    by_urn(wanted)[urn("a", TENANT, "acme2")]["inputs"]["adopt"] = {
        "login": "new",
        "record": "acme",
        "database": "db-postgresql-nyc3-12345-acme",
    }
    found = by_urn(now)
    assert {key: it.get("id") for key, it in found.items()} == {key: it.get("id") for key, it in by_urn(wanted).items()}
    assert found[urn("a", TENANT, "acme2")] == by_urn(wanted)[urn("a", TENANT, "acme2")]
    firewall = next(it for key, it in found.items() if key.endswith("acme2-firewall"))
    assert firewall == by_urn(wanted)[firewall["urn"]]
    outputs = found[urn("a", "pulumi:pulumi:Stack", "meltanodata-a")]["outputs"]["tenants"]
    assert outputs["acme2"]["url"] == "https://acme"
    assert set(outputs) == {"acme2", "bolt"}


def test_names_that_the_entry_has_already_stay() -> None:
    adopt = {"droplet": "old.example", "record": "old", "login": "keep"}
    before = state("acme", acme=adopt)
    assert tenant_rename.adopted(StackState(before).tenants["acme"]) == {
        "droplet": "old.example",
        "record": "old",
        "database": "db-postgresql-nyc3-12345-acme",
    }
    now = by_urn(tenant_rename.renamed(before, "acme", "acme2"))[urn("a", TENANT, "acme2")]["inputs"]["adopt"]
    assert now == {**adopt, "database": "db-postgresql-nyc3-12345-acme"}


NAMES = st.sampled_from(["a", "a-b", "a-droplet", "a-database", "b", "droplet", "1", "a1"])


@given(st.sets(NAMES, min_size=1), NAMES, NAMES)
def test_nobody_else_is_touched_and_there_and_back_is_where_it_began(keys: set[str], old: str, new: str) -> None:
    """Also where one name begins with another, or is called like what a tenant has."""
    if old not in keys or new in keys:
        return
    before = state(*sorted(keys))
    now = tenant_rename.renamed(before, old, new)
    assert whole(now)
    tenants = StackState(now).tenants
    assert (old in tenants, new in tenants, tenant_rename.missing(tenants[new])) == (False, True, [])
    mine = {it["urn"] for it in resources(before) if it.get("parent", "").endswith(f"::{old}") or is_component(it, old)}
    root = urn("a", "pulumi:pulumi:Stack", "meltanodata-a")
    unmoved = {key: it for key, it in by_urn(before).items() if key not in mine | {root}}
    assert {key: it for key, it in by_urn(now).items() if key in unmoved} == unmoved
    assert sorted(str(it.get("id")) for it in resources(now)) == sorted(str(it.get("id")) for it in resources(before))
    back = tenant_rename.renamed(now, new, old)
    component = urn("a", TENANT, old)
    assert by_urn(back)[component]["inputs"].pop("adopt")["record"] == old
    assert by_urn(back) == by_urn(before)


def test_a_name_that_something_in_the_state_has_still() -> None:
    before = state("acme", "bolt")
    left = [it for it in resources(before) if it["urn"].endswith("::bolt-database")]
    before["deployment"]["resources"] = [*resources(state("acme")), {**left[0], "parent": None}]
    with pytest.raises(UserError, match="bolt-database: is already in the state, so acme cannot be renamed to bolt"):
        tenant_rename.renamed(before, "acme", "bolt")


def test_what_is_not_called_after_its_tenant_stops_it() -> None:
    before = state("acme")
    droplet = next(it for it in resources(before) if it["urn"].endswith("acme-droplet"))
    stray = {**droplet, "urn": droplet["urn"].replace("acme-droplet", "stray")}
    before["deployment"]["resources"].append(stray)
    with pytest.raises(UserError, match="stray: is a child of acme in the state, but not named after it"):
        tenant_rename.renamed(before, "acme", "acme2")


def test_what_is_not_made_yet() -> None:
    before = state("acme")
    before["deployment"]["resources"] = [it for it in resources(before) if not it["urn"].endswith("-record")]
    assert tenant_rename.missing(StackState(before).tenants["acme"]) == ["record"]


@pytest.mark.parametrize(
    ("key", "entry", "wrong"),
    [
        ("acme2", {"record": "acme", "database": "db-postgresql-nyc3-12345-acme"}, []),
        ("acme2", {"record": "acme"}, ["database: db-postgresql-nyc3-12345-acme"]),
        ("acme2", {"record": "acme", "database": "other"}, ["database: db-postgresql-nyc3-12345-acme"]),
        (
            "acme2",
            {"database": "db-postgresql-nyc3-12345-acme"},
            ["droplet: acme.meltanodata.com", "record: acme"],
        ),
        ("acme", None, []),
    ],
)
def test_an_entry_that_names_others_is_not_the_tenants(
    key: str, entry: dict[str, str] | None, wrong: list[str]
) -> None:
    options = Options.model_validate({"database_team": "DBs 1", **({"adopt": entry} if entry else {})})
    # A run that was killed: the state has the new name, and the file the old one.
    exported, known = (
        (state("acme"), "acme") if key != "acme" else (tenant_rename.renamed(state("acme"), "acme", "x"), "x")
    )
    assert tenant_rename.misnamed(StackState(exported).tenants[known], key, options, "meltanodata.com") == wrong
