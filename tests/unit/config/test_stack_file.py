"""A stack's file with a team taken out or put in: the rest stays as it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from meltanodata.config import document, settings_loading, stack_file
from meltanodata.errors import ProblemsError

if TYPE_CHECKING:
    from meltanodata.config.document import Document

PROD = """\
# The real thing.
config:
  meltanodata:domain: meltanodata.com  # bought in 2018
  meltanodata:project: Meltano
  # What DigitalOcean offers.
  meltanodata:database_version: "16"
  meltanodata:droplet_team:
    name: Meltano
    limit: 500
  # In the order in which they fill up.
  meltanodata:database_teams:
    # The first.
    - name: DBs 1
      limit: 60
    # Raised by e-mail.
    # Twice.
    - name: DBs 2
      limit: 80  # from 60
      full: true
    - limit: 60
      name: DBs 3
  meltanodata:tokens:
    Meltano:
      secure: v1:a
    # By Jane.
    DBs 2:
      secure: v1:b
    DBs 3:
      secure: v1:c
  meltanodata:ssh_private_key:
    secure: v1:d
encryptionsalt: v1:salt
"""

ENTRY = """\
# Raised by e-mail.
# Twice.
- name: DBs 2
  limit: 80  # from 60
  full: true
"""


def parsed(text: str, file: str = "Pulumi.prod.yaml") -> Document:
    return document.parse(text.encode(), file)


def teams(text: str) -> list[str]:
    return [team.name for team in settings_loading.parse(parsed(text), "prod").database_teams]


def test_a_teams_entry_with_its_comments() -> None:
    assert stack_file.team_entry(parsed(PROD), "DBs 2") == ENTRY
    assert stack_file.team_entry(parsed(PROD), "DBs 1") == "# The first.\n- name: DBs 1\n  limit: 60\n"
    assert stack_file.team_entry(parsed(PROD), "DBs 3") == "- limit: 60\n  name: DBs 3\n"


def test_removing_a_team_changes_nothing_else() -> None:
    left = stack_file.without_team(parsed(PROD), "DBs 2")
    gone = [line for line in PROD.splitlines() if line not in left.splitlines()]
    assert [line.strip() for line in gone] == [
        "# Raised by e-mail.",
        "# Twice.",
        "- name: DBs 2",
        "limit: 80  # from 60",
        "full: true",
        "# By Jane.",
        "DBs 2:",
        "secure: v1:b",
    ]
    assert [line for line in PROD.splitlines() if line in left.splitlines()] == left.splitlines()
    assert teams(left) == ["DBs 1", "DBs 3"]


def test_with_a_team_at_the_end_of_the_list() -> None:
    left = stack_file.without_team(parsed(PROD), "DBs 2")
    for target, indent in ((left, "    "), (_outdented(left), "  ")):
        grown = stack_file.with_team(parsed(target), ENTRY)
        assert teams(grown) == ["DBs 1", "DBs 3", "DBs 2"]
        assert "".join(f"{indent}{line}" for line in ENTRY.splitlines(keepends=True)) in grown
        assert len(grown) == len(target) + len(ENTRY) + len(indent) * len(ENTRY.splitlines())


def _outdented(text: str) -> str:
    """With the list's dashes below the first letter of its name, as Pulumi's CLI and others write it."""
    before, teams_and_after = text.split("database_teams:\n")
    listed, after = teams_and_after.split("  meltanodata:tokens:\n")
    return f"{before}database_teams:\n{listed.replace(chr(10) + '  ', chr(10))[2:]}  meltanodata:tokens:\n{after}"


def test_moving_a_team_there_and_back_changes_nothing() -> None:
    entry = stack_file.team_entry(parsed(PROD), "DBs 3")
    left = stack_file.without_team(parsed(PROD), "DBs 3")
    back = stack_file.with_team(parsed(left), entry)
    assert back == PROD.replace("    DBs 3:\n      secure: v1:c\n", "")


def test_a_new_stack_gets_the_non_secret_settings_and_one_team() -> None:
    made = stack_file.new_stack(parsed(PROD), parsed("encryptionsalt: v1:other\n"), ENTRY)
    assert made.startswith(
        "encryptionsalt: v1:other\nconfig:\n  meltanodata:domain: meltanodata.com  # bought in 2018\n"
    )
    assert "  # What DigitalOcean offers.\n" in made
    assert "secure" not in made
    old, new = settings_loading.parse(parsed(PROD), "prod"), settings_loading.parse(parsed(made), "prod")
    assert new == old.model_copy(update={"database_teams": old.database_teams[1:2]})


def test_a_new_stack_that_has_a_config_of_another_kind() -> None:
    with pytest.raises(ProblemsError, match=r"Pulumi\.new\.yaml:1:1: cannot be edited in this form"):
        stack_file.new_stack(parsed(PROD), parsed("config:\n  aws:region: x\n", "Pulumi.new.yaml"), ENTRY)


def test_an_entry_on_one_line_of_its_own() -> None:
    text = PROD.replace("- limit: 60\n      name: DBs 3", "- {name: DBs 3}  # new")
    assert stack_file.team_entry(parsed(text), "DBs 3") == "- {name: DBs 3}  # new\n"
    assert teams(stack_file.without_team(parsed(text), "DBs 3")) == ["DBs 1", "DBs 2"]


def _between(first: str, after: str) -> str:
    return PROD[PROD.index(first) : PROD.index(after)]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (_between("\n    # The first", "  meltanodata:tokens"), " [{name: DBs 1}, {name: DBs 2}]\n"),
        (_between("\n    Meltano:\n", "  meltanodata:ssh"), " {DBs 2: {secure: x}}\n"),
    ],
)
def test_a_form_without_lines_of_its_own_is_refused(old: str, new: str) -> None:
    with pytest.raises(ProblemsError, match="write each entry on lines of its own"):
        stack_file.without_team(parsed(PROD.replace(old, new)), "DBs 2")


def test_the_real_file_can_be_split() -> None:
    path = Path(__file__).parents[3] / "Pulumi.prod.yaml"
    source = document.read(path)
    whole = settings_loading.read(path)
    for team in whole.database_teams:
        left = settings_loading.parse(parsed(stack_file.without_team(source, team.name)), "prod")
        assert left.database_teams == tuple(it for it in whole.database_teams if it != team)
