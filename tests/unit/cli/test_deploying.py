"""`meltanodata up` as a process, with a `pulumi` that keeps what it is told."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from meltanodata.cli.exit_codes import FAILED
from meltanodata.engine import cli_version, deletions, deployed_commit, left_alone, pulumi_cli
from meltanodata.rollout.guard import DATA_LOSS, DROPLET_REPLACED, MANY_DESTROYED
from tests.previews import Step, created, destroyed, preview, replaced
from tests.waiting import eventually

DROPLET = "urn:pulumi:prod::meltanodata::digitalocean:index/droplet:Droplet::acme-droplet"
RECORD = "urn:pulumi:prod::meltanodata::digitalocean:index/dnsRecord:DnsRecord::acme-record"

SETTINGS = """\
config:
  meltanodata:domain: meltanodata.com
  meltanodata:project: Meltano
  meltanodata:database_version: "16"
  meltanodata:droplet_team: {{name: Meltano}}
  meltanodata:database_teams: [{{name: {0}}}]
"""

UP = "up --stack prod --yes --skip-preview --suppress-outputs"

PULUMI = """#!{python}
import json, os, sys, pathlib
folder = pathlib.Path({folder!r})
args = sys.argv[1:]
if args == ["version"]:
    sys.exit(print("v" + {version!r}))
with (folder / "calls").open("a") as calls:
    print(json.dumps(args), file=calls)
if args[:1] == ["whoami"]:
    print(json.dumps({{"user": "ci", "url": (folder / "backend").read_text()}}))
elif args[:2] == ["stack", "export"]:
    print((folder / "state.json").read_text())
elif args[:3] == ["stack", "tag", "ls"]:
    print((folder / "tags.json").read_text())
elif args[:2] == ["stack", "import"]:
    (folder / "imported.json").write_text(sys.stdin.read())
elif args[:1] == ["refresh"] and (folder / "broken").exists():
    sys.exit("error: the token is refused")
elif args[:1] == ["preview"] and "--json" in args:
    if (folder / "locks").exists():
        (folder / "locks").rename(folder / "backend folder/.pulumi/locks/organization/meltanodata/prod")
    print((folder / "preview.json").read_text())
elif args[:1] == ["up"]:
    print("up in", pathlib.Path.cwd())
    (folder / "environment").write_text(json.dumps(dict(os.environ)))
    sys.exit(7)
