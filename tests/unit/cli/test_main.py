"""The operator's command as an operator meets it: what it prints, where, and how it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from meltanodata.cli import main
from meltanodata.config import schema
from tests.fleets import team, write_stack

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[..., "Result"]

PROJECT = Path(__file__).resolve().parents[3]
FLEET = "# the fleet\nacme:\n  database_team: DBs 1\nbolt:\n  database_team: DBs 2\n"


class Result(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder with one stack and two tenants, which is the working directory."""
    (tmp_path / "Pulumi.yaml").write_text("name: meltanodata\n")
    write_stack(tmp_path, "prod")
    (tmp_path / "tenants.yaml").write_text(FLEET)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `meltanodata` with arguments."""

    def run(*arguments: str) -> Result:
        monkeypatch.setattr(sys, "argv", ["meltanodata", *arguments])
        code = 0
        try:
            main.main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        return Result(code, *capsys.readouterr())

    return run


@pytest.mark.usefixtures("project")
def test_check_says_one_line_when_all_is_well(run: Run) -> None:
    assert run("check") == Result(0, "tenants.yaml: 2 tenants in 2 teams, no problems\n", "")


def test_check_names_every_problem_in_the_form_that_logs_make_clickable(project: Path, run: Run) -> None:
    (project / "tenants.yaml").write_text("acme:\n  tls: none\nbolt:\n  database_team: DB 2\nAcme: {}\n")
    ended = run("check")
    assert (ended.code, ended.out) == (1, "")
    assert [line.split(": ")[:2] for line in ended.err.splitlines()] == [
        ["tenants.yaml:1:1", "acme"],
        ["tenants.yaml:2:8", "acme"],
        ["tenants.yaml:4:3", "bolt"],
        ["tenants.yaml:5:1", "'Acme'"],
        ["tenants.yaml:5:1", "Acme"],
    ]


def test_check_looks_at_the_stacks_too(project: Path, run: Run) -> None:
    write_stack(project, "prod", domain="x")
    (project / "tenants.yaml").write_text("acme: 5\n")
    ended = run("check")
    assert ended.code == 1
    assert [line.split(":")[0] for line in ended.err.splitlines()] == ["Pulumi.prod.yaml", "tenants.yaml"]


def test_check_of_another_file(project: Path, run: Run) -> None:
    (project / "other.yaml").write_text("acme:\n  database_team: DBs 1\n")
    assert run("check", "other.yaml").out == "other.yaml: 1 tenant in 1 team, no problems\n"
    ended = run("check", "none.yaml")
    assert (ended.code, ended.err) == (1, "none.yaml: there is no such file\n")


def test_check_from_a_folder_inside(project: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "docs").mkdir()
    monkeypatch.chdir(project / "docs")
    assert run("check").out == "../tenants.yaml: 2 tenants in 2 teams, no problems\n"


def test_outside_of_a_project(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ended = run("check")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("there is no Pulumi.yaml in ")
    assert "Traceback" not in ended.err


def test_check_of_a_stack(project: Path, run: Run) -> None:
    write_stack(
        project, "sandbox", api_url="http://127.0.0.1:1", tenants_file="few.yaml", database_teams=[team("DBs 1")]
    )
    (project / "few.yaml").write_text("acme:\n  database_team: DBs 1\n")
    assert run("check", "--stack", "sandbox").out == "few.yaml: 1 tenant in 1 team, no problems\n"
    assert run("check").out == "tenants.yaml: 2 tenants in 2 teams, no problems\n"
    assert run("check", "--stack", "sandbx").err == (
        "there is no stack 'sandbx'. Did you mean 'sandbox'? There are: prod or sandbox\n"
    )


def test_check_against_an_older_file(project: Path, run: Run) -> None:
    write_stack(project, "prod", database_teams=[team("DBs 1", full=True), team("DBs 2")])
    (project / "old.yaml").write_text("bolt:\n  database_team: DBs 1\n")
    ended = run("check", "--base", "old.yaml")
    assert ended.code == 1
    assert ended.err == (
        "tenants.yaml:3:3: acme: 'DBs 1' is marked full and takes no new tenant; the first team with room is 'DBs 2'\n"
        "tenants.yaml:5:3: bolt: its database is in 'DBs 1' and cannot move to 'DBs 2'; write database_team: DBs 1\n"
    )
    assert run("check").code == 0


def test_check_says_that_a_full_team_has_room_again(project: Path, run: Run) -> None:
    write_stack(project, "prod", database_teams=[team("DBs 1", 2, full=True), team("DBs 2", 2, full=True)])
    (project / "old.yaml").write_text(f"{FLEET}core:\n  database_team: DBs 1\n")
    assert run("check", "--base", "old.yaml").out == (
        "tenants.yaml: 2 tenants in 2 teams\n"
        "core is removed: applying this deletes its droplet core.meltanodata.com, its record core, its database"
        " in DBs 1 with all data and backups, and its login.\n"
        "DBs 1 is marked full and has 1 of 2. To let it take tenants again:\n"
        "  pulumi config set --stack prod --path 'meltanodata:database_teams[0].full' false\n"
    )
    assert run("check", "--base", "tenants.yaml").out == "tenants.yaml: 2 tenants in 2 teams, no problems\n"


def test_check_against_an_older_file_says_who_goes_and_what_that_deletes(project: Path, run: Run) -> None:
    (project / "old.yaml").write_text(FLEET)
    (project / "tenants.yaml").write_text("{}\n")
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
    (project / "tenants.yaml").write_text("")
    ended = run("check", "--base", "old.yaml")
    assert ended.code == 1
    assert "restore the file" in ended.err


def test_check_against_an_older_file_points_out_a_new_name(project: Path, run: Run) -> None:
    (project / "old.yaml").write_text(FLEET)
    (project / "tenants.yaml").write_text(FLEET.replace("acme", "acme2"))
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
    project: Path, run: Run, adopt: str, kinds: str
) -> None:
    (project / "old.yaml").write_text(FLEET)
    (project / "tenants.yaml").write_text(
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
    project: Path, run: Run, old: str, new: str, said: str
) -> None:
    (project / "old.yaml").write_text(old)
    (project / "tenants.yaml").write_text(new)
    ended = run("check", "--base", "old.yaml")
    assert (ended.code, ended.err) == (0, "")
    assert f"{said}, whose entry names its database. The state has to be renamed before this is applied" in ended.out
    assert "is removed: " not in ended.out


def git(folder: Path, *arguments: str) -> None:
    """Run git in a folder, as nobody in particular."""
    who = {f"GIT_{role}_{what}": "a@example.com" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, env={**os.environ, **who})


def test_check_against_a_git_revision(project: Path, run: Run) -> None:
    git(project, "init", "--initial-branch=main")
    git(project, "commit", "--allow-empty", "--message=begin")
    git(project, "tag", "begin")
    git(project, "add", "tenants.yaml")
    git(project, "commit", "--message=fleet")
    (project / "tenants.yaml").write_text(FLEET.replace("DBs 2", "DBs 1"))
    assert run("check", "--base", "main").err == (
        "tenants.yaml:5:3: bolt: its database is in 'DBs 2' and cannot move to 'DBs 1'; write database_team: DBs 2\n"
    )
    assert run("check", "--base", "begin").code == 0
    for name in ("nowhere", "--output=x"):
        ended = run("check", f"--base={name}")
        assert (ended.code, ended.err) == (1, f"{name!r} is no revision that git has; fetch it first if it is one\n")


def test_assign_writes_what_is_missing_and_check_is_content(project: Path, run: Run) -> None:
    write_stack(project, "prod", database_teams=[team("DBs 1", 2), team("DBs 2")])
    (project / "tenants.yaml").write_text(f"{FLEET}# two more\ncora:\ndora: {{demo: true}} # new\n")
    assert run("assign") == Result(0, "cora: DBs 1\ndora: DBs 2\n", "")
    assert (project / "tenants.yaml").read_text() == (
        f"{FLEET}# two more\ncora:\n  database_team: DBs 1\ndora: {{database_team: DBs 2, demo: true}} # new\n"
    )
    assert run("check").code == 0
    assert run("assign") == Result(0, "tenants.yaml: every tenant has its team already\n", "")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("cora:\ndora: 5\n", "tenants.yaml:2:7: dora: '5' is no mapping of options"),
        ("cora:\ndora:", "tenants.yaml:2: the file ends in the middle of a line"),
        ("", "tenants.yaml:1: there is no tenant in it"),
        ("{cora, dora: }\n", "tenants.yaml:1:2: cora: cannot be written into a file of this form"),
        ("a:\nb:\nc:\n", "tenants.yaml:3:1: c: none of the 1 database teams has room. meltanodata capacity shows"),
    ],
)
def test_assign_leaves_a_file_with_problems_as_it_is(project: Path, run: Run, content: str, message: str) -> None:
    write_stack(project, "prod", database_teams=[team("DBs 1", 2)])
    (project / "tenants.yaml").write_text(content)
    ended = run("assign")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith(message)
    assert (project / "tenants.yaml").read_text() == content


def test_assign_leaves_a_tenant_alone_that_had_a_team(project: Path, run: Run) -> None:
    """In whichever commit its team was lost; one that is new gets the first team that has room."""
    git(project, "init", "--initial-branch=main")
    git(project, "add", "tenants.yaml")
    git(project, "commit", "--message=fleet")
    lost = FLEET.replace("  database_team: DBs 2\n", "  demo: true\n")
    for _ in ("not committed", "committed"):
        (project / "tenants.yaml").write_text(lost)
        ended = run("assign")
        assert (ended.code, ended.out) == (1, "")
        assert ended.err == (
            "tenants.yaml:4:1: bolt: database_team is missing, and its database is in 'DBs 2';"
            " write database_team: DBs 2\n"
        )
        assert (project / "tenants.yaml").read_text() == lost
        git(project, "commit", "--all", "--allow-empty", "--message=lost")
    (project / "tenants.yaml").write_text("# the fleet\nacme:\n  database_team: DBs 1\n")
    git(project, "commit", "--all", "--message=removed")
    (project / "tenants.yaml").write_text("acme:\n  database_team: DBs 1\nbolt:\n  demo: true\n")
    assert run("assign") == Result(0, "bolt: DBs 1\n", "")


def test_assign_leaves_a_tenant_alone_whose_team_is_misspelt(project: Path, run: Run) -> None:
    text = "acme:\n  databse_team: DBs 2\n"
    (project / "tenants.yaml").write_text(text)
    for command in ("check", "assign"):
        ended = run(command)
        assert (ended.code, ended.out) == (1, "")
        (line,) = ended.err.splitlines()
        assert "Did you mean 'database_team'?" in line
        assert "assign" not in line
    assert (project / "tenants.yaml").read_text() == text


def test_new_prints_an_entry_and_leaves_the_file(project: Path, run: Run) -> None:
    assert run("new", "cora") == Result(0, "cora:\n  database_team: DBs 1\n", "")
    assert (project / "tenants.yaml").read_text() == FLEET


def test_new_adds_an_entry(project: Path, run: Run) -> None:
    assert run("new", "cora", "--write") == Result(0, "tenants.yaml:7: cora added, in DBs 1\n", "")
    assert (project / "tenants.yaml").read_text() == f"{FLEET}\ncora:\n  database_team: DBs 1\n"
    assert run("check").code == 0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("acme", "tenants.yaml:2:1: acme has an entry already"),
        ("Cora_1", "'Cora_1': a tenant's name is 1 to 63 of a-z, 0-9 and -"),
        ("a" * 50, f"tenants.yaml:7:1: {'a' * 50}: the name has 50 characters and in nyc3 at most 38 fit"),
    ],
)
def test_new_refuses_what_check_would_refuse(project: Path, run: Run, name: str, message: str) -> None:
    ended = run("new", name, "--write")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith(message)
    assert (project / "tenants.yaml").read_text() == FLEET


def test_new_where_no_team_has_room(project: Path, run: Run) -> None:
    write_stack(project, "prod", database_teams=[team("DBs 1", 1), team("DBs 2", full=True)])
    assert run("new", "cora").err == "none of the 2 database teams has room. meltanodata capacity shows what to do\n"


@pytest.mark.usefixtures("project")
def test_capacity(run: Run) -> None:
    ended = run("capacity")
    assert (ended.code, ended.err) == (0, "")
    rows = [line.rstrip() for line in ended.out.splitlines()]
    assert rows[1] == "Meltano (droplets)       2 / 500  █░░░░░░░░░░░░░░░░░░░  0 %"
    assert rows[-1] == "118 more tenants fit: there is room for 118 databases and 498 droplets."


def test_schema(project: Path, run: Run) -> None:
    assert run("schema", "--check").err == (
        "tenants.schema.json differs from what meltanodata/config/options.py declares. Run: meltanodata schema\n"
    )
    assert not (project / schema.FILE).exists()
    assert run("schema").code == 0
    assert (project / schema.FILE).read_text() == schema.text()
    assert run("schema", "--check") == Result(0, "tenants.schema.json is up to date\n", "")


@pytest.mark.parametrize("arguments", [["check", "--bogus"], ["bogus"], ["new"], ["check", "a", "b"]])
@pytest.mark.usefixtures("project")
def test_wrong_usage(run: Run, arguments: list[str]) -> None:
    ended = run(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert "Usage: meltanodata" in ended.err


@pytest.mark.parametrize("command", ["check", "assign", "new", "capacity", "schema", "adopt", "credentials"])
def test_help_has_examples(run: Run, command: str) -> None:
    ended = run(command, "--help")
    assert ended.code == 0
    assert f"\n  meltanodata {command}" in ended.out


def complete(folder: Path, line: str) -> list[str]:
    """What the shell would propose for a line."""
    asked = {"_MELTANODATA_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}
    program = "import sys; sys.argv[0] = 'meltanodata'; from meltanodata.cli.main import main; main()"
    environment = {**os.environ, **asked, "PYTHONPATH": str(PROJECT)}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_the_shell_completes_commands_and_stacks(project: Path) -> None:
    write_stack(project, "prod-2")
    assert complete(project, "meltanodata ch") == ["check"]
    assert complete(project, "meltanodata check --stack p") == ["prod", "prod-2"]


def test_the_command_starts_without_the_engines_sdk() -> None:
    slow = {"pulumi", "rich.table", "cryptography", "requests", "httpx", "asyncssh", "jinja2"}
    program = f"import sys, meltanodata.cli.main; print({slow} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_the_repositorys_own_fleet_passes(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)
    assert run("check").code == 0
    assert run("check", "--stack", "sandbox").code == 0
