"""How many more tenants fit, and what to ask for when they do not."""

from __future__ import annotations

import pytest

from meltanodata import terminal
from meltanodata.config.placement import Use
from meltanodata.render import capacity_table
from tests.fleets import settings, team

STACKS = [settings(), settings(stack="prod-2", database_teams=[team("DBs 3")])]


@pytest.mark.parametrize(
    ("used", "cells"), [(0, 0), (1, 1), (25, 1), (26, 2), (250, 10), (499, 19), (500, 20), (900, 20)]
)
def test_a_bar(used: int, cells: int) -> None:
    assert capacity_table.bar(Use("Meltano", used, 500)) == "█" * cells + "░" * (20 - cells)


def test_plenty_of_room() -> None:
    lines = capacity_table.summary(
        Use("Meltano", 10, 500), [Use("DBs 1", 10, 60), Use("DBs 2", 60, 60, full=True)], STACKS
    )
    assert lines == ["50 more tenants fit: there is room for 50 databases and 490 droplets."]


def test_a_team_that_is_marked_full_and_has_room_again() -> None:
    uses = [Use("DBs 1", 60, 60, full=True), Use("DBs 2", 58, 60, full=True, in_account=59, beside=1)]
    (*_, note) = capacity_table.summary(Use("Meltano", 10, 500), [*uses, Use("DBs 3", 1, 60)], STACKS)
    assert note == (
        "DBs 2 is marked full and has 59 of 60. To let it take tenants again:\n"
        "  pulumi config set --stack prod --path 'meltanodata:database_teams[1].full' false"
    )
    full = Use("DBs 2", 58, 60, full=True, in_account=60, beside=2)
    assert not [
        line for line in capacity_table.summary(Use("Meltano", 10, 500), [full], STACKS) if "marked full" in line
    ]


def test_droplets_run_out_first() -> None:
    first, advice = capacity_table.summary(Use("Meltano", 8, 10), [Use("DBs 1", 8, 60)], STACKS)
    assert first == "2 more tenants fit: there is room for 52 databases and 2 droplets."
    assert advice == (
        "The droplet team is 80 % taken. Ask the contact at DigitalOcean by e-mail to raise the droplet limit of"
        " Meltano (10 now); then set the new limit in each stack:\n"
        "  pulumi config set --stack prod --path meltanodata:droplet_team.limit NUMBER\n"
        "  pulumi config set --stack prod-2 --path meltanodata:droplet_team.limit NUMBER"
    )


def test_databases_run_out_first() -> None:
    uses = [Use("DBs 1", 60, 60, full=True), Use("DBs 2", 60, 60), Use("DBs 3", 40, 60)]
    first, advice = capacity_table.summary(Use("Meltano", 110, 500), uses, STACKS)
    assert first == "20 more tenants fit: there is room for 20 databases and 390 droplets."
    assert advice == (
        "The database teams are 88 % taken. Create a batch of teams from the Meltano account at DigitalOcean and ask"
        " the contact there by e-mail to raise their limit of database clusters from 10 to 60; then add each team with"
        " its token:\n"
        "  pulumi config set --stack prod-2 --path 'meltanodata:database_teams[1].name' 'NEW TEAM'\n"
        "  pulumi config set --stack prod-2 --secret --path 'meltanodata:tokens[\"NEW TEAM\"]' < token.txt"
    )


def test_one_tenant() -> None:
    assert capacity_table.summary(Use("Meltano", 0, 500), [Use("DBs 1", 0, 1)], STACKS)[0].startswith(
        "1 more tenant fits:"
    )


@pytest.mark.parametrize(("used", "warned"), [(79, False), (80, True), (120, True)])
def test_the_warning_begins_at_80_percent(used: int, *, warned: bool) -> None:
    lines = capacity_table.summary(Use("Meltano", 0, 500), [Use("DBs 1", used, 100)], STACKS)
    assert ("The database teams are" in lines[-1]) == warned


def test_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    uses = [Use("DBs 1", 60, 60), Use("DBs 2", 30, 60, full=True), Use("DBs 3", 61, 60), Use("DBs 4", 0, 60)]
    terminal.console().print(capacity_table.table(Use("Meltano", 151, 500), uses), soft_wrap=True)
    rows = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert rows[:6] == [
        "team                used / limit",
        "Meltano (droplets)     151 / 500  ███████░░░░░░░░░░░░░  30 %",
        "DBs 1                    60 / 60  ████████████████████  100 %",
        "DBs 2                    30 / 60  ██████████░░░░░░░░░░  50 % full",
        "DBs 3                    61 / 60  ████████████████████  101 %",
        "DBs 4                     0 / 60  ░░░░░░░░░░░░░░░░░░░░  0 %",
    ]


def test_the_table_of_file_and_accounts(capsys: pytest.CaptureFixture[str]) -> None:
    droplets, databases = (
        Use("Meltano", 2, 500, in_account=3, beside=1),
        Use("DBs 1", 40, 60, full=True, in_account=50, beside=20),
    )
    terminal.console().print(capacity_table.table(droplets, [databases]), soft_wrap=True)
    rows = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert rows[:3] == [
        "team                file  account    taken",
        "Meltano (droplets)     2        3  3 / 500  █░░░░░░░░░░░░░░░░░░░  0 %",
        "DBs 1                 40       50  60 / 60  ████████████████████  100 % full",
    ]