"""


@dataclass
class World:
    """A project's folder and a backend's, with a `pulumi` on the PATH."""

    folder: Path

    @property
    def project(self) -> Path:
        return self.folder / "project"

    @property
    def locks(self) -> Path:
        return self.folder / "backend folder/.pulumi/locks/organization/meltanodata/prod"

    def locks_with_the_preview(self) -> None:
        """The locks that there are come to be when the preview is made."""
        self.locks.rename(self.folder / "locks")

    def has_state(self, resources: list[dict[str, Any]] | None = None, *pending: tuple[str, str]) -> None:
        noted = [{"type": kind, "resource": {"urn": urn}} for kind, urn in pending]
        deployment = {"resources": resources or [], **({"pending_operations": noted} if noted else {})}
        (self.folder / "state.json").write_text(json.dumps({"version": 3, "deployment": deployment}))

    def is_locked(self, pid: int, host: str | None = None) -> None:
        self.locks.mkdir(parents=True, exist_ok=True)
        content = {"pid": pid, "username": "ci", "hostname": host or socket.gethostname()}
        (self.locks / f"{pid}.json").write_text(json.dumps({**content, "timestamp": "2026-11-23T00:44:22Z"}))

    def up(self, *args: str, stack: str | None = "prod", path: str | None = None) -> subprocess.CompletedProcess[str]:
        """`meltanodata up` with nobody to ask."""
        return self.run("up", *args, stack=stack, path=path)

    def run(self, *args: str, stack: str | None = "prod", path: str | None = None) -> subprocess.CompletedProcess[str]:
        """A command of `meltanodata`."""
        program = "from meltanodata.cli.main import main; main()"
        environment = {**os.environ, "PATH": path or f"{self.folder}/bin:{os.environ['PATH']}"}
        environment |= {"PULUMI_STACK": stack} if stack else {}
        environment["PYTHONPATH"] = str(Path(__file__).parents[3])
        environment.pop("PYTHONUNBUFFERED", None)  # what is said last must not depend on it
        return subprocess.run(
            [sys.executable, "-c", program, *args],
            cwd=self.project,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def calls(self) -> list[str]:
        """What pulumi was told, without what only asks."""
        return [" ".join(line) for line in self.lines() if line[0] not in {"whoami", "preview"} and line[1] != "export"]

    def previews(self) -> list[str]:
        """What `pulumi preview` was told beside what it always is."""
        always = ["preview", "--json", "--non-interactive", "--stack", "prod"]
        told = [line for line in self.lines() if line[0] == "preview"]
        assert all(line[: len(always)] == always for line in told)
        return [" ".join(line[len(always) :]) for line in told]

    def lines(self) -> list[list[str]]:
        return [json.loads(line) for line in (self.folder / "calls").read_text().splitlines()]

    def plans(self, *steps: Step, tenants: int = 20) -> None:
        (self.folder / "preview.json").write_text(json.dumps(preview(*steps, tenants=tenants)))

    def may_go(self) -> str:
        """Whose databases `pulumi up` may delete."""
        return str(json.loads((self.folder / "environment").read_text())[deletions.VARIABLE])

    def imported(self) -> Any:
        return json.loads((self.folder / "imported.json").read_text())["deployment"]


@pytest.fixture
def world(tmp_path: Path) -> World:
    for folder in ("bin", "project/below", "backend folder"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "project/Pulumi.yaml").write_text("name: meltanodata\nruntime: python\n")
    for stack in ("prod", "dev"):
        (tmp_path / f"project/Pulumi.{stack}.yaml").write_text(SETTINGS.format(f"DBs of {stack}"))
    (tmp_path / "project/tenants.yaml").write_text("acme:\n  database_team: DBs of prod\n")
    (tmp_path / "backend").write_text(f"file://{tmp_path}/backend%20folder")
    pulumi = tmp_path / "bin/pulumi"
    pulumi.write_text(PULUMI.format(python=sys.executable, folder=str(tmp_path), version=cli_version.SDK))
    pulumi.chmod(0o755)
    it = World(tmp_path)
    it.has_state()
    it.plans()
    return it


def gone() -> int:
    """The id of a process that is gone."""
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


def test_it_runs_pulumi_up(world: World) -> None:
    done = world.up("--yes", "--target", DROPLET, "--continue-on-error")
    assert world.previews() == [f"--target {DROPLET}"]
    assert world.calls() == [f"{UP} --yes --target {DROPLET} --continue-on-error"]
    assert (done.returncode, done.stdout) == (7, f"prod: no changes\nup in {world.project}\n")


@pytest.mark.parametrize(("engine", "code"), [(0, FAILED), (7, 7)])
def test_a_tenant_that_is_left_alone_is_said_and_the_exit_code_tells(world: World, engine: int, code: int) -> None:
    warning = {"severity": "warning", "message": f"warning: {left_alone.warning('bolt', 'its region is closed')}"}
    previewed = preview(*created("core")) | {"diagnostics": [warning]}
    (world.folder / "preview.json").write_text(json.dumps(previewed))
    pulumi = world.folder / "bin/pulumi"
    pulumi.write_text(pulumi.read_text().replace("sys.exit(7)", f"sys.exit({engine})"))
    said = "bolt cannot be planned and is left as it is: its region is closed\n"
    planned, applied = world.run("plan"), world.up("--yes")
    assert (planned.returncode, applied.returncode) == (1, code)
    assert planned.stderr.endswith(said)
    assert said in applied.stderr
    assert world.calls() == [f"{UP} --yes"]


def test_without_anybody_to_ask_it_wants_a_yes(world: World) -> None:
    for arguments in ([], ["--non-interactive"]):
        done = world.up(*arguments)
        assert done.returncode == 2
        assert "--yes" in done.stderr
    assert not (world.folder / "calls").exists()


@pytest.mark.parametrize("arguments", [["--yes"], ["-y"], ["--skip-preview"], ["-yf", "--non-interactive"]])
def test_a_plan_that_deletes_a_database_is_shown_and_not_applied(world: World, arguments: list[str]) -> None:
    world.plans(*destroyed("acme"))
    done = world.up(*arguments)
    assert done.returncode == 3
    assert "data loss" in done.stdout
    assert "acme" in done.stdout
    assert done.stderr.splitlines()[-1] == (
        "Data loss for acme: the database is deleted with its backups; the droplet is deleted with its disk (Meltano"
        " project, uploads). If this is intended, add the label guard:data-loss to the pull request. In a shell, add"
        " --allow guard:data-loss."
    )
    assert world.calls() == []


def test_what_is_allowed_is_applied_and_the_databases_are_named(world: World) -> None:
    world.plans(*destroyed("acme"), *destroyed("bolt-2"), *created("core"))
    assert world.up("--yes", "--allow", DATA_LOSS).returncode == 7
    assert world.may_go() == "acme,bolt-2"
    assert world.calls() == [f"{UP} --yes"]


def test_a_plan_without_loss_names_no_database_whatever_was_named_before(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(deletions.VARIABLE, "acme")
    world.plans(*created("core"))
    world.up("--yes", "--allow", DATA_LOSS)
    assert world.may_go() == ""


def test_the_guards_other_rules_hold_as_well(world: World) -> None:
    world.plans(*(step for key in ("a", "b", "c") for step in destroyed(key)), replaced("acme", "droplet", "image"))
    assert world.up("--yes").stderr.count("In a shell, add --allow guard:") == 3
    done = world.up("--yes", "--allow", DATA_LOSS, "--allow", DROPLET_REPLACED)
    assert done.returncode == 3
    assert f"--allow {MANY_DESTROYED}" in done.stderr
    labels = [f"--allow={label}" for label in (DATA_LOSS, DROPLET_REPLACED, MANY_DESTROYED)]
    assert world.up("--yes", *labels).returncode == 7
    assert world.calls() == [f"{UP} --yes"]


@pytest.mark.parametrize("label", ["data-loss", "guard:data-los"])
def test_a_label_that_the_guard_does_not_know_is_wrong_usage(world: World, label: str) -> None:
    done = world.up("--yes", "--allow", label)
    assert done.returncode == 2
    assert "guard:data-loss" in done.stderr
    assert not (world.folder / "calls").exists()


def test_a_preview_that_fails_is_said_and_nothing_is_applied(world: World) -> None:
    said = {"diagnostics": [{"severity": "error", "message": "tenants.yaml:2:3: acme: no"}]}
    (world.folder / "preview.json").write_text(json.dumps(said))
    done = world.up("--yes")
    assert done.returncode == 1
    assert "tenants.yaml:2:3: acme: no" in done.stderr
    assert world.calls() == []


def at_a_terminal(world: World, answers: str, *args: str) -> tuple[int, str]:
    """`meltanodata up` where somebody types answers; its exit code and what is on the screen."""
    program = "from meltanodata.cli.main import main; main()"
    environment = {**os.environ, "PATH": f"{world.folder}/bin:{os.environ['PATH']}", "PULUMI_STACK": "prod"}
    environment |= {"PYTHONPATH": str(Path(__file__).parents[3]), "TERM": "dumb", "COLUMNS": "160"}
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", program, "up", *args],
        cwd=world.project,
        env=environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        os.write(ours, answers.encode())
        seen = b""
        while True:
            try:
                seen += os.read(ours, 4096)
            except OSError:  # everybody has closed the other end
                break
        process.wait()
    os.close(ours)
    return process.returncode, seen.decode()


def test_at_a_terminal_the_table_is_shown_before_somebody_is_asked(world: World) -> None:
    world.plans(*destroyed("acme"))
    code, seen = at_a_terminal(world, "no\n", "--allow", DATA_LOSS)
    assert code == 1
    assert seen.index("data loss") < seen.index("Apply this plan?") < seen.index("Nothing was changed.")
    assert world.calls() == []
    code, seen = at_a_terminal(world, "perhaps\ndetails\nyes\n", "--allow", DATA_LOSS)
    assert (code, seen.count("Apply this plan?")) == (7, 3)
    assert [line[1] for line in world.lines() if line[0] == "preview"] == ["--json", "--json", "--diff"]
    assert (world.calls(), world.may_go()) == ([UP], "acme")


def test_at_a_terminal_the_guard_stops_before_anybody_is_asked(world: World) -> None:
    world.plans(*destroyed("acme"))
    code, seen = at_a_terminal(world, "yes\n")
    assert (code, "Apply this plan?" in seen) == (3, False)
    assert world.calls() == []


def test_nobody_is_asked_where_nothing_changes(world: World) -> None:
    code, seen = at_a_terminal(world, "")
    assert (code, "Apply this plan?" in seen) == (7, False)


def test_a_file_that_is_edited_while_somebody_is_asked_stops_it(world: World) -> None:
    world.plans(*created("core"))
    ended = at_a_terminal_with_edit(world)
    assert ended[0] == 1
    assert "changed after the plan was shown" in ended[1]
    assert world.calls() == []


def at_a_terminal_with_edit(world: World) -> tuple[int, str]:
    """Somebody edits the fleet file while the details are looked at."""
    pulumi = world.folder / "bin/pulumi"
    edit = f"echo '{{}}' > {world.project}/tenants.yaml"
    pulumi.rename(world.folder / "bin/real")
    pulumi.write_text(f'#!/bin/sh\n[ "$2" = --diff ] && {edit}\nexec {world.folder}/bin/real "$@"\n')
    pulumi.chmod(0o755)
    return at_a_terminal(world, "details\nyes\n")


def test_with_strict_the_engine_keeps_to_a_plan_of_its_own(world: World) -> None:
    world.up("--yes", "--strict")
    assert world.calls() == ["up --stack prod --yes --suppress-outputs --yes --strict"]


@pytest.mark.parametrize(
    ("name", "ours", "theirs"),
    [("PULUMI_PARALLEL", str(pulumi_cli.PARALLEL), "3"), ("GOMEMLIMIT", pulumi_cli.MEMORY, "2GiB")],
)
def test_what_the_engine_works_with_is_ours_unless_somebody_says_otherwise(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str, ours: str, theirs: str
) -> None:
    monkeypatch.delenv(name, raising=False)
    world.up("--yes")
    assert json.loads((world.folder / "environment").read_text())[name] == ours
    monkeypatch.setenv(name, theirs)
    world.up("--yes")
    assert json.loads((world.folder / "environment").read_text())[name] == theirs


@pytest.mark.parametrize(
    ("args", "memory"),
    [
        (["--yes"], pulumi_cli.MEMORY),
        (["--yes", "--refresh", "--run-program"], pulumi_cli.REFRESH_MEMORY),
        (["-y", "-r"], pulumi_cli.REFRESH_MEMORY),
    ],
)
def test_a_refresh_has_more_memory(world: World, monkeypatch: pytest.MonkeyPatch, args: list[str], memory: str) -> None:
    monkeypatch.delenv("GOMEMLIMIT", raising=False)
    world.up(*args)
    assert json.loads((world.folder / "environment").read_text())["GOMEMLIMIT"] == memory


def test_the_stack_can_be_named(world: World) -> None:
    world.up("--stack", "dev", "--yes", stack=None)
    assert world.calls() == [f"{UP} --yes".replace("prod", "dev")]
    world.up("-s", "dev", "--yes")
    assert world.calls()[1] == world.calls()[0]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("-- --stack dev", "name the stack once"),
        ("-- --stack=dev", "name the stack once"),
        ("-- -s dev", "name the stack once"),
        ("--cwd /tmp", "change into the project's folder"),
        ("-C /tmp", "change into the project's folder"),
        ("-yC/tmp", "change into the project's folder"),
    ],
)
def test_what_is_applied_is_what_was_looked_at(world: World, arguments: str, told: str) -> None:
    """Else another stack would be applied than the one whose last deployment and whose thresholds were looked at."""
    done = world.up("--yes", *arguments.split())
    assert done.returncode == 2
    assert told in " ".join(done.stderr.replace("│", " ").split())
    assert not (world.folder / "calls").exists()


def test_without_a_stack_nothing_is_done(world: World) -> None:
    assert world.up("--yes", stack=None).returncode == 2
    assert not (world.folder / "calls").exists()


def test_without_pulumi(world: World) -> None:
    done = world.up("--yes", path="/nowhere")
    assert (done.returncode, done.stderr) == (1, f"pulumi is not on the PATH. Install it {cli_version.INSTALL}\n")


def test_an_older_commit_does_not_touch_the_state_either(world: World) -> None:
    for command in (["init", "--quiet"], ["add", "Pulumi.yaml"], ["commit", "--quiet", "--message", "Older"]):
        who = ["-c", "user.name=x", "-c", "user.email=x@x", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *who, *command], cwd=world.project, check=True)
    (world.folder / "tags.json").write_text(json.dumps({deployed_commit.TAG: "a" * 40}))
    world.has_state([{"urn": DROPLET, "type": "droplet", "id": "7"}], ("creating", DROPLET))
    done = world.up("--yes")
    assert done.returncode == 1
    assert "is not deployed" in done.stderr
    assert world.calls() == ["stack tag ls --json --stack prod"]


def test_what_a_killed_run_left_is_put_in_order_first(world: World) -> None:
    known = {"urn": RECORD, "type": "record", "id": "8", "dependencies": [DROPLET]}
    world.has_state(
        [{"urn": DROPLET, "type": "droplet", "id": "7", "pendingReplacement": True}, known],
        ("creating", DROPLET),
        ("deleting", RECORD),
    )
    done = world.up("--yes")
    assert done.stdout.splitlines()[:5] == [
        "An earlier run was interrupted during:",
        "  creating acme-droplet",
        "  deleting acme-record",
        "  replacing acme-droplet",
        "Cleared the pending operations; continuing.",
    ]
    assert world.calls() == [
        "stack import --stack prod",
        f"refresh --yes --skip-preview --non-interactive --stack prod --target {RECORD}",
        f"{UP} --yes",
    ]
    assert world.imported() == {"resources": [{**known, "dependencies": []}]}


def test_nothing_is_refreshed_without_need(world: World) -> None:
    world.has_state([], ("creating", DROPLET))
    world.up("--yes")
    assert world.calls() == ["stack import --stack prod", f"{UP} --yes"]


def test_a_refresh_that_fails_stops_it(world: World) -> None:
    world.has_state([{"urn": RECORD, "type": "record", "id": "8"}], ("deleting", RECORD))
    (world.folder / "broken").touch()
    done = world.up("--yes")
    assert done.returncode == 1
    assert "the token is refused" in done.stderr
    assert not [call for call in world.calls() if call.startswith("up")]


def test_the_lock_of_a_process_that_is_gone_is_removed(world: World) -> None:
    pid = gone()
    world.is_locked(pid)
    done = world.up("--yes")
    assert world.calls() == ["cancel --yes --stack prod", f"{UP} --yes"]
    assert f"Removed the lock of ci@{socket.gethostname()} (process {pid}) since 2026-11-23 00:44:22" in done.stdout


def test_a_lock_whose_process_number_is_another_programs_is_removed(world: World) -> None:
    world.is_locked(os.getpid())
    world.up("--yes")
    assert world.calls() == ["cancel --yes --stack prod", f"{UP} --yes"]


def test_the_lock_of_a_run_that_still_works_is_kept(world: World) -> None:
    sleeper = world.folder / "bin/pulumi-sleeper"
    sleeper.symlink_to("/bin/sleep")
    with subprocess.Popen([sleeper, "60"]) as at_work:
        world.is_locked(at_work.pid)
        world.is_locked(gone())
        done = world.up("--yes")
        at_work.kill()
    assert done.returncode == 1
    assert f"(process {at_work.pid})" in done.stderr
    assert "which is still running" in done.stderr
    assert not world.calls()


@pytest.mark.parametrize("begins_late", [False, True])
def test_no_plan_is_shown_of_a_stack_that_a_run_is_changing_but_who_has_the_lock(
    world: World, *, begins_late: bool
) -> None:
    sleeper = world.folder / "bin/pulumi-sleeper"
    sleeper.symlink_to("/bin/sleep")
    world.plans(*created("acme"))
    with subprocess.Popen([sleeper, "60"]) as at_work:
        world.is_locked(at_work.pid)
        if begins_late:
            world.locks_with_the_preview()
        done = world.run("plan")
        at_work.kill()
    assert done.returncode == 1
    assert done.stderr.startswith(
        "prod cannot be compared with its state, which a run is changing: the stack is locked"
    )
    assert f"by ci@{socket.gethostname()} (process {at_work.pid}) since 2026-11-23 00:44:22" in done.stderr
    assert "acme" not in done.stdout
    assert ("preview" in {line[0] for line in world.lines()}) is begins_late  # nobody waits for a plan in vain


def test_a_stranded_lock_keeps_nobody_from_a_plan_and_what_was_interrupted_is_said(world: World) -> None:
    world.is_locked(gone())
    (world.locks / "half.json").write_text("{")
    world.has_state([], ("creating", DROPLET))
    world.plans(*created("acme"))
    done = world.run("plan")
    assert done.returncode == 0, done.stderr
    assert "https://acme.meltanodata.com" in done.stdout
    assert "prod: a run was interrupted, or is still running, during: creating acme-droplet." in done.stderr
    assert "meltanodata up --stack prod continues it" in done.stderr


def test_the_lock_of_a_run_that_was_killed_and_whose_parent_has_not_noticed_is_removed(world: World) -> None:
    killed = world.folder / "bin/pulumi-killed"
    killed.symlink_to("/bin/sleep")
    with subprocess.Popen([killed, "60"]) as zombie:
        zombie.kill()
        os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
        world.is_locked(zombie.pid)
        world.up("--yes")
    assert world.calls() == ["cancel --yes --stack prod", f"{UP} --yes"]


def test_an_older_checkout_than_what_was_deployed_is_not_applied(world: World) -> None:
    def git(*arguments: str) -> str:
        who = ["-c", "user.name=Operator", "-c", "user.email=operator@meltanodata.com", "-c", "commit.gpgsign=false"]
        done = subprocess.run(["git", *who, *arguments], cwd=world.project, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    git("init", "--quiet")
    git("add", "Pulumi.yaml")
    git("commit", "--quiet", "--message", "Old")
    git("commit", "--quiet", "--allow-empty", "--message", "New")
    (world.folder / "tags.json").write_text(json.dumps({deployed_commit.TAG: git("rev-parse", "HEAD")}))
    assert world.up("--yes").returncode == 7
    git("checkout", "--quiet", "--detach", "HEAD^")
    done = world.up("--yes")
    assert done.returncode == 1
    assert "is not deployed. It is older than" in done.stderr
    assert "git pull" in done.stderr
    assert world.calls() == ["stack tag ls --json --stack prod", f"{UP} --yes", "stack tag ls --json --stack prod"]


_NOTES = {"prod.json": "", "prod.json.bak": "{}", "prod.pulumi-tags": "", "prod-2.json": "", "prod-2.pulumi-tags": ""}


def test_a_note_that_a_killed_run_left_empty_does_not_keep_the_state_from_being_read(world: World) -> None:
    stacks = world.folder / "backend folder/.pulumi/stacks/meltanodata"
    stacks.mkdir(parents=True)
    for name, text in _NOTES.items():
        (stacks / f"{name}.attrs").write_text(text)
    world.is_locked(gone())
    (world.folder / "backend folder/.pulumi/locks/organization/meltanodata/prod/1.json.attrs").touch()
    world.up("--yes")
    assert sorted(path.name for path in (world.folder / "backend folder").rglob("*.attrs")) == [
        "prod-2.json.attrs",
        "prod-2.pulumi-tags.attrs",
        "prod.json.bak.attrs",
    ]
    assert world.calls() == ["cancel --yes --stack prod", f"{UP} --yes"]


def test_the_lock_of_another_machine_is_kept(world: World) -> None:
    world.is_locked(1, "runner-9")
    done = world.up("--yes")
    assert done.returncode == 1
    assert "ci@runner-9" in done.stderr
    assert not world.calls()


def test_other_backends_tell_of_their_locks_themselves(world: World) -> None:
    world.is_locked(1, "runner-9")
    (world.folder / "backend").write_text("s3://states")
    world.up("--yes")
    assert world.calls() == [f"{UP} --yes"]


@pytest.mark.parametrize(
    ("content", "told"),
    [("", "it is empty"), ('{"pid":4711,"userna', "it is not whole"), ('{"pid":-1}', "it is not whole")],
)
def test_a_lock_that_says_nothing_is_kept_and_said_with_the_way_out(world: World, content: str, told: str) -> None:
    """A full disk leaves one, and nobody knows whose it is."""
    world.is_locked(gone())
    locks = world.folder / "backend folder/.pulumi/locks/organization/meltanodata/prod"
    (locks / "0.json").write_text(content)
    done = world.up("--yes")
    assert (done.returncode, world.calls()) == (1, [])
    assert f"the stack is locked by {locks}/0.json, and {told}" in done.stderr
    assert "pulumi cancel --yes --stack prod" in done.stderr
    assert "Traceback" not in done.stderr


def in_a_container(*command: str) -> subprocess.Popen[str]:
    """A process in a PID namespace of its own, on this machine and with its name."""
    namespaces = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    return subprocess.Popen([*namespaces, *command], stdout=subprocess.PIPE, text=True)


def test_the_lock_of_a_run_in_a_container_is_kept(world: World) -> None:
    """There the process has another number, which the lock states."""
    sleeper = world.folder / "pulumi-sleep"
    sleeper.symlink_to("/bin/sleep")
    script = f"exec 3>&1; {sleeper} 60 >&- & echo $!; exec 3>&-; wait"
    with in_a_container("sh", "-c", script) as container:
        assert container.stdout is not None
        world.is_locked(int(container.stdout.readline()))
        done = world.up("--yes")
        container.kill()
    assert (done.returncode, world.calls()) == (1, [])
    assert "which is still running. Wait until it ends" in done.stderr


def test_a_container_does_not_remove_the_lock_of_a_run_outside(world: World) -> None:
    world.is_locked(gone())  # as far as the container can tell
    environment = {**os.environ, "PATH": f"{world.folder}/bin:{os.environ['PATH']}"}
    environment["PYTHONPATH"] = str(Path(__file__).parents[3])
    program = "from meltanodata.cli.main import main; main()"
    done = subprocess.run(
        ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", program, "up", "--stack", "prod", "--yes"],
        cwd=world.project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, world.calls()) == (1, [])
    assert "another PID namespace" in done.stderr
    assert "pulumi cancel --yes --stack prod" in done.stderr


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("size=1m", "No space left on device: a run needs 4 MiB"),
        ("ro", "Read-only file system: Pulumi keeps the state"),
    ],
    ids=["full", "read-only"],
)
def test_a_folder_that_takes_no_state_is_said_before_anything_is_done(world: World, options: str, told: str) -> None:
    """On a full one Pulumi cuts off the state and its backup, and for a read-only one it tries for minutes."""
    backend = world.folder / "backend folder"
    program = "from meltanodata.cli.main import main; main()"
    script = f'mount -t tmpfs -o {options} none "$1" && exec "$2" -c "$3" up --stack prod --yes'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", str(backend), sys.executable, program],
        cwd=world.project,
        env={
            **os.environ,
            "PATH": f"{world.folder}/bin:{os.environ['PATH']}",
            "PYTHONPATH": str(Path(__file__).parents[3]),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, world.calls()) == (1, [])
    assert f"{backend}: {told}" in done.stderr
    assert "Nothing was changed" in done.stderr


def test_a_note_that_a_full_disk_cut_off_does_not_keep_the_state_from_being_read(world: World) -> None:
    note = world.folder / "backend folder/.pulumi/stacks/meltanodata/prod.json.attrs"
    note.parent.mkdir(parents=True)
    note.write_text('{"user.cache_con')
    world.up("--yes")
    assert not note.exists()
    assert world.calls() == [f"{UP} --yes"]


ENGINE = """\
echo begun
until [ -e "{folder}/go" ]; do sleep 0.02; done
for i in 1 2 3; do echo "line $i"; echo "error $i" >&2; done
touch "{folder}/ended"
exit 7
"""


class Ups:
    """`meltanodata up` with an engine that prints `begun`, and goes on to its end once it may."""

    def __init__(self, world: World, engine: str = ENGINE) -> None:
        self.folder, self.project = world.folder, world.project
        real, script = world.folder / "bin/pulumi", world.folder / "bin/pulumi.py"
        real.rename(script)
        (world.folder / "engine").write_text(engine.format(folder=world.folder))
        real.write_text(f'#!/bin/sh\n[ "$1" = up ] && exec bash "{world.folder}/engine"\nexec "{script}" "$@"\n')
        real.chmod(0o755)
        self.environment = {**os.environ, "PATH": f"{world.folder}/bin:{os.environ['PATH']}"}
        self.environment["PYTHONPATH"] = str(Path(__file__).parents[3])

    def started(
        self, *command: str, stdout: int = subprocess.PIPE, stderr: int = subprocess.PIPE
    ) -> subprocess.Popen[str]:
        program = "from meltanodata.cli.main import main; main()"
        return subprocess.Popen(
            [sys.executable, "-c", program, *(command or ("up", "--yes")), "--stack", "prod"],
            cwd=self.project,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            text=True,
            start_new_session=True,
        )

    def go(self) -> None:
        (self.folder / "go").touch()

    @property
    def ended(self) -> bool:
        return (self.folder / "ended").exists()


def until_begun(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert "begun\n" in iter(process.stdout.readline, "")


@pytest.mark.parametrize("together", [False, True])
def test_a_reader_that_goes_away_ends_the_printing_and_not_the_engine(world: World, together: bool) -> None:
    ups = Ups(world)
    with ups.started(stderr=subprocess.STDOUT if together else subprocess.PIPE) as process:
        until_begun(process)
        for stream in filter(None, (process.stdout, process.stderr)):
            stream.close()
        ups.go()
        assert process.wait() == 7
    assert ups.ended


def test_an_output_that_is_full_ends_the_printing_and_not_the_engine(world: World) -> None:
    ups = Ups(world)
    ups.go()
    with Path("/dev/full").open("w") as full, ups.started(stdout=full.fileno()) as process:
        said = process.communicate()[1]
    assert (ups.ended, process.returncode) == (True, 7)
    assert "error 3\n" in said
    assert "standard output: No space left on device" in said


def test_a_terminal_that_is_closed_ends_the_printing_and_not_the_engine(world: World) -> None:
    ups = Ups(world)
    with ups.started() as process:
        until_begun(process)
        os.killpg(process.pid, signal.SIGHUP)
        ups.go()
        process.communicate()
    assert (ups.ended, process.returncode) == (True, 7)


def test_an_interrupt_with_tee_does_not_kill_the_engine(world: World) -> None:
    """It ends `tee`, and the engine would be killed by the next line that it prints."""
    ups = Ups(world, "trap 'touch {folder}/interrupted {folder}/go' INT\n" + ENGINE)
    with ups.started() as process:
        until_begun(process)
        assert process.stdout is not None
        process.stdout.close()
        os.killpg(process.pid, signal.SIGINT)
        assert process.stderr is not None
        said = process.stderr.read()
        code = process.wait()
    assert (ups.ended, (world.folder / "interrupted").exists(), code) == (True, True, 1)
    assert said.endswith("What existed before still exists. This continues: meltanodata up --stack prod\n")


def leaves_pending(world: World) -> None:
    """The engine's last words are a state with a pending operation, in place of one without."""
    world.has_state([], ("creating", DROPLET))
    (world.folder / "state.json").rename(world.folder / "left.json")
    world.has_state()


