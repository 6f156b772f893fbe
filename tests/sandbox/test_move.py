"""A database team moves from one stack to another, with the real engine on a light sandbox."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from meltanodata.cli.states import move
from meltanodata.config import edit
from sandbox.home import Home
from tests.sandbox.fleet import ACME, DEMO, fleet_on, secrets_of
from tests.sandbox.processes import KILLER, process_list
from tests.sandbox.programs import SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.sandbox.fleet import Fleet

TEAM = "MeltanoData DBs 2"
TO = "other"


class Two:
    """Two stacks of one fleet, each with a passphrase of its own."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.passphrase = fleet.home.path / "passphrase of other"
        self.passphrase.write_text("another horse")
        self.count = fleet.home.path / "count"
        folder = fleet.home.folder("killer")
        real = shutil.which("pulumi", path=fleet.environment["PATH"])
        (folder / "pulumi").write_text(KILLER.format(count=self.count, real=real))
        (folder / "pulumi").chmod(0o755)
        self.killer = {"PATH": f"{folder}:{fleet.environment['PATH']}"}

    def environment(self, stack: str, **more: str) -> dict[str, str]:
        own = {"PULUMI_STACK": stack}
        own |= {"PULUMI_CONFIG_PASSPHRASE_FILE": str(self.passphrase)} if stack == TO else {}
        return {**self.fleet.environment, **own, **more}

    def run(self, stack: str, *argv: str, code: int = 0, **more: str) -> str:
        done = subprocess.run(
            argv,
            cwd=self.fleet.folder,
            env=self.environment(stack, **more),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS * 2,
            check=False,
        )
        assert done.returncode == code, f"{done.returncode}\n{done.stdout}"
        return done.stdout

    def pulumi(self, stack: str, *args: str, code: int = 0) -> str:
        return self.run(stack, "pulumi", "--non-interactive", "--color", "never", *args, code=code)

    def meltanodata(self, stack: str, *args: str, code: int = 0, **more: str) -> str:
        command = [sys.executable, "-c", "from meltanodata.cli.main import main; main()", *args]
        return self.run(stack, *command, code=code, **more)

    def move(self, *args: str, team: str = TEAM, code: int = 0, **more: str) -> str:
        passphrase = ["--to-passphrase-file", str(self.passphrase)]
        return self.meltanodata("sandbox", "move", team, "--to", TO, *passphrase, *args, code=code, **more)

    def move_killed_after(self, number: int) -> bool:
        """Move, and end the command after so many calls of the engine; False if it needs no more than these."""
        passphrase = ["--to-passphrase-file", str(self.passphrase)]
        program = "from meltanodata.cli.main import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", program, "move", TEAM, "--to", TO, *passphrase],
            cwd=self.fleet.folder,
            env=self.environment("sandbox", **self.killer, KILL_AFTER=str(number)),
            capture_output=True,
            timeout=SECONDS * 2,
            check=False,
        )
        assert done.returncode in {0, -signal.SIGKILL}, done.stderr
        return done.returncode != 0

    def up(self, stack: str, code: int = 0) -> str:
        flags = ["--yes", "--skip-preview", "--non-interactive", "--color", "never"]
        return self.meltanodata(stack, "up", *flags, code=code)

    def unchanged(self) -> None:
        for stack in ("sandbox", TO):
            self.pulumi(stack, "preview", "--expect-no-changes")
            assert f"{stack}: no changes" in self.meltanodata(stack, "plan")

    def holding(self, key: str) -> list[str]:
        """The stacks whose states hold a tenant, whole."""
        found = []
        for stack in ("sandbox", TO):
            resources = json.loads(self.pulumi(stack, "stack", "export"))["deployment"].get("resources", [])
            mine = [it for it in resources if it["urn"].rpartition("::")[2].startswith(f"{key}-")]
            assert len(mine) in {0, 12}, [it["urn"] for it in mine]
            found += [stack] if mine else []
        return found

    def listing(self) -> list[str]:
        """The stacks whose files list the team."""
        files = {stack: self.fleet.folder / f"Pulumi.{stack}.yaml" for stack in ("sandbox", TO)}
        return [stack for stack, file in files.items() if f"name: {TEAM}" in file.read_text()]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    """Two tenants in one stack, and a second stack that a team without tenants was moved to."""
    with fleet_on(Home(tmp_path_factory.mktemp("move") / "home"), "light") as fleet:
        two = Two(fleet)
        fleet.tenants(demo=DEMO, acme=ACME)
        fleet.up()
        file = fleet.folder / "Pulumi.sandbox.yaml"
        lines = file.read_text().splitlines(keepends=True)
        at = next(number for number, line in enumerate(lines) if TEAM in line and "name:" in line)
        at -= 1 if "- " not in lines[at] else 0
        indent = lines[at].split("-")[0]
        file.write_text("".join([*lines[:at], f"{indent}# Raised by e-mail.\n", *lines[at:]]))
        said = two.move(team="MeltanoData DBs 3", code=1)
        assert "there is no stack 'other' yet. Create it, then run this again: pulumi stack init other" in said
        two.pulumi(TO, "stack", "init", TO)
        two.move(team="MeltanoData DBs 3")
        two.unchanged()
        yield two


