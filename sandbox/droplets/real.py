"""Real droplets: systemd machines that boot, each on a disk laid over the snapshot, plugged into the sandbox's bridge.

A machine's mounts and network belong to namespaces that have no name and no other user: they go when its last process
does, however that happens. What stays is its folder, `<home>/droplets/<id>`, and empty cgroups.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sandbox import packages
from sandbox.droplets import index
from sandbox.droplets.cgroups import Cgroup
from sandbox.droplets.snapshot import missing_packages, overlay
from sandbox.process import ProgramError, run

if TYPE_CHECKING:
    from sandbox.backends import Machine
    from sandbox.droplets.snapshot import Snapshot
    from sandbox.home import Home
    from sandbox.network import BridgeNetwork

log = logging.getLogger(__name__)

REBOOT: Final = 133
"""How systemd-nspawn ends when the machine inside asks for a reboot."""
_STOP_SECONDS: Final = 30
"""How long a machine may take to shut down; then its power is cut."""
_POWER_ON_SECONDS: Final = 60
_CONSOLE_LINES: Final = 10

# Runs in new mount and network namespaces. Joins the machine's cgroups in every hierarchy before anything of it runs:
# where one is left out, one boot in ten comes up degraded.
_LAUNCH: Final = """
set -eu
mount -t overlay -o "$1" overlay "$2"
root=$2 name=$3
shift 3
for processes; do echo 0 >"$processes"; done
echo
read -r _
exec systemd-nspawn --quiet --directory="$root" --machine="$name" --boot --register=no --keep-unit \
  --capability=CAP_NET_ADMIN --console=pipe --link-journal=no --resolv-conf=off --timezone=off </dev/null >&2
