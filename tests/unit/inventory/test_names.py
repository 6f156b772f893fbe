"""What bears a tenant's names, and what of it has to be imported."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meltanodata.config.document import Place
from meltanodata.config.fleet import Fleet, Row
from meltanodata.config.object_names import names_of, tenant_of_cluster
from meltanodata.config.options import LABEL, Options
from meltanodata.engine.resource_types import OBJECTS, ROLES, Type
from meltanodata.inventory.names import Existing, being_made, identify, placements
from tests.program.builders import TEAM_1, TEAM_2, accounts, cluster, droplet, record, settings, tenant

DOMAIN = "meltanodata.com"


def identified(ids: dict[tuple[str, Type], str] | None = None, tenants: Any = None, **held: Any) -> Any:
    return identify(tenants or [tenant()], accounts(**held), DOMAIN, ids or {})


def test_the_guides_names() -> None:
    names = names_of(tenant(), DOMAIN)
    assert (names.record, names.host, names.droplet) == ("acme", "acme.meltanodata.com", "acme.meltanodata.com")
    assert names.new_cluster == "db-postgresql-nyc3-11799-acme"


@given(st.from_regex(re.compile(LABEL), fullmatch=True))
def test_a_new_cluster_is_recognised_as_its_tenants(key: str) -> None:
    name = names_of(tenant().model_copy(update={"key": key}), DOMAIN).new_cluster
    assert re.fullmatch(r"db-postgresql-nyc3-[0-9]{5}-.+", name)
    assert tenant_of_cluster(name) == key


def test_nothing_exists_yet() -> None:
    assert identified() == ({"acme": Existing()}, [])


def test_what_the_state_does_not_know_is_imported() -> None:
    existing, problems = identified(droplets=(droplet(),), records=(record(),), clusters=(cluster(),))
    assert not problems
    assert existing["acme"] == Existing(droplet(), record(), cluster(), "7", "meltanodata.com,8", "c0ffee")


KNOWN = {("acme", Type.DROPLET): "7", ("acme", Type.RECORD): "8", ("acme", Type.CLUSTER): "c0ffee"}


def test_what_the_state_knows_is_not_imported() -> None:
    existing, problems = identified(KNOWN, droplets=(droplet(),), records=(record(),), clusters=(cluster(),))
    assert not problems
    assert existing["acme"] == Existing(droplet(), record(), cluster())


@pytest.mark.parametrize("missing", OBJECTS)
def test_each_is_looked_up_by_itself(missing: Type) -> None:
    ids = {key: id_ for key, id_ in KNOWN.items() if key[1] != missing}
    existing, _ = identified(ids, droplets=(droplet(),), records=(record(),), clusters=(cluster(),))
    mine = existing["acme"]
    imports = {
        Type.DROPLET: mine.import_droplet,
        Type.RECORD: mine.import_record,
        Type.CLUSTER: mine.import_cluster,
    }
    assert [kind for kind, id_ in imports.items() if id_] == [missing]


def test_names_of_others_are_not_taken() -> None:
    existing, problems = identified(
        droplets=(droplet(name="acme.meltanodata.com.evil.com"), droplet(name="xacme.meltanodata.com")),
        records=(record(name="xacme"), record(name="acme.x")),
        clusters=(cluster(name="db-postgresql-nyc3-52483-x-acme"), cluster(name="acme"), cluster(name="db-redis-acme")),
    )
    assert not problems
    assert existing["acme"] == Existing()


def test_a_cluster_is_found_whatever_its_digits_and_region() -> None:
    existing, _ = identified(clusters=(cluster(name="db-postgresql-fra1-01234-acme"),))
    assert existing["acme"].import_cluster == "c0ffee"


TWO_OF_EACH: dict[str, Any] = {
    "droplets": (
        droplet(address="203.0.113.7", created_at="2026-11-28T04:00:00Z"),
        droplet(id=9, address="203.0.113.9", created_at="2026-11-28T04:00:02Z"),
    ),
    "records": (record(), record(id=10, address="203.0.113.9")),
    "clusters": (cluster(), cluster(id="f00d", name="db-postgresql-nyc3-1-acme", team=TEAM_2)),
}


def test_of_two_of_one_name_the_states_own_is_said_and_how_to_delete_the_other() -> None:
    _, (droplets, records, clusters) = identified(KNOWN, **TWO_OF_EACH)
    assert droplets == (
        "acme: 2 droplets have the name acme.meltanodata.com. The stack's state has 7 (203.0.113.7, created"
        " 2026-11-28T04:00:00Z). Not the stack's: 9 (203.0.113.9, created 2026-11-28T04:00:02Z). Find out whether"
        " anybody uses it: https://cloud.digitalocean.com/droplets/9 (in the droplet team). If nobody does, delete it"
        " there, or by: doctl compute droplet delete 9"
    )
    assert records == (
        "acme: 2 A records have the name acme. The stack's state has 8 (203.0.113.7). Not the stack's: 10"
        " (203.0.113.9). Find out whether anybody uses it: https://cloud.digitalocean.com/networking/domains/meltanodata.com"
        " (in the droplet team). If nobody does, delete it there, or by: doctl compute domain records delete"
        " meltanodata.com 10"
    )
    assert clusters.startswith(
        "acme: 2 database clusters have the tenant's name. The stack's state has c0ffee (db-postgresql-nyc3-52483-acme,"
    )
    assert clusters.endswith(
        "(in team MeltanoData DBs 2). If nobody does, delete it there, or by: doctl databases delete f00d"
    )


def test_of_two_of_one_name_that_the_state_does_not_know_none_is_the_stray() -> None:
    _, problems = identified(**TWO_OF_EACH)
    assert len(problems) == 3
    for problem in problems:
        assert "The stack's state has none of them: " in problem
        assert "Find out which one is in use" in problem
    assert problems[0].endswith("doctl compute droplet delete 7 or doctl compute droplet delete 9")


def test_no_command_deletes_what_the_state_has() -> None:
    droplets = (*TWO_OF_EACH["droplets"], droplet(id=11))
    _, (problem,) = identified(KNOWN, droplets=droplets)
    assert problem.count("doctl") == 2
    assert "delete 7" not in problem


@pytest.mark.parametrize("kind", OBJECTS)
def test_another_one_than_the_state_knows_stops_everything(kind: Type) -> None:
    ids = {**KNOWN, ("acme", kind): "4"}
    existing, problems = identified(ids, droplets=(droplet(),), records=(record(),), clusters=(cluster(),))
    (problem,) = problems
    assert problem.startswith(f"acme: the {ROLES[kind]} in the account is ")
    assert "the one in the stack's state is 4." in problem
    assert "meltanodata up" in problem
    assert existing["acme"] == Existing(droplet(), record(), cluster())


@pytest.mark.parametrize("kind", OBJECTS)
def test_an_object_of_another_tenant_is_said_to_be_that_tenants(kind: Type) -> None:
    """Two tenants that swap names in the file."""
    there = KNOWN["acme", kind]
    ids = {**KNOWN, ("acme", kind): "4", ("bolt", kind): there}
    _, (problem,) = identified(ids, droplets=(droplet(),), records=(record(),), clusters=(cluster(),))
    assert problem == (
        f"acme: the {ROLES[kind]} {there}, which its entry names, belongs to bolt in the stack's state, and its own is"
        " 4. Restore the names in its entry. To give tenants other names: meltanodata rename"
    )


def test_what_the_state_knows_is_found_by_its_id_whatever_it_is_called() -> None:
    """So that a change of names in the entry never makes a new database in the place of the old one."""
    held: dict[str, Any] = {
        "droplets": (droplet(name="renamed.by.hand"),),
        "records": (record(name="other"),),
        "clusters": (cluster(name="reporting"),),
    }
    existing, problems = identified(KNOWN, **held)
    assert (existing["acme"], problems) == (Existing(held["droplets"][0], held["records"][0], held["clusters"][0]), [])
    assert placements(fleet(acme=TEAM_2), settings(), accounts(**held), KNOWN) == {"acme": TEAM_1}


def test_a_database_is_not_given_up_for_another_that_the_entry_names() -> None:
    adopting = tenant(adopt={"database": "another"})
    _, (problem,) = identified(KNOWN, tenants=[adopting], clusters=(cluster(),))
    assert problem == (
        "acme: adopt: database is another, and its database is db-postgresql-nyc3-52483-acme (c0ffee). Write that name,"
        " or leave it out"
    )


def test_what_is_gone_from_the_account_is_left_to_the_engine() -> None:
    assert identified(KNOWN) == ({"acme": Existing()}, [])


def test_adopted_names_are_looked_up_instead() -> None:
    adopting = tenant(adopt={"droplet": "old.example.com", "record": "demo", "database": "old-db"})
    held: dict[str, Any] = {
        "droplets": (droplet(), droplet(id=9, name="old.example.com")),
        "records": (record(), record(id=10, name="demo")),
        "clusters": (cluster(), cluster(id="f00d", name="old-db")),
    }
    existing, problems = identified(tenants=[adopting], **held)
    assert not problems
    mine = existing["acme"]
    assert (mine.import_droplet, mine.import_record, mine.import_cluster) == ("9", "meltanodata.com,10", "f00d")


def test_the_droplet_of_an_adopted_record_is_called_after_it() -> None:
    names = names_of(tenant(adopt={"record": "demo"}), DOMAIN)
    assert (names.host, names.droplet) == ("demo.meltanodata.com", "demo.meltanodata.com")


def test_only_what_is_imported_is_waited_for() -> None:
    making: dict[str, Any] = {"droplets": (droplet(status="new"),), "clusters": (cluster(status="creating"),)}
    existing, _ = identified(**making)
    assert list(being_made([tenant()], existing)) == ["the droplet of acme", "the database of acme"]
    known, _ = identified(KNOWN, **making)
    assert not list(being_made([tenant()], known))
    made, _ = identified(droplets=(droplet(status="off"),), clusters=(cluster(status="resizing"),))
    assert not list(being_made([tenant()], made))


@pytest.mark.parametrize("change", [{"database_size": "db-s-1vcpu-2gb"}, {"region": "fra1"}])
def test_a_database_that_is_at_work_is_waited_for_before_it_is_changed(change: dict[str, str]) -> None:
    known, _ = identified(KNOWN, droplets=(droplet(),), clusters=(cluster(status="resizing"),))
    assert list(being_made([tenant(**change)], known)) == ["the database of acme"]
    done, _ = identified(KNOWN, droplets=(droplet(),), clusters=(cluster(),))
    assert not list(being_made([tenant(**change)], done))


def fleet(**teams: str | None) -> Fleet:
    rows = [Row(key, Options(database_team=team), Place(1, 1), {}) for key, team in teams.items()]
    return Fleet("tenants.yaml", tuple(rows))


def test_placements_are_where_the_accounts_say() -> None:
    held = accounts(clusters=(cluster(team=TEAM_2),))
    assert placements(fleet(acme=TEAM_1, new=TEAM_1, teamless=None), settings(), held, {}) == {"acme": TEAM_2}


def test_placements_in_another_stacks_teams_are_where_the_file_says() -> None:
    held = accounts(clusters=(cluster(),))
    assert placements(fleet(acme=TEAM_1, far="MeltanoData DBs 9"), settings(), held, {}) == {
        "acme": TEAM_1,
        "far": "MeltanoData DBs 9",
    }
