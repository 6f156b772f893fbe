"""Real droplets: systemd machines that boot, each on a disk laid over the snapshot, plugged into the sandbox's bridge.

A machine's mounts and network belong to namespaces that have no name and no other user: they go when its last process
does, however that happens. What stays is its folder, `<home>/droplets/<id>`, and empty cgroups.

A snapshot that was taken of a machine is a copy of what its disk holds over the sandbox's own snapshot, in
`<home>/snapshots/<id>`. A droplet made of it begins as a copy of that, so that each can be deleted at any time.
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
from sandbox.droplets import disk as disks
from sandbox.droplets import index
from sandbox.droplets.cgroups import Cgroup
from sandbox.droplets.snapshot import missing_packages, overlay
from sandbox.process import ProgramError, run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

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
_AUTHORIZED_KEYS: Final = "root/.ssh/authorized_keys"
_IPV6: Final = Path("/proc/sys/net/ipv6")
_DRAFT: Final = ".new"
"""At the end of the name of a snapshot that is not finished."""

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
    """Why this machine cannot run droplets with systemd; None if it can.

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
        """Use the disks in the home; machines of a sandbox that was killed end here.

        Args:
            home: Its `droplets` folder holds the disks, its path names the cgroups.
            network: Which the machines are plugged into.
            snapshot: What new disks are laid over, whatever an image's name: all snapshots of the API look like it.
        """
        self._disks = home.folder("droplets")
        self._snapshots = home.folder("snapshots")
        self._network = network
        self._snapshot = snapshot
        self._cgroup = Cgroup(network.bridge)
        self._running: dict[int, _Running] = {}
        self._cgroup.kill()

    @property
    def cannot(self) -> frozenset[str]:
        """No cloud-init reads user_data; IPv6 is the kernel's affair."""
        return frozenset({"user_data"} if _IPV6.exists() else {"user_data", "ipv6"})

    async def create(self, machine: Machine) -> None:
        """Lay out a new disk and power on.

        Raises:
            ProgramError: The machine does not start, and the message ends with what its console shows; or a disk
                cannot be made of the snapshot.
            FileNotFoundError: There is no such snapshot.
        """
        await self.destroy(machine)  # what an interrupted creation left
        disk = self._disks / str(machine.id)
        for folder in ("work", "root"):
            (disk / folder).mkdir(mode=0o755, parents=True)
        layers = "".join(f"{layer}\n" for layer in self._snapshot.layers)
        if machine.snapshot is None:
            (disk / "upper").mkdir(mode=0o755)
        else:
            source = self._snapshots / str(machine.snapshot)
            layers = (source / "layers").read_text()
            await _copy(source / "upper", disk / "upper")
        await asyncio.to_thread(self._set_up, machine, disk / "upper")
        # Written last: a disk without it was never finished.
        (disk / "layers").write_text(layers)
        await self.power_on(machine)

    def _set_up(self, machine: Machine, upper: Path) -> None:
        """What DigitalOcean's agent sets up at a droplet's first boot: keys that are there already stay."""
        short = machine.name.partition(".")[0]
        disks.write(upper, "etc/hostname", f"{machine.name}\n")
        disks.write(upper, "etc/hosts", f"127.0.0.1 localhost\n127.0.1.1 {machine.name} {short}\n")
        disks.write(upper, "etc/resolv.conf", f"nameserver {self._network.gateway}\n")
        disks.write(upper, "etc/pip.conf", index.pip_configuration(self._network.gateway))
        keys = dict.fromkeys([*disks.read(upper, _AUTHORIZED_KEYS).splitlines(), *machine.ssh_keys])
        disks.write(upper, _AUTHORIZED_KEYS, "".join(f"{key}\n" for key in keys), private=True)
        disks.remove(upper, "etc/ssh", "ssh_host_")  # the machine makes its own at its first boot

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

    async def take_snapshot(self, machine: Machine, snapshot: int) -> int:
        """Copy what the disk holds over the sandbox's own snapshot, as it is at one moment: the machine stands still.

        Raises:
            ProgramError: It cannot be copied, for a full disk for example.
            OSError: The machine does not stand still.
        """
        disk, draft = self._disks / str(machine.id), self._snapshots / f"{snapshot}{_DRAFT}"
        draft.mkdir(mode=0o700)
        try:
            shutil.copy(disk / "layers", draft / "layers")
            async with self._frozen(machine):
                await _copy(disk / "upper", draft / "upper")
            size = await asyncio.to_thread(disks.size, draft / "upper")
        except BaseException:
            await asyncio.to_thread(shutil.rmtree, draft)
            raise
        draft.rename(self._snapshots / str(snapshot))
        return size

    @contextlib.asynccontextmanager
    async def _frozen(self, machine: Machine) -> AsyncIterator[None]:
        """No process of the machine runs meanwhile; nothing when it is off."""
        if machine.id not in self._running:
            yield
            return
        cgroup = self._cgroup.child(str(machine.id))
        try:
            await asyncio.to_thread(cgroup.freeze)
            yield
        finally:
            cgroup.thaw()

    async def delete_snapshot(self, snapshot: int) -> None:
        """Delete it; nothing when there is none."""
        await asyncio.to_thread(shutil.rmtree, self._snapshots / str(snapshot), ignore_errors=True)

    async def delete_other_snapshots(self, kept: frozenset[int]) -> None:
        """Delete those of all other ids, and those that were never finished."""
        for path in self._snapshots.iterdir():
            if path.name not in {str(snapshot) for snapshot in kept}:
                await asyncio.to_thread(shutil.rmtree, path)

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
        lines = ["link set lo up", "link set eth0 addrgenmode none"]
        if machine.public:
            lines.append(f"address add {address}/{self._network.block.prefixlen} broadcast + dev eth0")
        if machine.address6 is not None:
            lines.append(f"address add {machine.address6}/64 dev eth0 nodad")
        lines.append("link set eth0 up")
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


async def _copy(upper: Path, copy: Path) -> None:
    """Copy a layer with all that makes it one: owners, modes, times, and the attributes that overlayfs reads.

    Raises:
        ProgramError: It cannot be copied.
    """
    await run("cp", "--archive", "--reflink=auto", "--no-target-directory", str(upper), str(copy))
