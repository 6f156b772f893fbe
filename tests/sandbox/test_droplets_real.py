"""Real droplets through the API: snapshots of them, and what networks they have."""

from __future__ import annotations

import asyncio
import os
import subprocess
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import asyncssh
import pytest

from sandbox.choice import obstacle
from sandbox.control import Control
from sandbox.droplets.cgroups import Cgroup
from sandbox.home import Home
from sandbox.keys import Keys
from sandbox.network import tag
from sandbox.server import Modes
from tests.sandbox.api import Background, Client, new_droplet
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REASON = obstacle("droplets")
pytestmark = [
    pytest.mark.skipif(REASON is not None, reason=f"real droplets: {REASON}"),
    pytest.mark.timeout(1500),  # the first time on a machine the snapshot is made
]
MODES = Modes(droplets="real", databases="light", plugins="official")
slowly = partial(eventually, pause=0.5)
"""For what the API is asked: a token has 250 requests a minute."""


@dataclass
class World:
    """A sandbox of real droplets, and a person with the account's key."""

    home: Home
    client: Client
    control: Control
    keys: Keys

    def create(self, **changes: object) -> int:
        own = self.client.get("/v2/account/keys")["ssh_keys"][0]["id"]
        body = new_droplet(self.client, **{"ssh_keys": [own], **changes})
        number: int = self.client.post("/v2/droplets", body, 202)["droplet"]["id"]
        slowly(lambda: self.show(number)["status"] == "active" or self.control.status().failures)
        assert self.control.status().failures == []
        return number

    def show(self, number: int) -> dict[str, Any]:
        droplet: dict[str, Any] = self.client.get(f"/v2/droplets/{number}")["droplet"]
        return droplet

    def act(self, number: int, kind: str, **arguments: object) -> dict[str, Any]:
        action = self.client.post(f"/v2/droplets/{number}/actions", {"type": kind, **arguments})["action"]
        path = f"/v2/actions/{action['id']}"
        return slowly(lambda: (done := self.client.get(path)["action"])["completed_at"] and done)  # type: ignore[no-any-return]  # an action's JSON

    def snapshot(self, number: int, name: str) -> int:
        assert self.act(number, "snapshot", name=name)["status"] == "completed", self.control.status().failures
        snapshot: int = self.show(number)["snapshot_ids"][-1]
        return snapshot

    def delete(self, number: int) -> None:
        self.client.delete(f"/v2/droplets/{number}")
        slowly(lambda: self.client.request("GET", f"/v2/droplets/{number}").status_code == 404)

    def tell(self, number: int, command: str) -> str:
        """What root's command prints; tried again while the machine boots."""
        (address,) = [droplet.address for droplet in self.control.droplets() if droplet.id == number]
        return str(eventually(lambda: asyncio.run(self._tell(address, command))).stdout).strip()

    async def _tell(self, address: str, command: str) -> asyncssh.SSHCompletedProcess | None:
        try:
            async with asyncssh.connect(
                address,
                username="root",
                client_keys=[str(self.keys.ssh_private_key)],
                known_hosts=None,
                agent_path=None,
                config=None,
                connect_timeout=5,
            ) as connection:
                return await connection.run(command, check=True)
        except (OSError, asyncssh.ConnectionLost, asyncssh.PermissionDenied):
            return None


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home = Home(tmp_path_factory.mktemp("home"))
    with Background(home, MODES) as running:
        client = Client(running.api_url, running.teams["Meltano"].token)
        yield World(home, client, Control(running), Keys.ensure(home, running.domain))


COUNT = "while :; do echo >>/root/first; echo >>/root/second; sleep 0.01; done"
"""At every moment the first has as many lines as the second or one more."""


def lines(world: World, number: int, name: str) -> int:
    return int(world.tell(number, f"wc -l </root/{name}"))


