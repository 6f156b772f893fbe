"""`check`, `assign`, `new` and `schema`."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from meltanodata.config import schema
from sandbox.home import PROJECT, TEMPLATE
from tests.fleets import team, write_stack
from tests.unit.cli.operator import FLEET, Result

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.cli.operator import Run


@pytest.mark.usefixtures("folder")
def test_check_says_one_line_when_all_is_well(run: Run) -> None:
    assert run("check") == Result(0, "tenants.yaml: 2 tenants in 2 teams, no problems\n", "")


def test_check_names_every_problem_in_the_form_that_logs_make_clickable(folder: Path, run: Run) -> None:
    (folder / "tenants.yaml").write_text("acme:\n  tls: none\nbolt:\n  database_team: DB 2\nAcme: {}\n")
    ended = run("check")
    assert (ended.code, ended.out) == (1, "")
    assert [line.split(": ")[:2] for line in ended.err.splitlines()] == [
        ["tenants.yaml:1:1", "acme"],
        ["tenants.yaml:2:8", "acme"],
        ["tenants.yaml:4:3", "bolt"],
        ["tenants.yaml:5:1", "'Acme'"],
        ["tenants.yaml:5:1", "Acme"],
    ]


def test_check_looks_at_the_stacks_too(folder: Path, run: Run) -> None:
    write_stack(folder, "prod", domain="x")
    (folder / "tenants.yaml").write_text("acme: 5\n")
    ended = run("check")
    assert ended.code == 1
    assert [line.split(":")[0] for line in ended.err.splitlines()] == ["Pulumi.prod.yaml", "tenants.yaml"]


def test_check_of_another_file(folder: Path, run: Run) -> None:
    (folder / "other.yaml").write_text("acme:\n  database_team: DBs 1\n")
    assert run("check", "other.yaml").out == "other.yaml: 1 tenant in 1 team, no problems\n"
    ended = run("check", "none.yaml")
    assert (ended.code, ended.err) == (1, "none.yaml: there is no such file\n")


def test_check_from_a_folder_inside(folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "docs").mkdir()
    monkeypatch.chdir(folder / "docs")
    assert run("check").out == "../tenants.yaml: 2 tenants in 2 teams, no problems\n"


def test_outside_of_a_project(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ended = run("check")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("there is no Pulumi.yaml in ")
    assert "Traceback" not in ended.err


def test_check_of_a_stack(folder: Path, run: Run) -> None:
    write_stack(
        folder, "sandbox", api_url="http://127.0.0.1:1", tenants_file="few.yaml", database_teams=[team("DBs 1")]
    )
    (folder / "few.yaml").write_text("acme:\n  database_team: DBs 1\n")
    assert run("check", "--stack", "sandbox").out == "few.yaml: 1 tenant in 1 team, no problems\n"
    assert run("check").out == "tenants.yaml: 2 tenants in 2 teams, no problems\n"
    assert run("check", "--stack", "sandbx").err == (
        "there is no stack 'sandbx'. Did you mean 'sandbox'? The stacks are: prod or sandbox\n"
    )


def test_check_against_an_older_file(folder: Path, run: Run) -> None:
    write_stack(folder, "prod", database_teams=[team("DBs 1", full=True), team("DBs 2")])
    (folder / "old.yaml").write_text("bolt:\n  database_team: DBs 1\n")
    ended = run("check", "--base", "old.yaml")
    assert ended.code == 1
    assert ended.err == (
        "tenants.yaml:3:3: acme: 'DBs 1' is marked full and takes no new tenant; the first team with room is 'DBs 2'\n"
        "tenants.yaml:5:3: bolt: its database is in 'DBs 1' and cannot move to 'DBs 2'; write database_team: DBs 1\n"
    )
    assert run("check").code == 0


def test_check_says_that_a_full_team_has_room_again(folder: Path, run: Run) -> None:
    write_stack(folder, "prod", database_teams=[team("DBs 1", 2, full=True), team("DBs 2", 2, full=True)])
    (folder / "old.yaml").write_text(f"{FLEET}core:\n  database_team: DBs 1\n")
    assert run("check", "--base", "old.yaml").out == (
        "tenants.yaml: 2 tenants in 2 teams\n"
        "core is removed: applying this deletes its droplet core.meltanodata.com, its record core, its database"
        " in DBs 1 with all data and backups, and its login.\n"
        "DBs 1 is marked full and has 1 of 2. To let it take tenants again:\n"
        "  pulumi config set --stack prod --path 'meltanodata:database_teams[0].full' false\n"
    )
    assert run("check", "--base", "tenants.yaml").out == "tenants.yaml: 2 tenants in 2 teams, no problems\n"


def test_check_against_an_older_file_says_who_goes_and_what_that_deletes(folder: Path, run: Run) -> None:
    (folder / "old.yaml").write_text(FLEET)
    (folder / "tenants.yaml").write_text("{}\n")
    ended = run("check", "--base", "old.yaml")
    assert (ended.code, ended.err) == (0, "")
    first, acme, bolt = ended.out.splitlines()
    assert first == "tenants.yaml: no tenant at all ({}): applying it removes every existing tenant"
    assert acme.startswith(
        "acme is removed: applying this deletes its droplet acme.meltanodata.com, its record acme, its data"
    )
    assert bolt.startswith("bolt is removed: ")
    assert "its database in DBs 2 with all data and backups" in bolt
    assert "no problems" not in run("check").out
    (folder / "tenants.yaml").write_text("")
    ended = run("check", "--base", "old.yaml")
    assert ended.code == 1
    assert "restore the file" in ended.err


def test_check_against_an_older_file_points_out_a_new_name(folder: Path, run: Run) -> None:
    (folder / "old.yaml").write_text(FLEET)
    (folder / "tenants.yaml").write_text(FLEET.replace("acme", "acme2"))
    ended = run("check", "--base", "old.yaml")
    assert (ended.code, ended.err) == (0, "")
    assert "acme is removed: " in ended.out
    assert "  acme2 is new, with the same options. If it is acme under a new name, its data would be lost" in ended.out
    assert "put the entry of acme back, and run: meltanodata rename acme acme2\n" in ended.out
    assert "bolt" not in ended.out


@pytest.mark.parametrize(
    ("adopt", "kinds"),
    [
        ("{droplet: acme.meltanodata.com}", "droplet"),
        ("{record: acme}", "droplet and record"),
    ],
)
def test_check_says_that_a_new_name_takes_over_a_part_of_what_goes(
    folder: Path, run: Run, adopt: str, kinds: str
) -> None:
    (folder / "old.yaml").write_text(FLEET)
    (folder / "tenants.yaml").write_text(
        FLEET.replace("acme:\n", f"acme2:\n  adopt: {adopt}\n").replace("DBs 1", "DBs 2")
    )
    ended = run("check", "--base", "old.yaml")
    assert (ended.code, ended.err) == (0, "")
    assert "acme is removed: applying this deletes" in ended.out
    assert (
        f"  acme2 names its {kinds}: the plan is refused. If it is acme under a new name, put the entry of acme back,"
        " and run: meltanodata rename acme acme2\n"
    ) in ended.out


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "acme:\n  database_team: DBs 1\n",
            "acme2:\n  database_team: DBs 1\n  adopt: {record: acme, database: db-postgresql-nyc3-52483-acme}\n",
            "acme becomes acme2",
        ),
        (
            "old:\n  database_team: DBs 1\n  adopt: {database: db-postgresql-nyc3-01234-acme}\n",
            "acme:\n  database_team: DBs 1\n",
            "old becomes acme",
        ),
    ],
)
def test_check_lets_a_rename_pass_and_says_what_has_to_come_first(
    folder: Path, run: Run, old: str, new: str, said: str
) -> None:
    (folder / "old.yaml").write_text(old)
    (folder / "tenants.yaml").write_text(new)
    ended = run("check", "--base", "old.yaml")
    assert (ended.code, ended.err) == (0, "")
    assert f"{said}, whose entry names its database. The state has to be renamed before this is applied" in ended.out
    assert "is removed: " not in ended.out


def git(folder: Path, *arguments: str) -> None:
    """Run git in a folder, as nobody in particular."""
    who = {f"GIT_{role}_{what}": "a@example.com" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, env={**os.environ, **who})


def test_check_against_a_git_revision(folder: Path, run: Run) -> None:
    git(folder, "init", "--initial-branch=main")
    git(folder, "commit", "--allow-empty", "--message=begin")
    git(folder, "tag", "begin")
    git(folder, "add", "tenants.yaml")
    git(folder, "commit", "--message=fleet")
    (folder / "tenants.yaml").write_text(FLEET.replace("DBs 2", "DBs 1"))
    assert run("check", "--base", "main").err == (
        "tenants.yaml:5:3: bolt: its database is in 'DBs 2' and cannot move to 'DBs 1'; write database_team: DBs 2\n"
    )
    assert run("check", "--base", "begin").code == 0
    for name in ("nowhere", "--output=x"):
        ended = run("check", f"--base={name}")
        assert (ended.code, ended.err) == (1, f"{name!r} is not a revision that git has; fetch it first if it exists\n")


def test_assign_writes_what_is_missing_and_check_is_content(folder: Path, run: Run) -> None:
    write_stack(folder, "prod", database_teams=[team("DBs 1", 2), team("DBs 2")])
    (folder / "tenants.yaml").write_text(f"{FLEET}# two more\ncora:\ndora: {{demo: true}} # new\n")
    assert run("assign") == Result(0, "cora: DBs 1\ndora: DBs 2\n", "")
    assert (folder / "tenants.yaml").read_text() == (
        f"{FLEET}# two more\ncora:\n  database_team: DBs 1\ndora: {{database_team: DBs 2, demo: true}} # new\n"
    )
    assert run("check").code == 0
    assert run("assign") == Result(0, "tenants.yaml: every tenant has its team already\n", "")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("cora:\ndora: 5\n", "tenants.yaml:2:7: dora: '5' is not a mapping of options"),
        ("cora:\ndora:", "tenants.yaml:2: the file ends in the middle of a line"),
        ("", "tenants.yaml:1: there is no tenant in it"),
        ("{cora, dora: }\n", "tenants.yaml:1:2: cora: cannot be written into a file of this form"),
        ("a:\nb:\nc:\n", "tenants.yaml:3:1: c: none of the 1 database teams has room. meltanodata capacity shows"),
    ],
)
def test_assign_leaves_a_file_with_problems_as_it_is(folder: Path, run: Run, content: str, message: str) -> None:
    write_stack(folder, "prod", database_teams=[team("DBs 1", 2)])
    (folder / "tenants.yaml").write_text(content)
    ended = run("assign")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith(message)
    assert (folder / "tenants.yaml").read_text() == content


def test_assign_leaves_a_tenant_alone_that_had_a_team(folder: Path, run: Run) -> None:
    """In whichever commit its team was lost; one that is new gets the first team that has room."""
    git(folder, "init", "--initial-branch=main")
    git(folder, "add", "tenants.yaml")
    git(folder, "commit", "--message=fleet")
    lost = FLEET.replace("  database_team: DBs 2\n", "  demo: true\n")
    for _ in ("not committed", "committed"):
        (folder / "tenants.yaml").write_text(lost)
        ended = run("assign")
        assert (ended.code, ended.out) == (1, "")
        assert ended.err == (
            "tenants.yaml:4:1: bolt: database_team is missing, and its database is in 'DBs 2';"
            " write database_team: DBs 2\n"
        )
        assert (folder / "tenants.yaml").read_text() == lost
        git(folder, "commit", "--all", "--allow-empty", "--message=lost")
    (folder / "tenants.yaml").write_text("# the fleet\nacme:\n  database_team: DBs 1\n")
    git(folder, "commit", "--all", "--message=removed")
    (folder / "tenants.yaml").write_text("acme:\n  database_team: DBs 1\nbolt:\n  demo: true\n")
    assert run("assign") == Result(0, "bolt: DBs 1\n", "")


def test_assign_leaves_a_tenant_alone_whose_team_is_misspelt(folder: Path, run: Run) -> None:
    text = "acme:\n  databse_team: DBs 2\n"
    (folder / "tenants.yaml").write_text(text)
    for command in ("check", "assign"):
        ended = run(command)
        assert (ended.code, ended.out) == (1, "")
        (line,) = ended.err.splitlines()
        assert "Did you mean 'database_team'?" in line
        assert "assign" not in line
    assert (folder / "tenants.yaml").read_text() == text


def test_new_prints_an_entry_and_leaves_the_file(folder: Path, run: Run) -> None:
    assert run("new", "cora") == Result(0, "cora:\n  database_team: DBs 1\n", "")
    assert (folder / "tenants.yaml").read_text() == FLEET


def test_new_adds_an_entry(folder: Path, run: Run) -> None:
    assert run("new", "cora", "--write") == Result(0, "tenants.yaml:7: cora added, in DBs 1\n", "")
    assert (folder / "tenants.yaml").read_text() == f"{FLEET}\ncora:\n  database_team: DBs 1\n"
    assert run("check").code == 0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("acme", "tenants.yaml:2:1: acme has an entry already"),
        ("Cora_1", "'Cora_1': a tenant's name is 1 to 63 of a-z, 0-9 and -"),
        ("a" * 50, f"tenants.yaml:7:1: {'a' * 50}: the name has 50 characters and in nyc3 at most 38 fit"),
    ],
)
def test_new_refuses_what_check_would_refuse(folder: Path, run: Run, name: str, message: str) -> None:
    ended = run("new", name, "--write")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith(message)
    assert (folder / "tenants.yaml").read_text() == FLEET


def test_a_name_of_another_purpose_is_refused_by_check_and_by_new(folder: Path, run: Run) -> None:
    write_stack(folder, "prod", no_tenants=["www", "bolt-old"])
    words = "www: the setting no_tenants lists www: it serves another purpose"
    ended = run("new", "www", "--write")
    assert (ended.code, ended.out, (folder / "tenants.yaml").read_text()) == (1, "", FLEET)
    assert ended.err.startswith(f"tenants.yaml:7:1: {words}")
    (folder / "tenants.yaml").write_text(
        "www:\n  database_team: DBs 1\nbolt:\n  database_team: DBs 1\n  adopt: {droplet: bolt-old}\n"
    )
    ended = run("check")
    assert ended.code == 1
    assert [line.split(": ")[0] for line in ended.err.splitlines()] == ["tenants.yaml:1:1", "tenants.yaml:5:3"]
    assert words in ended.err
    assert "take the name out of no_tenants in Pulumi.prod.yaml" in ended.err


def test_new_where_no_team_has_room(folder: Path, run: Run) -> None:
    write_stack(folder, "prod", database_teams=[team("DBs 1", 1), team("DBs 2", full=True)])
    assert run("new", "cora").err == "none of the 2 database teams has room. meltanodata capacity shows what to do\n"


def test_schema(folder: Path, run: Run) -> None:
    assert run("schema", "--check").err == (
        "tenants.schema.json differs from what meltanodata/config/options.py declares. Run: meltanodata schema\n"
    )
    assert not (folder / schema.FILE).exists()
    assert run("schema").code == 0
    assert (folder / schema.FILE).read_text() == schema.text()
    assert run("schema", "--check") == Result(0, "tenants.schema.json is up to date\n", "")


def test_the_repositorys_own_fleet_passes(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)
    assert run("check").code == 0
    for file in (PROJECT / "Pulumi.yaml", PROJECT / "tenants.yaml", TEMPLATE):
        shutil.copy(file, tmp_path)
    monkeypatch.chdir(tmp_path)
    assert run("check", "--stack", "sandbox").code == 0
