"""How many more tenants fit, and what to ask for when they do not."""

from __future__ import annotations

import pytest

from meltanodata.config import placement
from meltanodata.config.placement import Use
from meltanodata.inventory import capacity
from tests.fleets import fleet_of, settings, team
from tests.program import builders

STACKS = [settings(), settings(stack="prod-2", database_teams=[team("DBs 3")])]


@pytest.mark.parametrize(
    ("used", "cells"), [(0, 0), (1, 1), (25, 1), (26, 2), (250, 10), (499, 19), (500, 20), (900, 20)]
)
def test_a_bar(used: int, cells: int) -> None:
    assert capacity.bar(Use("Meltano", used, 500)) == "█" * cells + "░" * (20 - cells)


def test_plenty_of_room() -> None:
    lines = capacity.summary(Use("Meltano", 10, 500), [Use("DBs 1", 10, 60), Use("DBs 2", 60, 60, full=True)], STACKS)
    assert lines == ["50 more tenants fit: there is room for 50 databases and 490 droplets."]


def test_a_team_that_is_marked_full_and_has_room_again() -> None:
    uses = [Use("DBs 1", 60, 60, full=True), Use("DBs 2", 58, 60, full=True, in_account=59, beside=1)]
    (*_, note) = capacity.summary(Use("Meltano", 10, 500), [*uses, Use("DBs 3", 1, 60)], STACKS)
    assert note == (
        "DBs 2 is marked full and has 59 of 60. To let it take tenants again:\n"
        "  pulumi config set --stack prod --path 'meltanodata:database_teams[1].full' false"
    )
    full = Use("DBs 2", 58, 60, full=True, in_account=60, beside=2)
    assert not [line for line in capacity.summary(Use("Meltano", 10, 500), [full], STACKS) if "marked full" in line]


def test_droplets_run_out_first() -> None:
    first, advice = capacity.summary(Use("Meltano", 8, 10), [Use("DBs 1", 8, 60)], STACKS)
    assert first == "2 more tenants fit: there is room for 52 databases and 2 droplets."
    assert advice == (
        "The droplet team is 80 % taken. Ask the contact at DigitalOcean by e-mail to raise the droplet limit of"
        " Meltano (10 now); then set it in each stack:\n"
        "  pulumi config set --stack prod --path meltanodata:droplet_team.limit NUMBER\n"
        "  pulumi config set --stack prod-2 --path meltanodata:droplet_team.limit NUMBER"
    )


def test_databases_run_out_first() -> None:
    uses = [Use("DBs 1", 60, 60, full=True), Use("DBs 2", 60, 60), Use("DBs 3", 40, 60)]
    first, advice = capacity.summary(Use("Meltano", 110, 500), uses, STACKS)
    assert first == "20 more tenants fit: there is room for 20 databases and 390 droplets."
    assert advice == (
        "The database teams are 88 % taken. Create a batch of teams from the Meltano account at DigitalOcean and ask"
        " the contact there by e-mail to raise their limit of database clusters from 10 to 60; then list each with its"
        " token:\n"
        "  pulumi config set --stack prod-2 --path 'meltanodata:database_teams[1].name' 'NEW TEAM'\n"
        "  pulumi config set --stack prod-2 --secret --path 'meltanodata:tokens[\"NEW TEAM\"]' < token.txt"
    )


def test_one_tenant() -> None:
    assert capacity.summary(Use("Meltano", 0, 500), [Use("DBs 1", 0, 1)], STACKS)[0].startswith("1 more tenant fits:")


@pytest.mark.parametrize(("used", "warned"), [(79, False), (80, True), (120, True)])
def test_the_warning_begins_at_80_percent(used: int, *, warned: bool) -> None:
    lines = capacity.summary(Use("Meltano", 0, 500), [Use("DBs 1", used, 100)], STACKS)
    assert ("The database teams are" in lines[-1]) == warned


def test_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    uses = [Use("DBs 1", 60, 60), Use("DBs 2", 30, 60, full=True), Use("DBs 3", 61, 60), Use("DBs 4", 0, 60)]
    capacity.show(Use("Meltano", 151, 500), uses, STACKS)
    rows = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert rows[:6] == [
        "team                used / limit",
        "Meltano (droplets)     151 / 500  ███████░░░░░░░░░░░░░  30 %",
        "DBs 1                    60 / 60  ████████████████████  100 %",
        "DBs 2                    30 / 60  ██████████░░░░░░░░░░  50 % full",
        "DBs 3                    61 / 60  ████████████████████  101 %",
        "DBs 4                     0 / 60  ░░░░░░░░░░░░░░░░░░░░  0 %",
    ]


def test_what_was_made_by_hand_takes_a_place_too() -> None:
    fleet = fleet_of(
        {
            "acme": {"database_team": "DBs 1"},
            "bolt": {"database_team": "DBs 1", "adopt": {"droplet": "old-bolt", "database": "odd"}},
            "core": {"database_team": "DBs 2"},
        }
    )
    held = builders.accounts(
        droplets=tuple(builders.droplet(name=name) for name in ("acme.meltanodata.com", "old-bolt", "controller")),
        clusters=(
            builders.cluster(id="1", team="DBs 1"),
            builders.cluster(id="2", team="DBs 1", name="odd"),
            builders.cluster(id="3", team="DBs 1", name="by-hand"),
            builders.cluster(id="4", team="DBs 2", name="by-hand-2"),
        ),
        cluster_counts={"DBs 1": 4, "DBs 2": 1},
    )
    stacks = [settings()]
    databases = placement.database_uses(fleet, stacks)
    uses = capacity.counted(
        fleet, placement.droplet_use(fleet, stacks), databases, {"DBs 1": held, "DBs 2": held}, "meltanodata.com"
    )
    assert uses == [
        Use("Meltano", 3, 500, in_account=3, beside=1),
        Use("DBs 1", 2, 60, in_account=4, beside=2),  # one of another engine
        Use("DBs 2", 1, 60, in_account=1, beside=1),  # core's is not made yet, and needs a place beside
    ]
    assert [use.taken for use in uses] == [4, 4, 2]
    assert [use.free for use in uses] == [496, 56, 58]


def test_the_table_of_file_and_accounts(capsys: pytest.CaptureFixture[str]) -> None:
    capacity.show(
        Use("Meltano", 2, 500, in_account=3, beside=1),
        [Use("DBs 1", 40, 60, full=True, in_account=50, beside=20)],
        STACKS,
    )
    rows = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert rows[:3] == [
        "team                file  account    taken",
        "Meltano (droplets)     2        3  3 / 500  █░░░░░░░░░░░░░░░░░░░  0 %",
        "DBs 1                 40       50  60 / 60  ████████████████████  100 % full",
    ]