def test_a_snapshot_is_the_disk_at_one_moment_and_each_droplet_of_it_is_its_own(world: World, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    original = world.create(name="original.meltanodata.com")
    world.tell(
        original, "echo kept >/var/note; rm /etc/vsftpd.conf; rm -r /usr/share/doc/vsftpd; mkdir /usr/share/doc/vsftpd"
    )
    world.tell(original, f"ln -sf {victim} /etc/hostname; echo ssh-ed25519 AAAA hers >>/root/.ssh/authorized_keys")
    world.tell(original, f"systemd-run --quiet sh -c '{COUNT}'")
    world.tell(original, "touch /root/second")
    eventually(lambda: lines(world, original, "second"))
    image = world.snapshot(original, "golden")
    before = lines(world, original, "second")
    eventually(lambda: lines(world, original, "second") > before)  # it goes on

    everybody = [key["id"] for key in world.client.get("/v2/account/keys")["ssh_keys"]]
    copy = world.create(name="copy.meltanodata.com", image=image, ssh_keys=everybody)
    assert world.tell(copy, "cat /var/note") == "kept"
    assert lines(world, copy, "first") - lines(world, copy, "second") in {0, 1}
    assert 0 < lines(world, copy, "second") <= before
    assert world.tell(copy, "ls /etc/vsftpd.conf /usr/share/doc/vsftpd 2>&1; true").splitlines() == [
        "ls: cannot access '/etc/vsftpd.conf': No such file or directory",
        "/usr/share/doc/vsftpd:",
    ]
    assert world.tell(copy, "hostname") == "copy.meltanodata.com"
    assert victim.read_text() == "untouched"
    keys = world.tell(copy, "cat /root/.ssh/authorized_keys").splitlines()
    own, colleague = (path.read_text().strip() for path in (world.keys.ssh_public_key, world.keys.colleague_public_key))
    assert keys == [own, "ssh-ed25519 AAAA hers", colleague]
    host_key = "cut -d ' ' -f 2 /etc/ssh/ssh_host_ed25519_key.pub"
    assert world.tell(copy, host_key) != world.tell(original, host_key)

    world.tell(copy, "echo changed >/var/note")
    assert world.tell(original, "cat /var/note") == "kept"
    world.client.delete(f"/v2/snapshots/{image}")
    eventually(lambda: list((world.home.path / "snapshots").iterdir()) == [])
    world.delete(original)
    world.act(copy, "power_off")
    second_image = world.snapshot(copy, "of a copy")
    world.act(copy, "power_on")
    assert world.tell(copy, "cat /var/note") == "changed"
    third = world.create(name="third.meltanodata.com", image=second_image)
    assert world.tell(third, "cat /var/note; hostname").splitlines() == ["changed", "third.meltanodata.com"]
    world.delete(third)
    world.delete(copy)
    world.client.delete(f"/v2/snapshots/{second_image}")


def test_ipv6_of_a_new_droplet_works_and_what_is_switched_on_later_is_to_be_set_up_by_hand(world: World) -> None:
    number, other = world.create(ipv6=True), world.create(ipv6=True)
    (address,) = (network["ip_address"] for network in world.show(number)["networks"]["v6"])
    assert f"inet6 {address}/64" in world.tell(number, "ip -6 address show dev eth0")
    assert " 0% packet loss" in world.tell(other, f"ping -6 -c 1 -w 10 {address}")
    world.delete(other)
    world.delete(number)
    later = world.create()
    world.act(later, "enable_ipv6")
    world.act(later, "power_cycle")
    assert world.show(later)["networks"]["v6"] != []
    assert "inet6 2001:" not in world.tell(later, "ip -6 address show dev eth0")
    world.delete(later)


def test_a_droplet_without_public_networking_cannot_be_reached(world: World) -> None:
    number = world.create(public_networking=False)
    (hidden,) = [droplet.address for droplet in world.control.droplets() if droplet.id == number]
    pinged = subprocess.run(["ping", "-c", "1", "-w", "3", hidden], check=False, capture_output=True)
    assert pinged.returncode != 0
    world.delete(number)


def test_user_data_that_nobody_would_run_is_refused(world: World) -> None:
    refused = world.client.post("/v2/droplets", new_droplet(world.client, user_data="#!/bin/sh\necho"), 422)
    assert refused["message"] == "The sandbox's real droplets do not run user_data"
    world.delete(world.create(user_data=""))


def test_processes_stand_still_until_they_are_thawed_and_die_frozen(world: World) -> None:
    everything = Cgroup(f"{tag(world.home)}-freezer")
    group = everything.child("machine")
    files = group.make()
    script = "".join(f"echo 0 >{file}; " for file in files) + "echo; while :; do echo; done"
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE) as process:
        output = process.stdout
        assert output is not None
        try:
            output.readline()
            group.freeze()
            os.set_blocking(output.fileno(), False)
            while output.read(1 << 20):
                pass
            assert not output.read(1)
            group.thaw()
            eventually(lambda: output.read(1))
            group.freeze()
            everything.kill()  # as a sandbox does that takes over from one that was killed meanwhile
            process.wait(10)
        finally:
            process.kill()
            group.thaw()