LEAVES = "cp {folder}/left.json {folder}/state.json"


def test_after_an_interrupt_it_says_what_was_under_way_and_how_to_go_on(world: World) -> None:
    leaves_pending(world)
    # The second time the engine ends at once, and its pending operations stay.
    engine = f"""
trap 'n=$((n + 1)); echo "interrupt $n"; [ $n = 1 ] || {{{{ {LEAVES}; exit 255; }}}}' INT
echo begun
while :; do sleep 0.02; done
"""
    with Ups(world, engine).started() as process:
        until_begun(process)
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        assert process.stdout.readline() == "interrupt 1\n"
        process.send_signal(signal.SIGINT)
        printed, said = process.communicate()
    assert (process.returncode, printed) == (1, "interrupt 2\n")
    assert said.endswith(
        "Interrupted.\nUnder way at the end, and perhaps done at DigitalOcean:\n  creating acme-droplet\nWhat existed"
        " before still exists. This continues: meltanodata up --stack prod\n"
    )


def test_of_an_engine_that_was_killed_it_says_so_too(world: World) -> None:
    leaves_pending(world)
    with Ups(world, f"{LEAVES}; kill -9 $$").started() as process:
        _, said = process.communicate()
    assert process.returncode == 128 + signal.SIGKILL
    assert "Not all of the plan is applied.\nUnder way at the end" in said
    assert "  creating acme-droplet\n" in said


