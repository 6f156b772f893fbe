"""Light droplets over real SSH connections."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncssh
import pytest

from sandbox.backends import Machine
from sandbox.droplets.light import KEPT_EXECUTIONS, Fault, FaultKind, LightDroplets, ssh_port
from sandbox.home import Home
from sandbox.network import LoopbackNetwork

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

CLIENT = asyncssh.generate_private_key("ssh-ed25519")


async def run(
    connection: asyncssh.SSHClientConnection, command: str, stdin: str = "", env: dict[str, str] | None = None
) -> asyncssh.SSHCompletedProcess:
    """Run a command with this input and then its end, as OpenSSH and Pulumi's command provider do."""
    process = await connection.create_process(command, env=env or {})
    process.stdin.write(stdin)
    process.stdin.write_eof()
    return await process.wait(timeout=10)


class World:
    """A sandbox with light droplets, and an operator with the account's key."""

    def __init__(self, home: Home, network: LoopbackNetwork) -> None:
        self.home = home
        self.network = network
        self.port = ssh_port(network.gateway)
        self.droplets = LightDroplets(home, self.port)

    def machine(self, number: int = 1) -> Machine:
        address = self.network.droplet_address(number)
        key = CLIENT.export_public_key().decode().strip()
        return Machine(number, f"t{number}.example.test", address, "Ubuntu meltano-1", (key,))

    def connect(self, machine: Machine, user: str = "root", key: asyncssh.SSHKey = CLIENT):  # type: ignore[no-untyped-def]  # noqa: ANN201 -- asyncssh's own
        return asyncssh.connect(
            machine.address, self.port, username=user, client_keys=[key], known_hosts=None, agent_path=None, config=None
        )

    async def tell(self, machine: Machine, command: str, stdin: str = "") -> asyncssh.SSHCompletedProcess:
        async with self.connect(machine) as connection:
            return await run(connection, command, stdin)


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    home = Home(folder)
    network = LoopbackNetwork(home)
    await network.up()
    made = World(home, network)
    try:
        yield made
    finally:
        await made.droplets.close()


def story(test: Callable[[World], Awaitable[None]]) -> Callable[[Path], None]:
    """A test that runs in a sandbox of its own."""

    def tell_it(tmp_path: Path) -> None:
        async def play() -> None:
            async with world(tmp_path) as made:
                await asyncio.wait_for(test(made), 60)

        asyncio.run(play())

    tell_it.__name__ = test.__name__
    return tell_it


@story
async def test_commands_succeed_silently_and_are_recorded_in_order(world: World) -> None:
    machine = world.machine()
    await world.droplets.create(machine)
    async with world.connect(machine) as connection:
        first = await run(connection, "install -m 600 /dev/stdin /etc/x", "the content\n", {"LANG": "C"})
        second = await run(connection, "systemctl restart caddy")
    assert (first.exit_status, first.stdout, first.stderr) == (0, "", "")
    assert second.exit_status == 0
    one, two = world.droplets.executions(machine.id)
    assert (one.command, one.stdin, one.environment, one.status) == (
        "install -m 600 /dev/stdin /etc/x",
        "the content\n",
        {"LANG": "C"},
        0,
    )
    assert (two.command, two.stdin, two.status) == ("systemctl restart caddy", "", 0)
    assert one.started <= two.started <= time.time()


@story
async def test_records_are_bounded(world: World) -> None:
    machine = world.machine()
    await world.droplets.create(machine)
    async with world.connect(machine) as connection:
        for number in range(KEPT_EXECUTIONS + 5):
            await run(connection, f"echo {number}")
    records = world.droplets.executions(machine.id)
    assert [record.command for record in records] == [f"echo {number}" for number in range(5, KEPT_EXECUTIONS + 5)]


@story
async def test_only_root_and_only_by_the_accounts_keys(world: World) -> None:
    machine = world.machine()
    await world.droplets.create(machine)
    stranger = asyncssh.generate_private_key("ssh-ed25519")
    for user, key in (("root", stranger), ("meltano", CLIENT)):
        with pytest.raises(asyncssh.PermissionDenied):
            async with world.connect(machine, user, key):
                pass
    assert world.droplets.executions(machine.id) == ()


@story
async def test_a_droplet_without_keys_lets_nobody_in(world: World) -> None:
    machine = Machine(7, "t7.example.test", world.network.droplet_address(7), "Ubuntu meltano-1", ())
    await world.droplets.create(machine)
    with pytest.raises(asyncssh.PermissionDenied):
        await world.tell(machine, "true")


async def host_key(world: World, machine: Machine) -> str:
    """The key of the handshake, which must be the one that the droplet prints."""
    async with world.connect(machine) as connection:
        printed = (await run(connection, "cat /etc/ssh/ssh_host_ed25519_key.pub")).stdout
        without_comment = (await run(connection, 'cut -d " " -f 1,2 /etc/ssh/ssh_host_ed25519_key.pub')).stdout
        used = connection.get_server_host_key()
    assert isinstance(printed, str)
    assert used is not None
    algorithm, blob, *_ = printed.split()
    assert without_comment == f"{algorithm} {blob}\n"
    assert f"{algorithm} {blob}" == " ".join(used.export_public_key().decode().split()[:2])
    return blob