"""


def why_not_real() -> str | None:
    """Why no systemd machine can be had here; None when it can.

    A missing package is no reason where it can be installed (`snapshot.build`).
    """
    if os.geteuid() != 0:
        return "machines and bridges need root"
    if missing_packages() and (reason := packages.why_not_installable()) is not None:
        return reason
    tried = subprocess.run(
        ["unshare", "--mount", "--net", "--pid", "--ipc", "--uts", "--fork", "true"], check=False, capture_output=True
    )
    if tried.returncode != 0:
        return "this machine allows no namespaces"
    probe = Cgroup(f"meltanodata-probe-{os.getpid()}")
    try:
        probe.make()
        probe.remove()
    except OSError as error:
        return f"this machine allows no control groups: {error}"
    return None


class RealDroplets:
    """The droplets of a sandbox."""

    def __init__(self, home: Home, network: BridgeNetwork, snapshot: Snapshot) -> None:
        """Take over the disks in the home; machines of a sandbox that was killed end here.

        Args:
            home: Its `droplets` folder holds the disks, its path names the cgroups.
            network: Which the machines are plugged into.
            snapshot: What new disks are laid over, whatever an image's name: all snapshots of the API look like it.
        """
        self._disks = home.folder("droplets")
        self._network = network
        self._snapshot = snapshot
        self._cgroup = Cgroup(network.bridge)
        self._running: dict[int, _Running] = {}
        self._cgroup.kill()

    async def create(self, machine: Machine) -> None:
        """Lay out a new disk and power on.

        Raises:
            ProgramError: The machine does not start; the message ends with what its console shows.
        """
        await self.destroy(machine)  # what an interrupted creation left
        disk = self._disks / str(machine.id)
        for folder in ("upper", "work", "root"):
            (disk / folder).mkdir(mode=0o755, parents=True)
        # What DigitalOcean's agent sets up at a droplet's first boot.
        short = machine.name.partition(".")[0]
        _write(disk, "etc/hostname", f"{machine.name}\n")
        _write(disk, "etc/hosts", f"127.0.0.1 localhost\n127.0.1.1 {machine.name} {short}\n")
        _write(disk, "etc/resolv.conf", f"nameserver {self._network.gateway}\n")
        _write(disk, "etc/pip.conf", index.pip_configuration(self._network.gateway))
        _write(disk, "root/.ssh/authorized_keys", "".join(f"{key}\n" for key in machine.ssh_keys), private=True)
        # Written last: a disk without it was never finished.
        (disk / "layers").write_text("".join(f"{layer}\n" for layer in self._snapshot.layers))
        await self.power_on(machine)

    async def power_on(self, machine: Machine) -> None:
        """Boot; nothing when it runs.

        Raises:
            ProgramError: The machine does not start; the message ends with what its console shows.
        """
        if machine.id in self._running:
            return
        launch = await self._launch(machine)
        # Registered only when it runs, so that whoever is told of a failure can try again.
        self._running[machine.id] = _Running(launch, asyncio.create_task(self._watch(machine, launch)))

    async def power_off(self, machine: Machine) -> None:
        """Shut down; nothing when it is off."""
        await self._stop(machine.id, signal.SIGTERM)

    async def destroy(self, machine: Machine) -> None:
        """Cut the power and delete the disk; nothing when it is gone already."""
        await self._stop(machine.id, signal.SIGKILL)
        disk = self._disks / str(machine.id)
        if disk.exists():
            await asyncio.to_thread(shutil.rmtree, disk)

    async def close(self) -> None:
        """Shut all of them down, side by side, and keep the disks."""
        await asyncio.gather(*(self._stop(number, signal.SIGTERM) for number in list(self._running)))
        self._cgroup.remove()

    async def _launch(self, machine: Machine) -> asyncio.subprocess.Process:
        """Start the machine's process; returns when its first process runs."""
        disk = self._disks / str(machine.id)
        layers = [Path(line) for line in (disk / "layers").read_text().splitlines()]
        cgroup = self._cgroup.child(str(machine.id))
        processes = cgroup.make()
        with (disk / "console.log").open("ab") as console:
            process = await asyncio.create_subprocess_exec(
                *("setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--net"),
                *("sh", "-c", _LAUNCH, "sh"),
                *(overlay(layers, disk / "upper", disk / "work"), str(disk / "root")),
                *(f"{self._network.bridge}-{machine.id}", *map(str, processes)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=console,
            )
        assert process.stdout is not None  # noqa: S101 (asked for above)
        try:
            async with asyncio.timeout(_POWER_ON_SECONDS):
                # Empty when it ended first.
                if await process.stdout.readline():
                    await self._plug_in(machine, process)
                await _until_started(process, cgroup)
        except BaseException:
            cgroup.kill()
            await process.wait()
            raise
        if process.returncode is not None:
            cgroup.kill()
            console_ends = (disk / "console.log").read_text(errors="replace").splitlines()[-_CONSOLE_LINES:]
            raise ProgramError("\n".join([f"droplet {machine.id} does not start:", *console_ends]))
        return process

    async def _plug_in(self, machine: Machine, process: asyncio.subprocess.Process) -> None:
        """Give the machine its interface and address, then let it go on.

        No default route: the bridge leads nowhere else, and without one an attempt to leave fails at once.
        """
        address = IPv4Address(machine.address)
        # The hardware address follows from the droplet's, so that neighbours know a reused address at once.
        hardware = ":".join(f"{byte:02x}" for byte in (0x02, 0x0C, *address.packed))
        interface = f"{self._network.bridge}v{int(address) & 0xFFF:03x}"
        await run(
            *("ip", "link", "add", interface, "master", self._network.bridge, "type", "veth"),
            *("peer", "name", "eth0", "address", hardware, "netns", str(process.pid)),
        )
        await run("ip", "link", "set", interface, "addrgenmode", "none")
        await run("ip", "link", "set", interface, "up")
        lines = [
            "link set lo up",
            "link set eth0 addrgenmode none",
            f"address add {address}/{self._network.block.prefixlen} broadcast + dev eth0",
            "link set eth0 up",
        ]
        batch = "".join(f"{line}\n" for line in lines)
        await run("nsenter", "--target", str(process.pid), "--net", "ip", "-batch", "-", stdin=batch)
        assert process.stdin is not None  # noqa: S101 (asked for above)
        process.stdin.write(b"\n")
        await process.stdin.drain()
        process.stdin.close()

    async def _watch(self, machine: Machine, process: asyncio.subprocess.Process) -> None:
        """Boot again whenever the machine reboots; forget it when it powers itself off."""
        while True:
            status = await process.wait()
            self._cgroup.child(str(machine.id)).kill()
            if status != REBOOT:
                break
            try:
                process = self._running[machine.id].process = await self._launch(machine)
            except ProgramError:
                log.exception("droplet %d does not come up after its reboot", machine.id)
                break
        self._running.pop(machine.id, None)

    async def _stop(self, number: int, how: signal.Signals) -> None:
        running = self._running.pop(number, None)
        if running is not None:
            running.watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running.watcher
            if running.process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    running.process.send_signal(how)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(running.process.wait(), _STOP_SECONDS)
        await asyncio.to_thread(self._cgroup.child(str(number)).kill)
        if running is not None:
            await running.process.wait()


@dataclass
class _Running:
    """A machine that is on."""

    process: asyncio.subprocess.Process
    watcher: asyncio.Task[None]


async def _until_started(process: asyncio.subprocess.Process, cgroup: Cgroup) -> None:
    """Wait until the machine's own first process runs, or the process has ended."""
    while process.returncode is None and not cgroup.has_payload():  # noqa: ASYNC110 (the kernel tells nobody)
        await asyncio.sleep(0.02)


def _write(disk: Path, path: str, text: str, *, private: bool = False) -> None:
    """A file of the disk's own; folders on the way have the modes that they have in the snapshot."""
    target = disk / "upper" / path
    for folder in reversed(target.relative_to(disk / "upper").parents[:-1]):
        (disk / "upper" / folder).mkdir(mode=0o700 if private else 0o755, exist_ok=True)
    target.touch(mode=0o600 if private else 0o644)
    target.write_text(text)