@contextmanager
def undone(two: Two) -> Iterator[None]:
    """Whatever happens to states and files is undone afterwards; the world must not need it."""
    world = two.fleet.world.everything()
    folders = [two.fleet.home.folder("state"), two.fleet.folder]
    with tempfile.TemporaryDirectory() as kept:
        for folder in folders:
            shutil.copytree(folder, Path(kept, folder.name))
        yield
        for folder in folders:
            shutil.rmtree(folder)
            shutil.copytree(Path(kept, folder.name), folder)
    assert two.fleet.world.everything() == world


@pytest.fixture
def fresh(two: Two) -> Iterator[Two]:
    with undone(two):
        yield two


def test_a_team_moves_and_the_world_stays_as_it_is(fresh: Two) -> None:
    fleet, before = fresh.fleet, fresh.fleet.ids("acme")
    secrets, writes, told = secrets_of(fleet), fleet.world.writes(), fleet.told("acme")
    outputs = json.loads(fresh.pulumi("sandbox", "stack", "output", "--json", "--show-secrets"))["tenants"]
    with process_list() as processes:
        said = fresh.move()
    assert f"{TEAM}: moving 1 tenant from sandbox to other (acme)" in said
    assert (fresh.holding("acme"), fresh.holding("demo"), fresh.listing()) == ([TO], ["sandbox"], [TO])
    fresh.unchanged()
    there = {it["urn"]: it.get("id", "") for it in _resources(fresh) if it["urn"].replace(TO, "sandbox") in before}
    assert {urn.replace(f":{TO}:", ":sandbox:"): id_ for urn, id_ in there.items()} == before
    # Its outputs came along.
    found = {
        stack: json.loads(fresh.pulumi(stack, "stack", "output", "--json", "--show-secrets"))["tenants"]
        for stack in ("sandbox", TO)
    }
    assert found == {"sandbox": {"demo": outputs["demo"]}, TO: {"acme": outputs["acme"]}}
    # The entry has its comment still, and no secret was to be seen or is kept in the open.
    file = (fleet.folder / f"Pulumi.{TO}.yaml").read_text()
    assert "# Raised by e-mail." in file
    assert "# Raised by e-mail." not in (fleet.folder / "Pulumi.sandbox.yaml").read_text()
    kept = "".join(path.read_text(errors="replace") for path in fleet.home.folder("state").rglob("*") if path.is_file())
    shown = {"processes": "".join(processes), "output": said, "state": kept, "file": file}
    assert "stack import" in shown["processes"].replace("\0", " ")
    assert [(where, name) for where, text in shown.items() for name, secret in secrets.items() if secret in text] == []
    # Nothing is left to do, for anybody.
    assert "there is nothing to move" in fresh.move()
    for stack in ("sandbox", TO):
        fresh.up(stack)
    assert (fleet.world.writes(), fleet.told("acme")) == (writes, told)
    # And back.
    fresh.meltanodata(TO, "move", TEAM, "--to", "sandbox", "--to-passphrase-file", str(fleet.home.path / "passphrase"))
    assert (fresh.holding("acme"), fresh.listing()) == (["sandbox"], ["sandbox"])
    fresh.unchanged()
    assert (fleet.world.writes(), fleet.told("acme")) == (writes, told)


def _resources(two: Two) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(two.pulumi(TO, "stack", "export"))["deployment"]["resources"]
    return found


def refused(two: Two, stack: str, words: str) -> None:
    """An up does nothing and says why."""
    said = two.up(stack, code=1)
    assert words in said.replace("\n", " ")
    assert "Traceback" not in said


@pytest.mark.timeout(1800)
def test_killed_after_any_step_it_harms_nobody_and_is_finished_by_the_next(two: Two) -> None:
    writes, told = two.fleet.world.writes(), two.fleet.told("acme")
    between: list[list[str]] = []
    for number in count(1):
        with undone(two):
            two.count.write_text("0")
            killed = two.move_killed_after(number)
            held = two.holding("acme")
            if not killed:
                assert (held, two.listing()) == ([TO], [TO])
                break
            if held in between:
                continue
            between.append(held)
            # From the files as they were, nobody destroys, changes or adopts anything.
            if TO in held:
                refused(two, TO, "acme: it is in the state of other, and its team MeltanoData DBs 2 belongs to sandbox")
            if "sandbox" in held:
                two.up("sandbox")
            else:
                refused(two, "sandbox", "are in the state of the stack other, and are not adopted from there")
            two.move()
            assert (two.holding("acme"), two.holding("demo"), two.listing()) == ([TO], ["sandbox"], [TO])
            two.unchanged()
    assert between == [["sandbox"], ["sandbox", TO], [TO]]
    assert (two.fleet.world.writes(), two.fleet.told("acme")) == (writes, told)


