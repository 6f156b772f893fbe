"""What a fleet must keep to: every rule by the fleet that breaks it, and placement by property."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meltanodata.config import document, fleet, placement, removals, rules
from meltanodata.config.placement import Use
from tests.fleets import fleet_of, parsed, placed, settings, team

if TYPE_CHECKING:
    from meltanodata.config.fleet import Fleet
    from meltanodata.config.settings import Settings

FULL = [team("DBs 1", full=True), team("DBs 2")]


def broken(fleet: Fleet, *stacks: Settings, **known: Any) -> list[str]:
    """What is wrong with a fleet, in a single stack where none is given."""
    return [str(problem) for problem in rules.problems(fleet, stacks or [settings()], **known)]


def test_a_valid_fleet_has_no_problems() -> None:
    fleet = fleet_of({"acme": {"database_team": "DBs 1"}, "demo": {"database_team": "DBs 2", "demo": True}})
    assert broken(fleet, placement={"acme": "DBs 1"}, before=fleet_of({"acme": {"database_team": "DBs 1"}})) == []


def test_a_missing_team_is_reported_with_the_one_that_assign_would_write() -> None:
    fleet = fleet_of({"t1": {"database_team": "DBs 1"}, "t2": {"demo": True}, "t3": None})
    stack = settings(database_teams=[team("DBs 1", 2), team("DBs 2")])
    assert broken(fleet, stack) == [
        f"tenants.yaml:{line}:1: {key}: database_team is missing. If the tenant has a database already, write the team"
        f" that it is in (git log -p tenants.yaml); for a new tenant, meltanodata assign writes {team!r}"
        for line, key, team in ((3, "t2", "DBs 1"), (5, "t3", "DBs 2"))
    ]


def test_a_removed_team_is_reported_with_the_one_that_has_the_database() -> None:
    fleet = fleet_of({"t1": {"database_team": "DBs 1"}, "t2": None, "t3": {"demo": True}})
    lost, new = broken(fleet, placement={"t1": "DBs 1", "t2": "DBs 2"})
    assert lost == (
        "tenants.yaml:3:1: t2: database_team is missing, and its database is in 'DBs 2'; write database_team: DBs 2"
    )
    assert new.startswith("tenants.yaml:4:1: t3: database_team is missing. If the tenant has")


@pytest.mark.parametrize("held", [{}, {"acme": "DBs 2"}])
def test_a_misspelt_option_is_not_also_a_missing_team(held: dict[str, str]) -> None:
    misspelt, problems = fleet.parse(document.parse(b"acme:\n  databse_team: DBs 2\n", "tenants.yaml"))
    assert "Did you mean 'database_team'?" in str(problems)
    assert broken(misspelt, placement=held) == []


def test_a_missing_team_is_reported_where_no_team_has_room() -> None:
    stack = settings(database_teams=[team("DBs 1", 1), team("DBs 2", full=True)])
    (problem,) = broken(fleet_of({"t1": {"database_team": "DBs 1"}, "t2": None}), stack)
    assert problem == (
        "tenants.yaml:3:1: t2: database_team is missing. If the tenant has a database already, write the team that it"
        " is in (git log -p tenants.yaml); none of the 2 database teams has room. meltanodata capacity shows what to do"
    )


def test_an_invalid_team_is_not_also_a_missing_one() -> None:
    fleet, problems = parsed("acme:\n  database_team: 5\n")
    assert len(problems) == 1
    assert broken(fleet) == []


def test_an_unknown_team() -> None:
    fleet = fleet_of({"t1": {"database_team": "DB 2"}, "t2": {"database_team": "Other"}})
    assert broken(fleet) == [
        (
            "tenants.yaml:2:3: t1: no stack has a database team 'DB 2'. Did you mean 'DBs 2'?"
            " The teams are: DBs 1 and DBs 2"
        ),
        "tenants.yaml:4:3: t2: no stack has a database team 'Other'. The teams are: DBs 1 and DBs 2",
    ]


def test_the_team_of_another_stack_of_the_fleet_is_known() -> None:
    other = settings(stack="prod-2", database_teams=[team("DBs 3")])
    assert broken(placed("DBs 3"), settings(), other) == []


def test_tenants_above_a_teams_limit_are_named() -> None:
    stack = settings(database_teams=[team("DBs 1", 2), team("DBs 2")])
    assert broken(placed("DBs 1", "DBs 2", "DBs 1", "DBs 1", "DBs 1"), stack) == [
        "tenants.yaml:8:3: t4: 'DBs 1' has 4 tenants here and a limit of 2; place it in another team",
        "tenants.yaml:10:3: t5: 'DBs 1' has 4 tenants here and a limit of 2; place it in another team",
    ]


def test_a_droplet_team_over_its_limit_counts_the_whole_fleet() -> None:
    team_of_droplets = {"name": "Meltano", "limit": 2}
    stacks = [
        settings(droplet_team=team_of_droplets),
        settings(stack="prod-2", droplet_team=team_of_droplets, database_teams=[team("DBs 3")]),
    ]
    assert broken(placed("DBs 1", "DBs 3", "DBs 1"), *stacks) == [
        (
            "tenants.yaml:5:1: t3: the fleet has 3 tenants and the droplet team 'Meltano' a limit of 2;"
            " ask DigitalOcean to raise it, then set droplet_team.limit"
        )
    ]


def test_a_name_too_long_for_its_database_cluster() -> None:
    longest = "a" * 38
    fleet = fleet_of({longest: {"database_team": "DBs 1"}, f"{longest}b": {"database_team": "DBs 1"}})
    assert broken(fleet) == [
        (
            f"tenants.yaml:3:1: {longest}b: the name has 39 characters and in nyc3 at most 38 fit, because its database"
            " cluster is called db-postgresql-nyc3-NNNNN-NAME and may have 63; shorten it"
        )
    ]


@pytest.mark.parametrize(("region", "count"), [("nyc3", 0), ("frankfurt1", 1)])
def test_the_longest_name_depends_on_the_region(region: str, count: int) -> None:
    assert len(broken(fleet_of({"a" * 38: {"database_team": "DBs 1", "region": region}}))) == count
    assert len(broken(fleet_of({"a" * 38: {"database_team": "DBs 1"}}), settings(region=region))) == count


def test_a_tenant_with_a_cluster_of_another_name_may_have_any() -> None:
    options = {"database_team": "DBs 1", "adopt": {"database": "old-cluster"}}
    assert broken(fleet_of({"a" * 63: options})) == []


def test_only_a_demo_is_wiped() -> None:
    fleet = fleet_of({"acme": {"database_team": "DBs 1", "wipe_database": "2026-11-20"}})
    assert broken(fleet) == [
        (
            "tenants.yaml:3:3: acme: wipe_database drops the data and is for demos only;"
            " remove it, or add demo: true if it is one"
        )
    ]


def test_an_invalid_demo_is_one_problem() -> None:
    fleet, problems = parsed("acme:\n  database_team: DBs 1\n  demo: yes\n  wipe_database: 2026-11-20\n")
    assert len(problems) == 1
    assert broken(fleet) == []


@pytest.mark.parametrize(
    ("adopt", "message"),
    [
        ({"droplet": "b.meltanodata.com"}, "the droplet 'b.meltanodata.com' belongs to a; two tenants cannot share it"),
        ({"record": "b"}, "the record 'b' belongs to a; two tenants cannot share it"),
    ],
)
def test_an_object_that_one_tenant_adopts_cannot_be_anothers(adopt: dict[str, str], message: str) -> None:
    fleet = fleet_of({"a": {"database_team": "DBs 1", "adopt": adopt}, "b": {"database_team": "DBs 1"}})
    assert f"tenants.yaml:4:1: b: {message}" in broken(fleet)


def test_a_cluster_with_another_tenants_name_cannot_be_adopted() -> None:
    adopt = {"database": "db-postgresql-nyc3-11111-b"}
    fleet = fleet_of({"a": {"database_team": "DBs 1", "adopt": adopt}, "b": {"database_team": "DBs 1"}})
    assert broken(fleet) == [
        "tenants.yaml:3:3: a: the database 'db-postgresql-nyc3-11111-b' belongs to b; two tenants cannot share it"
    ]


def test_two_tenants_cannot_adopt_one_cluster() -> None:
    options = {"database_team": "DBs 1", "adopt": {"database": "shared"}}
    (problem,) = broken(fleet_of({"a": options, "b": options}))
    assert problem == "tenants.yaml:6:3: b: the database 'shared' belongs to a; two tenants cannot share it"


def test_a_tenant_may_adopt_a_cluster_of_its_own_name() -> None:
    adopt = {"database": "db-postgresql-nyc3-11111-a", "record": "a", "droplet": "a.meltanodata.com"}
    assert broken(fleet_of({"a": {"database_team": "DBs 1", "adopt": adopt}})) == []


REMEDY = (
    "A new tenant needs another name. If it is this tenant's and deployed already, keep the entry as it is and take the"
    " name out of no_tenants in Pulumi.prod.yaml"
)


@pytest.mark.parametrize("listed", ["www", "www.meltanodata.com"])
def test_a_name_of_another_purpose_is_no_tenants(listed: str) -> None:
    fleet = fleet_of({"acme": {"database_team": "DBs 1"}, "www": {"database_team": "DBs 2"}})
    stacks = [
        settings(stack="first", database_teams=[team("DBs 1")]),
        settings(stack="prod", database_teams=[team("DBs 2")], no_tenants=[listed]),
    ]
    assert broken(fleet, *stacks) == [
        f"tenants.yaml:3:1: www: the setting no_tenants lists www: it serves another purpose. {REMEDY}"
    ]


@pytest.mark.parametrize(
    ("kind", "name", "listed"),
    [
        ("record", "www", "www"),
        ("record", "www", "www.meltanodata.com"),
        ("droplet", "controller.meltanodata.com", "controller"),
        ("droplet", "bolt-old", "bolt-old"),
        ("database", "reporting", "reporting"),
    ],
)
def test_what_serves_another_purpose_is_not_adopted(kind: str, name: str, listed: str) -> None:
    fleet = fleet_of({"acme": {"database_team": "DBs 1", "adopt": {kind: name}}})
    (problem,) = broken(fleet, settings(stack="prod", no_tenants=["other", listed]))
    assert problem == (
        f"tenants.yaml:3:3: acme: adopt: {kind} is {name!r}, which the setting no_tenants lists for another purpose."
        f" {REMEDY}"
    )


def test_a_database_of_another_purpose_is_not_found_by_a_tenants_name() -> None:
    stack = settings(stack="prod", no_tenants=["db-postgresql-nyc3-12345-acme"])
    entry = {"database_team": "DBs 1"}
    (problem,) = broken(fleet_of({"acme": entry}), stack)
    assert "tenants.yaml:1:1: acme: the setting no_tenants lists its database db-postgresql-nyc3-12345-acme" in problem
    assert broken(fleet_of({"acme": {**entry, "adopt": {"database": "db-postgresql-nyc3-22222-acme"}}}), stack) == []


def test_other_names_than_those_of_another_purpose_are_free() -> None:
    stack = settings(no_tenants=["www", "controller.meltanodata.com", "db-redis"])
    fleet = fleet_of({key: {"database_team": "DBs 1"} for key in ("www2", "control", "redis", "meltanodata")})
    assert broken(fleet, stack) == []


def test_a_full_team_takes_no_new_tenant() -> None:
    assert broken(placed("DBs 1", "DBs 1"), settings(database_teams=FULL), placement={"t1": "DBs 1"}) == [
        "tenants.yaml:4:3: t2: 'DBs 1' is marked full and takes no new tenant; the first team with room is 'DBs 2'"
    ]


def test_a_full_team_is_reported_where_no_other_has_room() -> None:
    (problem,) = broken(placed("DBs 1"), settings(database_teams=[team("DBs 1", full=True)]), placement={})
    assert problem.endswith(
        "takes no new tenant; none of the 1 database teams has room. meltanodata capacity shows what to do"
    )


def test_without_a_placement_no_tenant_counts_as_new() -> None:
    assert broken(placed("DBs 1"), settings(database_teams=FULL)) == []


def test_a_tenant_stays_in_its_team() -> None:
    assert broken(placed("DBs 2", "DBs 2"), placement={"t1": "DBs 1", "t2": "DBs 2", "gone": "DBs 1"}) == [
        "tenants.yaml:2:3: t1: its database is in 'DBs 1' and cannot move to 'DBs 2'; write database_team: DBs 1"
    ]


def test_a_move_into_a_full_team_is_a_change_of_team() -> None:
    (problem,) = broken(placed("DBs 1"), settings(database_teams=FULL), placement={"t1": "DBs 2"})
    assert "cannot move to 'DBs 1'" in problem


DEMO = {"database_team": "DBs 1", "demo": True}


@pytest.mark.parametrize(
    "before",
    [
        {"acme": {"database_team": "DBs 1"}},  # a customer's
        {"bolt": DEMO},  # a new entry may adopt an instance, under another name too
        {},
    ],
)
def test_one_edit_cannot_make_a_demo_and_wipe_it(before: dict[str, Any]) -> None:
    fleet = fleet_of({"acme": {**DEMO, "wipe_database": "2026-11-20"}})
    assert broken(fleet, before=fleet_of(before)) == [
        (
            "tenants.yaml:4:3: acme: wipe_database is only for a tenant that is a demo already; remove it and merge"
            " demo: true first"
        )
    ]
    assert broken(fleet) == []


def test_a_tenant_that_was_a_demo_may_be_wiped() -> None:
    for date in ("2026-11-20", "2026-11-23"):
        fleet = fleet_of({"acme": {**DEMO, "wipe_database": date}})
        assert broken(fleet, before=fleet_of({"acme": DEMO})) == []
        assert broken(fleet, before=fleet_of({"acme": {**DEMO, "wipe_database": "2026-11-20"}})) == []
    assert broken(fleet_of({"acme": DEMO}), before=fleet_of({"acme": {"database_team": "DBs 1"}})) == []


@pytest.mark.parametrize(
    ("option", "before", "after", "message"),
    [
        ("rebuild", 3, 2, "rebuild goes down from 3 to 2, which would make a new droplet again; leave it at 3"),
        ("rebuild", 3, None, "rebuild goes down from 3 to 0, which would make a new droplet again; leave it at 3"),
        (
            "admin_password_generation",
            2,
            1,
            (
                "admin_password_generation goes down from 2 to 1, which would change the admin password again;"
                " leave it at 2"
            ),
        ),
        ("database_version", "16", "15", "database_version goes down from 16 to 15; a cluster cannot be downgraded"),
    ],
)
def test_counts_and_versions_only_go_up(option: str, before: Any, after: Any, message: str) -> None:
    old = fleet_of({"acme": {"database_team": "DBs 1", option: before}})
    new = fleet_of({"acme": {"database_team": "DBs 1"} | ({} if after is None else {option: after})})
    (problem,) = broken(new, before=old)
    assert problem.split(": acme: ")[1].startswith(message)
    assert broken(old, before=new) == []


def test_two_stacks_with_one_team() -> None:
    assert broken(placed(), settings(), settings(stack="prod-2", database_teams=[team("DBs 2")])) == [
        "Pulumi.prod-2.yaml: the team 'DBs 2' already belongs to the stack prod; list it in one of them"
    ]


@pytest.mark.parametrize(
    ("setting", "value"),
    [("domain", "example.com"), ("droplet_team", {"name": "Other", "limit": 5}), ("tenants_file", "other.yaml")],
)
def test_stacks_of_a_fleet_share_some_settings(setting: str, value: Any) -> None:
    other = settings(stack="prod-2", database_teams=[team("DBs 3")], **{setting: value})
    (problem,) = broken(placed(), settings(), other)
    assert problem.startswith(f"Pulumi.prod-2.yaml: {setting} differs from that of the stack prod (here ")


def test_all_problems_come_at_once_in_the_files_order() -> None:
    fleet = fleet_of(
        {
            "z": {"database_team": "DBs 1", "wipe_database": "2026-01-01"},
            "m": None,
            "a": {"database_team": "Other"},
            "b" * 50: {"database_team": "DBs 2"},
        }
    )
    assert [problem.split(":")[1] for problem in broken(fleet)] == ["3", "4", "6", "7"]


def test_assignments_use_the_first_team_that_is_not_full() -> None:
    stack = settings(database_teams=[team("A", 9, full=True), team("B", 1), team("C", 2), team("D", 9)])
    fleet = fleet_of({"t1": {"database_team": "B"}, "t2": None, "t3": {"database_team": "C"}, "t4": None, "t5": None})
    assert placement.assignments(fleet, [stack]) == {"t2": "C", "t4": "D", "t5": "D"}
    assert placement.first_free(fleet, [stack]) == "C"


def test_teams_fill_up_in_the_order_of_the_stacks() -> None:
    stacks = [settings(database_teams=[team("A", 1)]), settings(stack="prod-2", database_teams=[team("B", 1)])]
    assert placement.assignments(fleet_of({"t1": None, "t2": None, "t3": None}), stacks) == {
        "t1": "A",
        "t2": "B",
        "t3": None,
    }


TEAMS = st.lists(st.tuples(st.integers(1, 4), st.booleans()), min_size=1, max_size=4).map(
    lambda rows: [team(f"DBs {number}", limit, full=full) for number, (limit, full) in enumerate(rows)]
)


@given(TEAMS, st.lists(st.integers(0, 5), max_size=12))
def test_assignments_exceed_no_limit_and_move_no_tenant(teams: list[dict[str, Any]], chosen: list[int]) -> None:
    names = [str(it["name"]) for it in teams]
    stated = {f"t{n}": names[index] if index < len(names) else None for n, index in enumerate(chosen)}
    fleet = fleet_of({key: {"database_team": home} if home else None for key, home in stated.items()})
    stack = settings(database_teams=teams)
    placed = placement.assignments(fleet, [stack])
    assert placed.keys() == {key for key, home in stated.items() if home is None}
    before = Counter(home for home in stated.values() if home)
    after = before + Counter(home for home in placed.values() if home)
    for it in teams:
        gained = after[it["name"]] - before[it["name"]]
        assert gained == 0 or (not it["full"] and after[it["name"]] <= it["limit"])
    if None in placed.values():
        assert all(it["full"] or after[it["name"]] >= it["limit"] for it in teams)


def test_uses_count_the_tenants_of_the_file() -> None:
    stack = settings(database_teams=[team("A", 2), team("B", 4, full=True), team("C", 1)])
    fleet = placed("A", "B", "C", "C")
    assert placement.database_uses(fleet, [stack]) == [Use("A", 1, 2), Use("B", 1, 4, full=True), Use("C", 2, 1)]
    assert [use.free for use in placement.database_uses(fleet, [stack])] == [1, 0, 0]
    assert [use.percent for use in placement.database_uses(fleet, [stack])] == [50, 25, 200]
    assert placement.droplet_use(fleet, [stack]) == Use("Meltano", 4, 500)


def test_stated_teams_leave_out_tenants_without_a_team() -> None:
    assert placement.stated_teams(fleet_of({"a": {"database_team": "DBs 1"}, "b": None})) == {"a": "DBs 1"}


BEFORE = fleet_of(
    {
        "acme": {"database_team": "DBs 1", "rebuild": 2},
        "old": {"database_team": "DBs 1", "adopt": {"database": "reporting"}},
    }
)
CLUSTER = "db-postgresql-nyc3-12345-acme"


def test_a_renamed_tenant_is_known_by_its_database() -> None:
    now = fleet_of(
        {
            "acme2": {"database_team": "DBs 1", "rebuild": 2, "adopt": {"record": "acme", "database": CLUSTER}},
            "old2": {"database_team": "DBs 1", "adopt": {"database": "reporting"}},
        }
    )
    assert removals.renamed(now, BEFORE, settings().domain) == {"acme2": "acme", "old2": "old"}
    # It is not new to a team that is marked full.
    stack = settings(database_teams=FULL)
    assert broken(now, stack, placement=rules.placement_before(now, BEFORE, settings().domain), before=BEFORE) == []


def test_a_renamed_tenant_keeps_its_team_and_its_counts() -> None:
    now = fleet_of(
        {"acme2": {"database_team": "DBs 2", "rebuild": 1, "adopt": {"record": "acme", "database": CLUSTER}}}
    )
    said = broken(now, placement=rules.placement_before(now, BEFORE, settings().domain), before=BEFORE)
    assert ["its database is in 'DBs 1' and cannot move" in it or "rebuild goes down" in it for it in said] == [
        True
    ] * 2


def test_a_tenant_that_still_has_an_entry_was_not_renamed() -> None:
    both = fleet_of(
        {
            "acme": {"database_team": "DBs 1"},
            "acme2": {"database_team": "DBs 2", "adopt": {"database": CLUSTER}},
            "new": {"database_team": "DBs 2"},
        }
    )
    assert removals.renamed(both, BEFORE, settings().domain) == {}


def test_a_tenant_that_takes_the_name_in_an_adopted_cluster_is_known_too() -> None:
    before = fleet_of({"old": {"database_team": "DBs 1", "rebuild": 2, "adopt": {"database": CLUSTER}}})
    now = fleet_of({"acme": {"database_team": "DBs 1", "rebuild": 1}})
    assert removals.renamed(now, before, settings().domain) == {"acme": "old"}
    (said,) = broken(now, placement=rules.placement_before(now, before, settings().domain), before=before)
    assert "rebuild goes down from 2 to 1" in said