DEPLOYED = """
trap 'touch {folder}/go' INT
echo '{{"preludeEvent": {{}}}}'
touch {folder}/begun
until [ -e {folder}/go ]; do sleep 0.02; done
for i in 1 2 3; do echo '{{"diagnosticEvent": {{"severity": "error", "message": "x"}}}}'; done
echo '{{"summaryEvent": {{}}}}'
touch {folder}/ended
exit 1
"""


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, None])
def test_a_deployment_outlives_its_output_and_its_terminal(world: World, by: signal.Signals | None) -> None:
    world.plans(*created("acme"))
    ups = Ups(world, DEPLOYED)
    with ups.started("deploy") as process:
        eventually((world.folder / "begun").exists)
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        if by is not None:
            os.killpg(process.pid, by)
        if by in {signal.SIGHUP, None}:
            ups.go()
        said = process.stderr.read()
    assert (ups.ended, process.returncode) == (True, FAILED)
    interrupted = "Interrupted.\nWhat existed before still exists. This continues: meltanodata deploy --stack prod\n"
    assert said.endswith(interrupted) is (by in {signal.SIGINT, signal.SIGTERM})
    assert "Traceback" not in said


def test_a_summary_that_cannot_be_written_is_said_before_anything_is_applied(world: World) -> None:
    world.plans(*created("acme"))
    with Ups(world, DEPLOYED).started("deploy", "--summary", "nowhere/summary.md") as process:
        said = process.communicate()[1]
    assert (process.returncode, said) == (1, "nowhere/summary.md: No such file or directory\n")
    assert not (world.folder / "begun").exists()


def test_a_summary_that_is_full_hides_nothing_of_the_outcome(world: World) -> None:
    world.plans(*created("acme"))
    ups = Ups(world, DEPLOYED)
    ups.go()
    with ups.started("deploy", "--summary", "/dev/full") as process:
        printed, said = process.communicate()
    assert process.returncode == FAILED
    assert "acme" in printed
    assert "/dev/full: the outcome cannot be written: No space left on device" in said