def test_broken_off_between_the_files_it_is_finished_by_the_next(fresh: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(fresh.fleet.folder)
    for name, value in fresh.environment("sandbox").items():
        monkeypatch.setenv(name, value)
    write = edit.write
    written: list[Path] = []

    def once(path: Path, text: str) -> None:
        if written:
            raise KeyboardInterrupt
        written.append(path)
        write(path, text)

    monkeypatch.setattr(edit, "write", once)
    with pytest.raises(KeyboardInterrupt):
        move(TEAM, TO, fresh.passphrase)
    assert (fresh.holding("acme"), fresh.listing()) == ([TO], ["sandbox", TO])
    for stack in ("sandbox", TO):
        refused(fresh, stack, "the team 'MeltanoData DBs 2' already belongs to the stack")
    fresh.move()
    assert (fresh.holding("acme"), fresh.listing()) == ([TO], [TO])
    fresh.unchanged()


def test_a_team_that_was_moved_in_the_files_only_is_not_destroyed(fresh: Two) -> None:
    with undone(fresh):
        fresh.move()
        files = {file: file.read_text() for file in fresh.fleet.folder.glob("Pulumi.*.yaml")}
    for file, text in files.items():
        file.write_text(text)
    assert (fresh.holding("acme"), fresh.listing()) == (["sandbox"], [TO])
    refused(fresh, "sandbox", "acme: it is in the state of sandbox, and its team MeltanoData DBs 2 belongs to other")
    refused(fresh, TO, "are in the state of the stack sandbox, and are not adopted from there")
    fresh.move()
    assert (fresh.holding("acme"), fresh.listing()) == ([TO], [TO])
    fresh.unchanged()


def test_a_stack_that_is_locked_or_unfinished_is_left_alone(fresh: Two) -> None:
    locks = fresh.fleet.home.folder("state") / ".pulumi/locks/organization/meltanodata"
    holder = {"pid": 1, "username": "runner", "hostname": "fv-az123", "timestamp": "2026-11-23T02:00:00Z"}
    for stack in ("sandbox", TO):
        lock = locks / stack / "0.json"
        lock.parent.mkdir(parents=True, exist_ok=True)
        lock.write_text(json.dumps(holder))
        assert "the stack is locked by runner@fv-az123 (process 1)" in fresh.move(code=1)
        lock.unlink()
    exported = json.loads(fresh.pulumi("sandbox", "stack", "export"))
    state = next(fresh.fleet.home.folder("state").rglob("sandbox.json"))
    kept = json.loads(state.read_text())
    droplet = next(it for it in exported["deployment"]["resources"] if it["urn"].endswith("::acme-droplet"))
    kept["checkpoint"]["latest"]["pending_operations"] = [{"resource": droplet, "type": "updating"}]
    state.write_text(json.dumps(kept))
    said = fresh.move(code=1)
    assert "a run of the stack sandbox was interrupted (updating acme-droplet)" in said
    assert "meltanodata up --stack sandbox" in said
    assert (fresh.holding("acme"), fresh.listing()) == (["sandbox"], ["sandbox"])


def test_the_wrong_passphrase_is_said_before_anything_is_done(fresh: Two) -> None:
    fresh.passphrase.write_text("a wrong one")
    try:
        assert "incorrect passphrase" in fresh.move(code=1)
    finally:
        fresh.passphrase.write_text("another horse")
    assert (fresh.holding("acme"), fresh.listing()) == (["sandbox"], ["sandbox"])


def test_a_tenant_moves_with_its_team_only(two: Two) -> None:
    said = two.move(team="acme", code=1)
    assert "acme is a tenant" in said
    assert "meltanodata move 'MeltanoData DBs 2' --to STACK" in said
    assert "there is no team 'MeltanoData DBs 4'. Did you mean" in two.move(team="MeltanoData DBs 4", code=1)


def test_a_stack_keeps_a_team(two: Two) -> None:
    said = two.meltanodata(TO, "move", "MeltanoData DBs 3", "--to", "sandbox", code=1)
    assert "MeltanoData DBs 3 is the last team of other, and a stack needs at least one" in said


def test_stacks_are_listed(two: Two) -> None:
    said = two.meltanodata("sandbox", "stacks", "--stack", "sandbox")
    assert "MeltanoData DBs 2: 1 of 60" in said
    assert json.loads(two.meltanodata("sandbox", "stacks", "--stack", TO, "--json")) == [TO, "sandbox"]
