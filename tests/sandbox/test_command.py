"""`python -m sandbox …` as a person types it; the engine's own part is tested with the engine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from meltanodata.engine.cli_version import SDK
from sandbox.api.faults import Fault
from sandbox.control import Control
from sandbox.home import PROJECT, Home
from sandbox.running import Running, lock_holder
from tests.sandbox.api import Client, new_database, new_droplet
from tests.waiting import PATIENCE, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIGHT = ("start", "--droplets", "light", "--databases", "light", "--plugins", "stand-in")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """A sandbox's folder, with an engine on PATH that does nothing."""
    (tmp_path / "bin").mkdir()
    engine = tmp_path / "bin" / "pulumi"
    engine.write_text(f'#!/bin/sh\necho v{SDK}\n[ "$1" != fail ] || exit 255\n')
    engine.chmod(0o755)
    home = Home(tmp_path / "home")
    yield home
    if (process := lock_holder(home)) is not None:
        os.kill(process, signal.SIGKILL)
        eventually(lambda: lock_holder(home) is None)


def environment(home: Home) -> dict[str, str]:
    path = os.pathsep.join([str(home.path.parent / "bin"), os.environ["PATH"]])
    return {**os.environ, "SANDBOX_HOME": str(home.path), "PATH": path}


def command(home: Home, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "sandbox", *arguments],
        cwd=PROJECT,
        env=environment(home),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done


def meltano(running: Running) -> Client:
    return Client(running.api_url, running.teams["Meltano"].token)


def test_a_sandbox_from_start_to_stop(home: Home) -> None:
    started = command(home, *LIGHT)
    assert started.returncode == 0
    running = Running.load(home)
    for word in (running.api_url, "light", "stand-in", f"pulumi {SDK}", str(home.path)):
        assert word in started.stdout
    client = meltano(running)
    client.post("/v2/droplets", new_droplet(client), 202)

    again = command(home, *LIGHT)
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr == f"a sandbox already runs in {home.path}: see `python -m sandbox status`\n"

    status = command(home, "status")
    assert status.returncode == 0
    assert "1 of 500" in status.stdout

    stopped = command(home, "stop")
    assert stopped.returncode == 0
    assert lock_holder(home) is None
    assert not (home.path / "sandbox.json").exists()

    assert command(home, *LIGHT).returncode == 0
    assert meltano(Running.load(home)).get("/v2/droplets")["meta"]["total"] == 1
    assert command(home, "stop").returncode == 0


@pytest.mark.parametrize(
    "arguments", [["status"], ["stop"], ["env"], ["snapshot", "x"], ["fault", "list"], ["pulumi", "preview"]]
)
def test_without_a_sandbox(home: Home, arguments: list[str]) -> None:
    done = command(home, *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"no sandbox runs in {home.path}")


@pytest.mark.parametrize(
    "arguments",
    [
        ["begin"],
        ["start", "--droplets", "huge"],
        ["fault", "add", "crash"],
        ["fault", "add", "status", "--status", "200"],
    ],
)
def test_wrong_usage(home: Home, arguments: list[str]) -> None:
    done = command(home, *arguments)
    assert (done.returncode, done.stdout) == (2, "")


def test_what_cannot_be_had_is_refused_by_name(home: Home) -> None:
    done = command(home, "start", "--droplets", "light", "--databases", "light", "--plugins", "official")
    assert done.returncode == 1
    assert "official plugins are not available here: pulumi-resource-digitalocean is neither on PATH nor" in done.stderr
    assert lock_holder(home) is None


def test_a_start_that_fails_says_why(home: Home) -> None:
    home.folder("api.sqlite")
    done = command(home, *LIGHT)
    assert done.returncode == 1
    assert f"See its log: {home.path / 'sandbox.log'}" in done.stderr
    assert lock_holder(home) is None


def test_ctrl_c_while_it_starts(home: Home) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox", *LIGHT],
        cwd=PROJECT,
        env=environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "sandbox: network and DNS\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) != 0
    assert lock_holder(home) is None


def test_stop_waits_for_a_slow_end_and_status_sees_a_dead_one(home: Home) -> None:
    command(home, *LIGHT)
    process = Running.load(home).pid
    os.kill(process, signal.SIGKILL)
    eventually(lambda: lock_holder(home) is None)
    assert command(home, "status").returncode == 1
    assert command(home, "stop").returncode == 1
    assert command(home, *LIGHT).returncode == 0
    assert Running.load(home).pid != process


