"""Where droplets and databases have their addresses.

Each sandbox has a block of 4,096 addresses (a /20) of its own, chosen when it first starts and kept in its
home: `BridgeNetwork` takes it from 198.18.0.0/15, which RFC 2544 sets aside for test networks, and
`LoopbackNetwork` from 127.0.0.0/8.

    .0.1                the gateway: the machine itself; DNS and the package index listen here
    .0.16 … .7.255      droplets
    .8.0  … .15.254     databases
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import hashlib
import ipaddress
import json
import os
import random
import shutil
import socket
from ipaddress import IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.process import ProgramError, run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

    from sandbox.home import Home

PREFIX = 20
BRIDGED = IPv4Network("198.18.0.0/15")
LOOPBACK = IPv4Network("127.16.0.0/12")
"""Part of 127.0.0.0/8 that leaves 127.0.0.x to others: resolvers listen on 127.0.0.11 and 127.0.0.53."""
FIRST_DROPLET = 16
FIRST_DATABASE = 2048
LOCK = Path("/run/lock/meltanodata-network.lock")
"""Held while a block is picked and taken, for the machine's sandboxes start side by side."""
DNS_PORT = 53
UNPRIVILEGED_DNS_PORT = 5300


class NetworkError(Exception):
    """The sandbox cannot have its network; the message says what to do."""


def tag(home: Home) -> str:
    """Ten characters that are this sandbox's alone; interfaces and cgroups of its own begin with it."""
    return "md" + hashlib.sha256(str(home.path).encode()).hexdigest()[:8]


def pick(blocks: IPv4Network, taken: Iterable[IPv4Network], seed: str) -> Iterator[IPv4Network]:
    """The /20 blocks that overlap nothing taken, in an order of the seed's own, so that sandboxes seldom meet."""
    held = list(taken)
    order = list(blocks.subnets(new_prefix=PREFIX))
    random.Random(seed).shuffle(order)  # noqa: S311 -- spreads sandboxes, hides nothing
    return (block for block in order if not any(block.overlaps(other) for other in held))


class _Block:
    """A /20 and who has which of its addresses."""

    def __init__(self, home: Home, kind: str) -> None:
        self._file = home.path / "network" / kind
        self._seed = str(home.path)

    def _remembered(self) -> IPv4Network | None:
        try:
            return IPv4Network(self._file.read_text().strip())
        except FileNotFoundError:
            return None

    def _remember(self, block: IPv4Network) -> None:
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file.write_text(f"{block}\n")

    @property
    def block(self) -> IPv4Network:
        """The sandbox's addresses; known from the first `up` on.

        Raises:
            NetworkError: This sandbox was never up.
        """
        block = self._remembered()
        if block is None:
            raise NetworkError(f"no network yet in {self._file.parent}: start the sandbox first")
        return block

    @property
    def gateway(self) -> str:
        """The machine's own address in the block."""
        return str(self.block[1])

    def droplet_address(self, index: int) -> str:
        """The address of the index-th droplet (from 0).

        Raises:
            NetworkError: The block has no address of that index.
        """
        return self._address(index, FIRST_DROPLET, FIRST_DATABASE)

    def database_address(self, index: int) -> str:
        """The address of the index-th database (from 0).

        Raises:
            NetworkError: The block has no address of that index.
        """
        return self._address(index, FIRST_DATABASE, self.block.num_addresses - 1)

    def _address(self, index: int, first: int, end: int) -> str:
        if not 0 <= index < end - first:
            raise NetworkError(f"{self.block} has {end - first} addresses of this kind, none with index {index}")
        return str(self.block[first + index])


class LoopbackNetwork(_Block):
    """127.x.y.z: every address of it answers on Linux without any set-up."""

    def __init__(self, home: Home) -> None:
        super().__init__(home, "loopback")

    async def up(self) -> None:
        """Choose the block at first."""
        if self._remembered() is None:
            for block in pick(LOOPBACK, (), self._seed):
                if _unused(str(block[1]), _dns_port()):
                    self._remember(block)
                    return
            raise NetworkError(f"no free block of addresses in {LOOPBACK}")

    async def down(self) -> None:
        """Nothing was made."""

    async def assign(self, address: str) -> None:
        """Nothing to do: the address answers already."""

    async def release(self, address: str) -> None:
        """Nothing to do."""

    @property
    def resolver(self) -> tuple[str, int]:
        """The gateway's address; port 53 where that is allowed, else 5300."""
        return self.gateway, _dns_port()


