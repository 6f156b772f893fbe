"""Light droplets: an SSH server each that records commands, answers that they succeeded, and has faults on request.

Five hundred of them fit into the sandbox's process: a listening socket each, the rest when somebody connects.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import errno
import shutil
import socket
import time
from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import asyncssh

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping
    from pathlib import Path

    from sandbox.backends import Machine
    from sandbox.home import Home

KEPT_EXECUTIONS = 200
"""Per droplet; older ones are forgotten."""
KEPT_INPUT = 1 << 20
"""Characters of standard input kept per execution."""
INPUT_SILENCE = 1.0
"""Seconds after which a client that neither sends input nor ends it is taken to have none: most commands read
none and end without waiting for it."""
HOST_KEY = "ssh_host_ed25519_key"


class FaultKind(StrEnum):
    """The faults that a light droplet can have."""

    REFUSE = "refuse"
    """Connections are refused, as by a machine without an SSH server."""
    SILENT = "silent"
    """Connections are accepted, and the server sends nothing."""
    HANG = "hang"
    """Commands never end."""
    BREAK = "break"
    """The connection is cut in the middle of a command."""
    EXIT = "exit"
    """Commands end with `status`, saying `text`."""


@dataclass(frozen=True)
class Fault:
    """A fault that lasts until it is cleared."""

    kind: FaultKind
    status: int = 1
    text: str = ""
    """Written to standard error; for `exit` only, as `status`."""
    command: str = ""
    """Only commands that contain this text are affected."""


@dataclass
class Execution:
    """A command that a droplet received."""

    command: str
    environment: Mapping[str, str]
    started: float
    """Seconds since the epoch."""
    stdin: str = ""
    status: int | None = None
    """None while it runs, and if it was cut off."""


def ssh_port(address: str) -> int:
    """The port for a sandbox's light droplets: 22, or 2222 where that takes root or another server has it.

    Args:
        address: An address of the sandbox's network.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, 22))
        except OSError as error:
            if error.errno in {errno.EACCES, errno.EADDRINUSE}:
                return 2222
            raise
    return 22


class Manner:
    """How light droplets behave towards a client; this one knows what our Commands need."""

    def reads(self, command: str) -> bool:
        """Whether a command reads its standard input; whoever sends none then waits for `INPUT_SILENCE`."""
        del command
        return True

    def prints(self, command: str, stdin: str, disk: Path) -> str:
        """What a command prints that succeeds.

        Args:
            command: the whole of it.
            stdin: as far as it was kept.
            disk: the droplet's folder.
        """
        del stdin
        if f"{HOST_KEY}.pub" not in command:
            return ""
        key = (disk / f"{HOST_KEY}.pub").read_text()
        return " ".join(key.split()[:2]) + "\n" if 'cut -d " " -f 1,2' in command else key


class LightDroplets:
    """The droplets of a sandbox, all in this process.

    A droplet's folder `<home>/droplets/<id>` holds its host key and authorized keys, so that both outlive a
    restart and a droplet made anew has others, as on a real disk. `<home>/snapshots/<id>` is a copy of such a folder.
    """

    cannot: Final = frozenset[str]()
    """A light droplet runs nothing, and nobody answers at its IPv6 address."""

    def __init__(self, home: Home, port: int, manner: Manner | None = None) -> None:
        self._disks = home.folder("droplets")
        self._snapshots = home.folder("snapshots")
        self._port = port
        self._manner = manner or Manner()
        self._running: dict[int, _Server] = {}
        self._faults: dict[int, Fault] = {}
        self._executions: dict[int, deque[Execution]] = {}

    async def create(self, machine: Machine) -> None:
        """Make a host key, take the account's keys, listen."""
        disk = self._disks / str(machine.id)
        if machine.snapshot is None:
            disk.mkdir(mode=0o700)
        else:
            shutil.copytree(self._snapshots / str(machine.snapshot), disk)
        key = asyncssh.generate_private_key("ssh-ed25519", comment=f"root@{machine.name}")
        key.write_private_key(disk / HOST_KEY)
        key.write_public_key(disk / f"{HOST_KEY}.pub")
        known = (disk / "authorized_keys").read_text().splitlines() if machine.snapshot is not None else []
        (disk / "authorized_keys").write_text(
            "".join(f"{line}\n" for line in dict.fromkeys([*known, *machine.ssh_keys]))
        )
        await self.power_on(machine)

    async def power_on(self, machine: Machine) -> None:
        """Listen again; nothing when it does, or when it is not public."""
        if machine.id in self._running or not machine.public:
            return
        executions = self._executions.setdefault(machine.id, deque(maxlen=KEPT_EXECUTIONS))
        server = _Server(self._disks / str(machine.id), (machine.address, self._port), executions, self._manner)
        server.fault = self._faults.get(machine.id)
        server.listen()
        self._running[machine.id] = server

    async def power_off(self, machine: Machine) -> None:
        """Cut every connection and listen no more; nothing when it is off."""
        server = self._running.pop(machine.id, None)
        if server is not None:
            await server.close()

    async def destroy(self, machine: Machine) -> None:
        """Power off, and forget keys, executions and fault."""
        await self.power_off(machine)
        self._executions.pop(machine.id, None)
        self._faults.pop(machine.id, None)
        if (self._disks / str(machine.id)).exists():
            shutil.rmtree(self._disks / str(machine.id))

    async def take_snapshot(self, machine: Machine, snapshot: int) -> int:
        """Keep all but the host key, which a droplet made of it has of its own."""
        without = shutil.ignore_patterns(f"{HOST_KEY}*")
        shutil.copytree(self._disks / str(machine.id), self._snapshots / str(snapshot), ignore=without)
        return 0

    async def delete_snapshot(self, snapshot: int) -> None:
        """Forget it; nothing when there is none."""
        shutil.rmtree(self._snapshots / str(snapshot), ignore_errors=True)

    async def delete_other_snapshots(self, kept: frozenset[int]) -> None:
        """Forget those of all other ids."""
        for path in self._snapshots.iterdir():
            if path.name not in {str(snapshot) for snapshot in kept}:
                shutil.rmtree(path)

    async def close(self) -> None:
        """Power all of them off."""
        servers = list(self._running.values())
        self._running.clear()
        for server in servers:
            await server.close()

    def executions(self, droplet: int) -> tuple[Execution, ...]:
        """What the droplet of this id was told since the sandbox started, oldest first; without end at a reboot."""
        return tuple(dataclasses.replace(execution) for execution in self._executions.get(droplet, ()))

    def fault(self, droplet: int) -> Fault | None:
        """The fault of the droplet with this id."""
        return self._faults.get(droplet)

    def set_fault(self, droplet: int, fault: Fault | None) -> None:
        """Inject a fault from the next connection or command on, whether the droplet is on or off; None clears it."""
        if fault is None:
            self._faults.pop(droplet, None)
        else:
            self._faults[droplet] = fault
        if droplet in self._running:
            self._running[droplet].fault = fault
            self._running[droplet].listen()


