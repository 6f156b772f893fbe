"""What breaks around the engine: whoever reads its output goes away, a disk is full, a state is lost."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import pytest

from sandbox.home import Home
from tests.sandbox.fleet import ACME, DEMO, fleet_on
from tests.sandbox.programs import SECONDS
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.sandbox.fleet import Fleet

STACK = "sandbox"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A fleet with a tenant; each test leaves it so, and deployed."""
    with fleet_on(Home(tmp_path_factory.mktemp("breakdowns") / "home"), "light") as fleet:
        fleet.tenants(acme=ACME)
        fleet.up()
        yield fleet


def kept(fleet: Fleet) -> Path:
    """Pulumi's folder in the backend."""
    return fleet.home.folder("state") / ".pulumi"


def test_a_reader_that_goes_away_does_not_kill_the_engine(fleet: Fleet) -> None:
    fleet.tenants(acme=ACME, demo=DEMO)
    created = fleet.asked("POST", "/droplets")
    with fleet.starting_up() as process:
        eventually(lambda: created() or process.poll() is not None, SECONDS)
        assert process.stdout is not None
        process.stdout.close()  # as `| head -1` does
        assert process.wait(SECONDS) == 0
    fleet.unchanged()
    assert set(fleet.world.clusters()) == {"acme", "demo"}
    fleet.tenants(acme=ACME)
    fleet.up("--allow", "guard:many-destroyed")


def test_an_empty_lock_is_removed_by_the_command_that_is_said(fleet: Fleet) -> None:
    lock = kept(fleet) / f"locks/organization/meltanodata/{STACK}/0.json"
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.write_text("")
    said = fleet.up(code=1)
    (command,) = re.findall(r"run this again: pulumi (cancel .*)", said)
    fleet.pulumi(*command.split())
    assert not lock.exists()
    fleet.up()


@pytest.mark.parametrize("content", [0, 2000], ids=["empty", "cut off"])
def test_a_state_that_a_full_disk_cut_off_is_restored_by_the_command_that_is_said(fleet: Fleet, content: int) -> None:
    before = fleet.world.everything()
    state = kept(fleet) / f"stacks/meltanodata/{STACK}.json"
    for file in (state, state.with_suffix(".json.bak")):
        file.write_bytes(file.read_bytes()[:content])
    commands = (["up", "--yes"], ["plan"], ["doctor"], ["page", "index.html"], ["credentials", "acme"])
    for command in commands:
        said = fleet.meltanodata(*command, "--stack", STACK, code=1)
        assert f"{state} is {'cut off' if content else 'empty'}" in said, command
        assert "Traceback" not in said
    (copy,) = re.findall(r"^  (cp .*)$", fleet.up(code=1), re.MULTILINE)
    with fleet.start(*shlex.split(copy)) as process:
        assert process.wait() == 0
    fleet.up()
    fleet.unchanged()
    assert fleet.world.everything() == before


def test_an_empty_state_takes_over_what_exists(fleet: Fleet) -> None:
    """As the how-to says."""
    before = fleet.world.everything()
    folder = kept(fleet)
    state = folder / f"stacks/meltanodata/{STACK}.json"
    state.write_text("")
    for copy in (
        *folder.rglob(f"{STACK}*.bak"),
        *folder.rglob(f"{STACK}*.checkpoint.json"),
        *folder.rglob("*.[0-9]*.json"),
    ):
        copy.unlink()
    assert "No whole copy of it is left" in fleet.up(code=1)
    state.rename(state.with_suffix(".damaged"))
    fleet.pulumi("stack", "init", STACK)
    assert "keeps its login" in fleet.up()
    fleet.unchanged()
    assert fleet.world.everything() == before