class BridgeNetwork(_Block):
    """A bridge of the sandbox's own; the machine has the gateway's address, droplets are plugged into it.

    No address translation and no way out: the machine does not forward what it gets from the bridge.
    """

    def __init__(self, home: Home) -> None:
        super().__init__(home, "bridge")
        self.bridge = tag(home)

    async def up(self) -> None:
        """Make the bridge, and choose the block at first.

        Raises:
            NetworkError: The block is another's by now, or this machine allows no bridge.
        """
        async with _machine_wide_lock():
            try:
                await self._up()
            except ProgramError as error:
                raise NetworkError(f"this machine cannot have a bridge: {error}") from error

    async def _up(self) -> None:
        # What a killed sandbox left goes first, together with the databases' addresses on it.
        await self.down()
        taken = await _networks_of_this_machine()
        block = self._remembered()
        if block is None:
            block = next(pick(BRIDGED, taken, self._seed), None)
            if block is None:
                raise NetworkError(f"every block of addresses in {BRIDGED} is taken: stop another sandbox")
        elif any(block.overlaps(other) for other in taken):
            raise NetworkError(
                f"{block}, this sandbox's addresses, is taken on this machine (see `ip address`, `ip route`): "
                "stop what has it, or `python -m sandbox reset` this sandbox",
            )
        # No IPv6 address of its own accord: the sandbox is IPv4 only, as its API reports for every droplet.
        await run("ip", "link", "add", "name", self.bridge, "type", "bridge")
        await run("ip", "link", "set", self.bridge, "addrgenmode", "none")
        await run("ip", "link", "set", self.bridge, "up")
        await run("ip", "address", "add", f"{block[1]}/{PREFIX}", "broadcast", "+", "dev", self.bridge)
        Path(f"/proc/sys/net/ipv4/conf/{self.bridge}/forwarding").write_text("0")
        for rule in _firewall(self.bridge):
            await run("iptables", "--wait", "--insert", *rule)
        self._remember(block)

    async def down(self) -> None:
        """Remove the bridge with every address on it."""
        if not Path(f"/sys/class/net/{self.bridge}").exists():
            return
        await run("ip", "link", "delete", self.bridge)
        for rule in _firewall(self.bridge):
            with contextlib.suppress(ProgramError):  # iptables came after the bridge, or someone emptied the chain
                await run("iptables", "--wait", "--delete", *rule)

    async def assign(self, address: str) -> None:
        """Let the machine answer at a database's address; nothing when it does."""
        await run("ip", "address", "replace", f"{address}/32", "dev", self.bridge)

    async def release(self, address: str) -> None:
        """Take the address back; nothing when it is gone."""
        addresses = json.loads(await run("ip", "-json", "-4", "address", "show", "dev", self.bridge))
        if any(info["local"] == address for link in addresses for info in link["addr_info"]):
            await run("ip", "address", "delete", f"{address}/32", "dev", self.bridge)

    @property
    def resolver(self) -> tuple[str, int]:
        """The gateway's address, port 53: a droplet's resolv.conf cannot name another port."""
        return self.gateway, DNS_PORT


def _firewall(bridge: str) -> list[list[str]]:
    """Rules that let a firewalled machine (ufw, Docker) talk with its droplets, and they with each other.

    The second is for machines where bridged packets pass through iptables (`bridge-nf-call-iptables`), which
    Docker switches on together with a FORWARD policy of DROP. None where iptables is not installed.
    """
    if shutil.which("iptables") is None:
        return []
    return [
        ["INPUT", "--in-interface", bridge, "--jump", "ACCEPT"],
        ["FORWARD", "--in-interface", bridge, "--out-interface", bridge, "--jump", "ACCEPT"],
    ]


async def _networks_of_this_machine() -> list[IPv4Network]:
    """What addresses and routes of this machine cover; a default route covers nothing in particular."""
    routes = json.loads(await run("ip", "-json", "-4", "route", "show", "table", "all") or "[]")
    destinations = [route["dst"] for route in routes if route["dst"] != "default"]
    return [ipaddress.IPv4Network(destination, strict=False) for destination in destinations]


@contextlib.asynccontextmanager
async def _machine_wide_lock() -> AsyncIterator[None]:
    with LOCK.open("w") as file:
        await asyncio.to_thread(fcntl.flock, file, fcntl.LOCK_EX)
        yield


def _dns_port() -> int:
    return DNS_PORT if os.geteuid() == 0 else UNPRIVILEGED_DNS_PORT


def _unused(address: str, port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise
        return True