@dataclass
class _Server:
    """One droplet's SSH server while it is powered on."""

    disk: Path
    address: tuple[str, int]
    executions: deque[Execution]
    manner: Manner
    fault: Fault | None = None
    _listener: socket.socket | None = None
    _options: asyncssh.SSHServerConnectionOptions | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def listen(self) -> None:
        """Open or close the listening socket, as the fault asks."""
        wanted = self.fault is None or self.fault.kind is not FaultKind.REFUSE
        if wanted and self._listener is None:
            self._listener = socket.create_server(self.address, backlog=128)
            self._listener.setblocking(False)
            asyncio.get_running_loop().add_reader(self._listener, self._accept, self._listener)
        elif not wanted:
            self._stop_listening()

    def _stop_listening(self) -> None:
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    async def close(self) -> None:
        """Cut every connection and listen no more."""
        self._stop_listening()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionAbortedError):  # the client is gone already
            client, _ = listener.accept()
            self._spawn(self._silence(client) if self._is(FaultKind.SILENT) else self._serve(client))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _is(self, kind: FaultKind) -> bool:
        return self.fault is not None and self.fault.kind is kind

    async def _silence(self, client: socket.socket) -> None:
        client.setblocking(False)
        with client, contextlib.suppress(ConnectionError):
            while await asyncio.get_running_loop().sock_recv(client, 4096):
                pass

    async def _serve(self, client: socket.socket) -> None:
        if self._options is None:
            self._options = asyncssh.SSHServerConnectionOptions(
                server_factory=lambda: _RootOnly((self.disk / "authorized_keys").read_text()),
                server_host_keys=[str(self.disk / HOST_KEY)],
                process_factory=self._execute,
                password_auth=False,
                kbdint_auth=False,
                kex_algs=["curve25519-sha256"],  # the quickest of those that every client knows
                errors="replace",
            )
        try:
            connection = await asyncssh.run_server(client, options=self._options)
        except (OSError, asyncssh.Error):
            return  # refused, or gone before it signed in
        finally:
            # Until run_server has taken the socket over, only this task knows of it.
            if asyncio.current_task().cancelling():  # type: ignore[union-attr]
                client.close()
        try:
            await connection.wait_closed()
        except asyncio.CancelledError:
            connection.abort()
            await connection.wait_closed()
            raise

    async def _execute(self, process: asyncssh.SSHServerProcess[str]) -> None:
        command = process.command or ""
        execution = Execution(command, dict(process.env), time.time())
        self.executions.append(execution)
        with contextlib.suppress(TimeoutError):
            while self.manner.reads(command) and (
                chunk := await asyncio.wait_for(process.stdin.read(1 << 16), INPUT_SILENCE)
            ):
                execution.stdin += chunk[: KEPT_INPUT - len(execution.stdin)]
        fault = self.fault
        if (
            fault is None
            or fault.command not in command
            or fault.kind not in {FaultKind.HANG, FaultKind.BREAK, FaultKind.EXIT}
        ):
            process.stdout.write(self.manner.prints(command, execution.stdin, self.disk))
            execution.status = 0
            process.exit(0)
        elif fault.kind is FaultKind.HANG:
            await process.wait_closed()
        elif fault.kind is FaultKind.BREAK:
            process.get_extra_info("connection").abort()
        else:
            process.stderr.write(fault.text)
            execution.status = fault.status
            process.exit(fault.status)


class _RootOnly(asyncssh.SSHServer):
    """Lets in root by the keys of authorized_keys, as the snapshot's sshd does, and nobody else."""

    def __init__(self, authorized_keys: str) -> None:
        self._authorized_keys = authorized_keys

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn

    def begin_auth(self, username: str) -> bool:
        if username == "root" and self._authorized_keys:
            self._connection.set_authorized_keys(asyncssh.import_authorized_keys(self._authorized_keys))
        return True