def test_faults(home: Home) -> None:
    command(home, *LIGHT)
    running = Running.load(home)
    control = Control(running)
    added = command(
        home, "fault", "add", "status", "--status", "429", "--retry-after", "3", "--method", "POST", "--times", "0"
    )
    assert added.stdout == "fault 1\n"
    assert control.faults() == {1: Fault(effect="status", status=429, retry_after=3, method="POST", times=None)}
    listed = command(home, "fault", "list").stdout
    assert "429" in listed
    assert "POST" in listed
    assert command(home, "fault", "clear", "7").returncode == 1
    assert command(home, "fault", "clear", "1").returncode == 0
    assert control.faults() == {}

    client = meltano(running)
    client.post("/v2/droplets", new_droplet(client), 202)
    assert command(home, "fault", "droplet", "acme.meltanodata.com", "refuse").returncode == 0
    unknown = command(home, "fault", "droplet", "nobody.meltanodata.com", "refuse")
    assert (unknown.returncode, unknown.stderr) == (1, "no droplet 'nobody.meltanodata.com'\n")
    assert command(home, "fault", "droplet", "acme.meltanodata.com").returncode == 0


def test_a_shell_becomes_a_client(home: Home) -> None:
    command(home, *LIGHT)
    running = Running.load(home)
    script = f"""
        eval "$({sys.executable} -m sandbox env $0)"
        echo "$DIGITALOCEAN_API_URL|$DIGITALOCEAN_TOKEN|$PULUMI_ACCESS_TOKEN|$PULUMI_DEBUG_PROVIDERS"
    """
    foreign = {"DIGITALOCEAN_TOKEN": "mine", "PULUMI_ACCESS_TOKEN": "mine"}

    def shell(option: str) -> list[str]:
        argv = ["bash", "-c", script.replace("$0", option)]
        said = subprocess.run(
            argv, cwd=PROJECT, env=environment(home) | foreign, capture_output=True, text=True, check=True
        )
        return said.stdout.strip().split("|")

    url, token, other, plugins = shell("")
    assert (url, token, other) == (running.api_url, "", "")
    assert f"digitalocean:{running.plugin_ports['digitalocean']}" in plugins.split(",")
    assert shell("--team 'MeltanoData DBs 1'")[1] == running.teams["MeltanoData DBs 1"].token
    unknown = command(home, "env", "--team", "Nobody")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert unknown.stderr == f"no team 'Nobody'; the teams are: {', '.join(running.teams)}\n"


def test_pulumis_status_is_ours(home: Home) -> None:
    command(home, *LIGHT)
    assert command(home, "pulumi", "preview", "--diff").returncode == 0
    assert command(home, "pulumi", "fail", "--help").returncode == 255


def test_a_newer_snapshot(home: Home) -> None:
    command(home, *LIGHT)
    assert command(home, "snapshot", "Ubuntu meltano-223456789").returncode == 0
    names = [snapshot["name"] for snapshot in meltano(Running.load(home)).get("/v2/snapshots")["snapshots"]]
    assert names == ["Ubuntu meltano-123456789", "Ubuntu meltano-223456789"]


def test_reset(home: Home) -> None:
    assert command(home, "reset").returncode == 0
    command(home, *LIGHT)
    before = Running.load(home)
    client = meltano(before)
    client.post("/v2/droplets", new_droplet(client), 202)
    client.post("/v2/databases", new_database())
    state = home.folder("state") / "stack.json"
    state.write_text("{}")
    assert command(home, "reset").returncode == 0
    assert Running.load(home) == before
    assert not state.exists()
    assert client.get("/v2/droplets")["meta"]["total"] == 0
    client.post("/v2/droplets", new_droplet(client), 202)
    command(home, "stop")
    assert command(home, "reset").returncode == 0
    assert not home.path.exists()


def test_secrets_are_private(home: Home) -> None:
    command(home, *LIGHT)
    running = Running.load(home)
    secrets = [running.control_token, *(access.token for access in running.teams.values())]
    arguments = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    log = (home.path / "sandbox.log").read_text()
    shown = command(home, "status").stdout
    for text in (arguments, log, shown):
        assert not any(secret in text for secret in secrets)
    assert home.path.stat().st_mode & 0o77 == 0
