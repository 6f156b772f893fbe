"""The sandbox as a process: it starts, stops, is killed, and goes on where it was."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

from sandbox.api.faults import Fault
from sandbox.control import Control
from sandbox.droplets.light import LightDroplets
from sandbox.home import PROJECT, Home
from sandbox.running import NotRunningError, Running, lock_holder
from tests.sandbox.api import Background, Client, new_database, new_droplet
from tests.waiting import PATIENCE, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVER = (sys.executable, "-m", "sandbox.server", "--droplets", "light", "--databases", "light", "--plugins")


@contextmanager
def server(home: Home, plugins: str = "official") -> Iterator[subprocess.Popen[str]]:
    """A server that is ready; killed at the end if it still runs."""
    environment = {**os.environ, "SANDBOX_HOME": str(home.path)}
    process = subprocess.Popen([*SERVER, plugins], cwd=PROJECT, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process:
        try:
            said = []
            for line in process.stdout:
                said.append(line)
                if line == "ready\n":
                    break
            assert said[-1:] == ["ready\n"], said
            yield process
        finally:
            process.kill()


def stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    assert process.wait(PATIENCE) == 0


def refused(home: Home) -> str:
    """What a server says that cannot start."""
    environment = {**os.environ, "SANDBOX_HOME": str(home.path)}
    process = subprocess.run(
        [*SERVER, "official"], cwd=PROJECT, env=environment, capture_output=True, text=True, check=False
    )
    assert process.returncode == 1
    assert process.stderr == ""
    return process.stdout


def meltano(running: Running) -> Client:
    return Client(running.api_url, running.teams["Meltano"].token)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def children(process: int) -> set[int]:
    listing = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process)], capture_output=True, text=True, check=False)
    return {int(number) for number in listing.stdout.split()}


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_running(home: Home, end: signal.Signals) -> None:
    with server(home, "stand-in") as process:
        running = Running.load(home)
        assert running.pid == lock_holder(home) == process.pid
        plugins = children(process.pid)
        assert plugins
        process.send_signal(end)
        process.wait(PATIENCE)
        eventually(lambda: not any(Path(f"/proc/{number}").exists() for number in plugins))
    assert lock_holder(home) is None
    with pytest.raises(NotRunningError):
        Running.load(home)
    api = int(running.api_url.rsplit(":", 1)[1])
    for address in (("127.0.0.1", api), ("127.0.0.1", running.plugin_ports["random"]), running.resolver):
        with socket.socket() as client:
            assert client.connect_ex(address) != 0


def test_sigterm_while_a_request_hangs(home: Home) -> None:
    with server(home) as process:
        running = Running.load(home)
        Control(running).add_fault(Fault(effect="hang"))
        with socket.create_connection(("127.0.0.1", int(running.api_url.rsplit(":", 1)[1]))) as client:
            token = running.teams["Meltano"].token
            client.sendall(f"GET /v2/account HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
            eventually(lambda: Control(running).faults() == {})
            stop(process)


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_the_next_start_goes_on(home: Home, end: signal.Signals) -> None:
    with server(home) as process:
        before = Running.load(home)
        client = meltano(before)
        droplet = client.post("/v2/droplets", new_droplet(client), 202)["droplet"]["id"]
        off = client.post("/v2/droplets", new_droplet(client), 202)["droplet"]["id"]
        database = client.post("/v2/databases", new_database())["database"]
        record = client.post(
            "/v2/domains/meltanodata.com/records", {"type": "A", "name": "acme", "data": "198.18.0.16"}
        )["domain_record"]
        eventually(lambda: client.get(f"/v2/droplets/{off}")["droplet"]["status"] == "active")
        client.post(f"/v2/droplets/{off}/actions", {"type": "power_off"})
        eventually(lambda: client.get(f"/v2/droplets/{off}")["droplet"]["status"] == "off")
        eventually(lambda: client.get(f"/v2/droplets/{droplet}")["droplet"]["status"] == "active")
        shown = client.get(f"/v2/droplets/{droplet}")["droplet"]
        process.send_signal(end)
        process.wait(PATIENCE)
    with server(home):
        after = Running.load(home)
        assert (after.api_url, after.teams, after.resolver) == (before.api_url, before.teams, before.resolver)
        client = meltano(after)
        assert client.get(f"/v2/droplets/{droplet}")["droplet"] == shown
        assert client.get(f"/v2/droplets/{off}")["droplet"]["status"] == "off"
        assert client.get(f"/v2/databases/{database['id']}")["database"]["connection"] == database["connection"]
        path = f"/v2/domains/meltanodata.com/records/{record['id']}"
        assert client.get(path)["domain_record"] == record
        public = next(n["ip_address"] for n in shown["networks"]["v4"] if n["type"] == "public")

        def answers() -> bool:
            with socket.socket() as ssh:
                return ssh.connect_ex((public, after.ssh_port)) == 0

        eventually(answers)


def test_what_was_under_way_is_finished(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    with monkeypatch.context() as patch:
        for name in ("create", "destroy"):
            patch.setattr(LightDroplets, name, never)
        with Background(home) as running:
            client = meltano(running)
            new = client.post("/v2/droplets", new_droplet(client), 202)
            gone = client.post("/v2/droplets", new_droplet(client), 202)["droplet"]["id"]
            client.delete(f"/v2/droplets/{gone}")
    with Background(home) as running:
        client = meltano(running)
        number, action = new["droplet"]["id"], new["links"]["actions"][0]["id"]
        eventually(lambda: client.get(f"/v2/droplets/{number}")["droplet"]["status"] == "active")
        assert client.get(f"/v2/actions/{action}")["action"]["status"] == "completed"
        eventually(lambda: client.request("GET", f"/v2/droplets/{gone}").status_code == 404)


def test_snapshots_outlive_a_restart_and_what_was_never_finished_does_not(home: Home) -> None:
    with Background(home) as running:
        client = meltano(running)
        number = client.post("/v2/droplets", new_droplet(client), 202)["droplet"]["id"]
        eventually(lambda: client.get(f"/v2/droplets/{number}")["droplet"]["status"] == "active")
        client.post(f"/v2/droplets/{number}/actions", {"type": "snapshot", "name": "golden"})
        (image,) = eventually(lambda: client.get(f"/v2/droplets/{number}")["droplet"]["snapshot_ids"])
    kept = home.path / "snapshots"
    for name in (f"{image}.new", "1"):
        (kept / name).mkdir()
    with Background(home) as running:
        client = meltano(running)
        assert [path.name for path in kept.iterdir()] == [str(image)]
        copy = client.post("/v2/droplets", new_droplet(client, image=image, size="s-2vcpu-2gb"), 202)["droplet"]["id"]
        eventually(lambda: client.get(f"/v2/droplets/{copy}")["droplet"]["status"] == "active")
        Control(running).reset()
        assert list(kept.iterdir()) == []


def test_only_one_server_in_a_home(home: Home) -> None:
    with server(home) as process:
        assert refused(home).startswith(f"a sandbox already runs in {home.path}")
        assert requests.get(Running.load(home).api_url, timeout=PATIENCE).status_code == 401
        stop(process)


def test_a_port_that_was_taken_meanwhile(home: Home) -> None:
    with server(home) as process:
        port = int(Running.load(home).api_url.rsplit(":", 1)[1])
        stop(process)
    with socket.create_server(("127.0.0.1", port)):
        assert refused(home).startswith(f"port {port} on 127.0.0.1, this sandbox's API, is taken")