@story
async def test_the_host_key_outlives_a_restart_and_not_a_droplet(world: World) -> None:
    machine = world.machine()
    await world.droplets.create(machine)
    born = await host_key(world, machine)
    await world.droplets.power_off(machine)
    await world.droplets.power_on(machine)
    assert await host_key(world, machine) == born
    await world.droplets.close()
    world.droplets = LightDroplets(world.home, world.port)
    await world.droplets.power_on(machine)
    assert await host_key(world, machine) == born
    await world.droplets.destroy(machine)
    await world.droplets.create(machine)
    assert await host_key(world, machine) != born


@story
async def test_powering_off_cuts_connections_and_a_destroyed_droplet_leaves_nothing(world: World) -> None:
    machine = world.machine()
    await world.droplets.create(machine)
    async with world.connect(machine) as connection:
        await world.droplets.power_off(machine)
        await asyncio.wait_for(connection.wait_closed(), 5)
    with pytest.raises(ConnectionRefusedError):
        await world.tell(machine, "true")
    await world.droplets.power_off(machine)
    await world.droplets.destroy(machine)
    await world.droplets.destroy(machine)
    assert list((world.home.path / "droplets").iterdir()) == []
    assert world.droplets.executions(machine.id) == ()


@story
async def test_a_client_that_never_ends_its_input_gets_an_answer_too(world: World) -> None:
    machine = world.machine()
    await world.droplets.create(machine)
    async with world.connect(machine) as connection:
        assert (await connection.run("true", timeout=10)).exit_status == 0


@story
async def test_refusing(world: World) -> None:
    machine = world.machine()
    await world.droplets.create(machine)
    world.droplets.set_fault(machine.id, Fault(FaultKind.REFUSE))
    with pytest.raises(ConnectionRefusedError):
        await world.tell(machine, "true")
    await world.droplets.power_off(machine)
    await world.droplets.power_on(machine)
    with pytest.raises(ConnectionRefusedError):
        await world.tell(machine, "true")
    world.droplets.set_fault(machine.id, None)
    assert (await world.tell(machine, "true")).exit_status == 0


@story
async def test_a_fault_can_wait_for_the_droplet(world: World) -> None:
    machine = world.machine()
    world.droplets.set_fault(machine.id, Fault(FaultKind.REFUSE))
    await world.droplets.create(machine)
    with pytest.raises(ConnectionRefusedError):
        await world.tell(machine, "true")


@story
async def test_silence(world: World) -> None:
    machine = world.machine()
    await world.droplets.create(machine)
    world.droplets.set_fault(machine.id, Fault(FaultKind.SILENT))
    reader, writer = await asyncio.open_connection(machine.address, world.port)
    writer.write(b"SSH-2.0-client\r\n")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.5)
    await world.droplets.close()
    assert await asyncio.wait_for(reader.read(1), 5) == b""
    writer.close()
    await writer.wait_closed()


@story
async def test_hanging(world: World) -> None:
    machine = world.machine()
    await world.droplets.create(machine)
    world.droplets.set_fault(machine.id, Fault(FaultKind.HANG))
    async with world.connect(machine) as connection:
        with pytest.raises(asyncssh.TimeoutError):
            await connection.run("sleep 1", timeout=0.5)
    (execution,) = world.droplets.executions(machine.id)
    assert execution.status is None


@story
async def test_breaking_off(world: World) -> None:
    machine = world.machine()
    await world.droplets.create(machine)
    world.droplets.set_fault(machine.id, Fault(FaultKind.BREAK))
    async with world.connect(machine) as connection:
        result = await run(connection, "true", "half")
        assert result.exit_status is None
        await asyncio.wait_for(connection.wait_closed(), 5)
    (execution,) = world.droplets.executions(machine.id)
    assert (execution.stdin, execution.status) == ("half", None)


@story
async def test_failing(world: World) -> None:
    machine = world.machine()
    await world.droplets.create(machine)
    world.droplets.set_fault(machine.id, Fault(FaultKind.EXIT, status=3, text="disk full\n"))
    result = await world.tell(machine, "install /dev/stdin /etc/x")
    assert (result.exit_status, result.stderr) == (3, "disk full\n")
    assert world.droplets.fault(machine.id) == Fault(FaultKind.EXIT, 3, "disk full\n")

    world.droplets.set_fault(machine.id, Fault(FaultKind.EXIT, status=3, command="/etc/x"))
    assert (await world.tell(machine, "install /dev/stdin /etc/x")).exit_status == 3
    assert (await world.tell(machine, "install /dev/stdin /etc/y")).exit_status == 0
    world.droplets.set_fault(machine.id, Fault(FaultKind.EXIT, 3, "disk full\n"))
    world.droplets.set_fault(machine.id, None)
    assert (await world.tell(machine, "install /dev/stdin /etc/x")).exit_status == 0


@story
async def test_strangers_who_speak_no_ssh_harm_nobody(world: World) -> None:
    machine = world.machine()
    await world.droplets.create(machine)
    for greeting in (b"", b"GET / HTTP/1.0\r\n\r\n"):
        _, writer = await asyncio.open_connection(machine.address, world.port)
        writer.write(greeting)
        await writer.drain()
        writer.close()
        await writer.wait_closed()
    assert (await world.tell(machine, "true")).exit_status == 0


@story
async def test_five_hundred_are_cheap(world: World) -> None:
    machines = [world.machine(number) for number in range(1, 501)]
    began = time.monotonic()
    for machine in machines:
        await world.droplets.create(machine)
    assert time.monotonic() - began < 5
    for machine in (machines[0], machines[-1]):
        assert (await world.tell(machine, "true")).exit_status == 0
    began = time.monotonic()
    for machine in machines:
        await world.droplets.destroy(machine)
    assert time.monotonic() - began < 5
