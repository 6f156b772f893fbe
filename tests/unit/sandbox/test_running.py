"""The file by which a sandbox tells others where it is."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from sandbox.home import Home
from sandbox.running import AlreadyRunningError, NotRunningError, Running, TeamAccess, take_lock

if TYPE_CHECKING:
    from pathlib import Path

RUNNING = Running(
    pid=1,
    api_url="http://127.0.0.1:40123",
    control_token="c",
    teams={"Meltano": TeamAccess(token="t", read_token="r")},
    domain="meltanodata.com",
    resolver=("127.0.0.1", 53),
    ssh_port=22,
    droplets="light",
    databases="light",
    plugins="stand-in",
    plugin_ports={"random": 1},
    database_versions=("15",),
)


def test_what_is_saved_is_loaded_while_the_sandbox_lives(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    with take_lock(home):
        RUNNING.save(home)
        assert Running.load(home) == RUNNING


def test_what_a_killed_sandbox_left_is_none(tmp_path: Path) -> None:
    with take_lock(Home(tmp_path)):
        RUNNING.save(Home(tmp_path))
    with pytest.raises(NotRunningError, match="no sandbox runs"):
        Running.load(Home(tmp_path))


def test_only_one_runs_in_a_home(tmp_path: Path) -> None:
    with take_lock(Home(tmp_path)), pytest.raises(AlreadyRunningError, match="sandbox status"):
        take_lock(Home(tmp_path))


def test_the_file_is_private(tmp_path: Path) -> None:
    RUNNING.save(Home(tmp_path))
    assert stat.S_IMODE((tmp_path / "sandbox.json").stat().st_mode) == 0o600


def test_no_file_names_the_command_that_makes_one(tmp_path: Path) -> None:
    with pytest.raises(NotRunningError, match="python -m sandbox start"):
        Running.load(Home(tmp_path))


def test_a_file_of_another_version_is_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "sandbox.json").write_text('{"pid": 1}')
    with take_lock(Home(tmp_path)), pytest.raises(NotRunningError, match="another version"):
        Running.load(Home(tmp_path))


def test_remove_twice(tmp_path: Path) -> None:
    RUNNING.save(Home(tmp_path))
    Running.remove(Home(tmp_path))
    Running.remove(Home(tmp_path))
    with pytest.raises(NotRunningError):
        Running.load(Home(tmp_path))
