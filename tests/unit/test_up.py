"""`meltanodata up` as a process, with a `pulumi` that keeps what it is told."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from meltanodata import engine

DROPLET = "urn:pulumi:prod::meltanodata::digitalocean:index/droplet:Droplet::acme-droplet"
RECORD = "urn:pulumi:prod::meltanodata::digitalocean:index/dnsRecord:DnsRecord::acme-record"

PULUMI = """#!{python}
import json, os, sys, pathlib
folder = pathlib.Path({folder!r})
args = sys.argv[1:]
with (folder / "calls").open("a") as calls:
    print(json.dumps(args), file=calls)
if args[:1] == ["whoami"]:
    print(json.dumps({{"user": "ci", "url": (folder / "backend").read_text()}}))
elif args[:2] == ["stack", "export"]:
    print((folder / "state.json").read_text())
elif args[:2] == ["stack", "import"]:
    (folder / "imported.json").write_text(sys.stdin.read())
elif args[:1] == ["refresh"] and (folder / "broken").exists():
    sys.exit("error: the token is refused")
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

    def has_state(self, resources: list[dict[str, Any]] | None = None, *pending: tuple[str, str]) -> None:
        noted = [{"type": kind, "resource": {"urn": urn}} for kind, urn in pending]
        deployment = {"resources": resources or [], **({"pending_operations": noted} if noted else {})}
        (self.folder / "state.json").write_text(json.dumps({"version": 3, "deployment": deployment}))

    def is_locked(self, pid: int, host: str | None = None) -> None:
        locks = self.folder / "backend folder/.pulumi/locks/organization/meltanodata/prod"
        locks.mkdir(parents=True, exist_ok=True)
        content = {"pid": pid, "username": "ci", "hostname": host or socket.gethostname()}
        (locks / f"{pid}.json").write_text(json.dumps({**content, "timestamp": "2026-11-23T00:44:22Z"}))

    def up(self, *args: str, stack: str | None = "prod", path: str | None = None) -> subprocess.CompletedProcess[str]:
        program = "from meltanodata.cli import main; main()"
        environment = {**os.environ, "PATH": path or f"{self.folder}/bin:{os.environ['PATH']}"}
        environment |= {"PULUMI_STACK": stack} if stack else {}
        environment["PYTHONPATH"] = str(Path(__file__).parents[2])
        environment.pop("PYTHONUNBUFFERED", None)  # what is said last must not depend on it
        return subprocess.run(
            [sys.executable, "-c", program, "up", *args],
            cwd=self.project,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def calls(self) -> list[str]:
        """What pulumi was told, without what only asks."""
        lines = map(json.loads, (self.folder / "calls").read_text().splitlines())
        return [" ".join(line) for line in lines if line[0] != "whoami" and line[:2] != ["stack", "export"]]

    def imported(self) -> Any:
        return json.loads((self.folder / "imported.json").read_text())["deployment"]


@pytest.fixture
def world(tmp_path: Path) -> World:
    for folder in ("bin", "project/below", "backend folder"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "project/Pulumi.yaml").write_text("name: meltanodata\nruntime: python\n")
    (tmp_path / "backend").write_text(f"file://{tmp_path}/backend%20folder")
    pulumi = tmp_path / "bin/pulumi"
    pulumi.write_text(PULUMI.format(python=sys.executable, folder=str(tmp_path)))
    pulumi.chmod(0o755)
    it = World(tmp_path)
    it.has_state()
    return it


def gone() -> int:
    """The id of a process that is gone."""
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


def test_it_becomes_pulumi_up(world: World) -> None:
    done = world.up("--yes", "--target", DROPLET, "--continue-on-error")
    assert world.calls() == [f"up --stack prod --yes --target {DROPLET} --continue-on-error"]
    assert (done.returncode, done.stdout) == (7, f"up in {world.project}\n")


@pytest.mark.parametrize(
    ("name", "ours", "theirs"), [("PULUMI_PARALLEL", str(engine.PARALLEL), "3"), ("GOMEMLIMIT", engine.MEMORY, "2GiB")]
)
def test_what_the_engine_works_with_is_ours_unless_somebody_says_otherwise(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str, ours: str, theirs: str
) -> None:
    monkeypatch.delenv(name, raising=False)
    world.up()
    assert json.loads((world.folder / "environment").read_text())[name] == ours
    monkeypatch.setenv(name, theirs)
    world.up()
    assert json.loads((world.folder / "environment").read_text())[name] == theirs


@pytest.mark.parametrize(
    ("args", "memory"),
    [
        (["--yes"], engine.MEMORY),
        (["--refresh", "--run-program"], engine.REFRESH_MEMORY),
        (["-r"], engine.REFRESH_MEMORY),
    ],
)
def test_a_refresh_has_more_memory(world: World, monkeypatch: pytest.MonkeyPatch, args: list[str], memory: str) -> None:
    monkeypatch.delenv("GOMEMLIMIT", raising=False)
    world.up(*args)
    assert json.loads((world.folder / "environment").read_text())["GOMEMLIMIT"] == memory


def test_the_stack_can_be_named(world: World) -> None:
    world.up("--stack", "dev", stack=None)
    assert world.calls() == ["up --stack dev"]


def test_without_a_stack_nothing_is_done(world: World) -> None:
    assert world.up(stack=None).returncode == 2
    assert not (world.folder / "calls").exists()


def test_without_pulumi(world: World) -> None:
    done = world.up(path="/nowhere")
    assert (done.returncode, done.stderr) == (1, "pulumi is not on the PATH; put its folder there\n")


def test_what_a_killed_run_left_is_put_in_order_first(world: World) -> None:
    known = {"urn": RECORD, "id": "8", "dependencies": [DROPLET]}
    world.has_state(
        [{"urn": DROPLET, "id": "7", "pendingReplacement": True}, known], ("creating", DROPLET), ("deleting", RECORD)
    )
    done = world.up("--yes")
    assert done.stdout.splitlines()[:5] == [
        "A run was ended in the middle of its work:",
        "  creating acme-droplet",
        "  deleting acme-record",
        "  replacing acme-droplet",
        "Its notes are cleared; this run goes on with it.",
    ]
    assert world.calls() == [
        "stack import --stack prod",
        f"refresh --yes --skip-preview --non-interactive --stack prod --target {RECORD}",
        "up --stack prod --yes",
    ]
    assert world.imported() == {"resources": [{**known, "dependencies": []}]}


def test_nothing_is_refreshed_without_need(world: World) -> None:
    world.has_state([], ("creating", DROPLET))
    world.up()
    assert world.calls() == ["stack import --stack prod", "up --stack prod"]


def test_a_refresh_that_fails_stops_it(world: World) -> None:
    world.has_state([{"urn": RECORD, "id": "8"}], ("deleting", RECORD))
    (world.folder / "broken").touch()
    done = world.up()
    assert done.returncode == 1
    assert "the token is refused" in done.stderr
    assert not [call for call in world.calls() if call.startswith("up")]


def test_the_lock_of_a_process_that_is_gone_is_removed(world: World) -> None:
    pid = gone()
    world.is_locked(pid)
    done = world.up()
    assert world.calls() == ["cancel --yes --stack prod", "up --stack prod"]
    assert f"locked by ci@{socket.gethostname()} (process {pid}) since 2026-11-23 00:44:22" in done.stdout


def test_a_lock_whose_process_number_is_another_programs_is_removed(world: World) -> None:
    world.is_locked(os.getpid())
    world.up()
    assert world.calls() == ["cancel --yes --stack prod", "up --stack prod"]


def test_the_lock_of_a_run_at_work_is_kept(world: World) -> None:
    sleeper = world.folder / "bin/pulumi-sleeper"
    sleeper.symlink_to("/bin/sleep")
    with subprocess.Popen([sleeper, "60"]) as at_work:
        world.is_locked(at_work.pid)
        world.is_locked(gone())
        done = world.up()
        at_work.kill()
    assert done.returncode == 1
    assert f"(process {at_work.pid})" in done.stderr
    assert "at work" in done.stderr
    assert not world.calls()


def test_the_lock_of_a_run_that_was_killed_and_whose_parent_has_not_noticed_is_removed(world: World) -> None:
    killed = world.folder / "bin/pulumi-killed"
    killed.symlink_to("/bin/sleep")
    with subprocess.Popen([killed, "60"]) as zombie:
        zombie.kill()
        os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
        world.is_locked(zombie.pid)
        world.up()
    assert world.calls() == ["cancel --yes --stack prod", "up --stack prod"]


def test_a_note_that_a_killed_run_left_empty_does_not_keep_the_state_from_being_read(world: World) -> None:
    stacks = world.folder / "backend folder/.pulumi/stacks/meltanodata"
    stacks.mkdir(parents=True)
    for name, text in {"prod.json": "", "prod.json.bak": "{}", "prod-2.json": ""}.items():
        (stacks / f"{name}.attrs").write_text(text)
    world.is_locked(gone())
    (world.folder / "backend folder/.pulumi/locks/organization/meltanodata/prod/1.json.attrs").touch()
    world.up()
    assert sorted(path.name for path in (world.folder / "backend folder").rglob("*.attrs")) == [
        "prod-2.json.attrs",
        "prod.json.bak.attrs",
    ]
    assert world.calls() == ["cancel --yes --stack prod", "up --stack prod"]


def test_the_lock_of_another_machine_is_kept(world: World) -> None:
    world.is_locked(1, "runner-9")
    done = world.up()
    assert done.returncode == 1
    assert "ci@runner-9" in done.stderr
    assert not world.calls()


def test_other_backends_tell_of_their_locks_themselves(world: World) -> None:
    world.is_locked(1, "runner-9")
    (world.folder / "backend").write_text("s3://states")
    world.up()
    assert world.calls() == ["up --stack prod"]
