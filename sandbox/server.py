"""The process that is the sandbox: API, DNS, droplets and databases in one event loop, the stand-in plugins beside it.

`python -m sandbox start` runs it in the background as `python -m sandbox.server`. It writes a line per step to standard
output, the last one `ready`; SIGTERM stops everything. When it is killed, the kernel gives its lock and
its ports back, and the next start uses what is left: disks and data by their folders, plugins end by themselves.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import logging
import os
import secrets
import signal
import socket
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from meltanodata.config import settings_loading
from meltanodata.errors import UserError
from sandbox.acme import pebble
from sandbox.api import databases, domains, droplets, images, seeds
from sandbox.api.app import create_app
from sandbox.api.cloud import Cloud
from sandbox.api.state import State
from sandbox.databases import real as real_databases
from sandbox.databases.light import LightDatabases
from sandbox.dns import DnsServer
from sandbox.droplets import index
from sandbox.droplets.light import LightDroplets, ssh_port
from sandbox.droplets.real import RealDroplets
from sandbox.droplets.snapshot import build as build_snapshot
from sandbox.home import PROJECT, TEMPLATE, Home
from sandbox.keys import Keys
from sandbox.network import BridgeNetwork, LoopbackNetwork, NetworkError
from sandbox.packages import PackageError
from sandbox.process import ProgramError
from sandbox.running import AlreadyRunningError, Kind, PluginKind, Running, TeamAccess, take_lock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from starlette.types import ASGIApp

    from meltanodata.config.settings import Settings
    from sandbox.droplets.light import Manner

log = logging.getLogger(__name__)

_SSH_PORT = 22
"""Of real droplets."""
_KEEP_ALIVE = 300
"""Seconds; longer than any client pauses between two polls, so that none sends on a connection that just closes."""


class StartError(Exception):
    """The sandbox cannot start; the message says what to do."""


@dataclass(frozen=True)
class Modes:
    """Which parts are real."""

    droplets: Kind
    databases: Kind
    plugins: PluginKind
    acme: bool = False
    """Whether an ACME server runs."""


@contextlib.asynccontextmanager
async def sandbox(
    home: Home, modes: Modes, say: Callable[[str], None], *, fleet: Settings | None = None, manner: Manner | None = None
) -> AsyncIterator[Running]:
    """A sandbox that runs as long as the context lasts.

    Args:
        home: its folder.
        modes: what is real in it.
        say: called with a line per step.
        fleet: the settings whose teams there are; those of Pulumi.sandbox.yaml if None.
        manner: how light droplets behave.

    Raises:
        AlreadyRunningError: one runs in this home.
        StartError: its port is taken.
        ProblemsError: Pulumi.sandbox.yaml is wrong.
        NetworkError: no bridge can be made.
        PackageError: a package of Debian's is missing and cannot be installed.
        ProgramError: the snapshot cannot be built.
    """
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(take_lock(home))
        settings = fleet or settings_loading.read(TEMPLATE)
        keys = Keys.ensure(home, settings.domain)
        state = stack.enter_context(contextlib.closing(State(home.path / "api.sqlite")))
        listener = stack.enter_context(_listen(state))

        snapshot = await build_snapshot(say, settings.caddy_version) if modes.droplets == "real" else None
        if modes.databases == "real":
            await real_databases.install(say)
        say("network and DNS")
        loopback, bridge = LoopbackNetwork(home), BridgeNetwork(home)
        networks: dict[Kind, BridgeNetwork | LoopbackNetwork] = {"real": bridge, "light": loopback}
        network, database_network = networks[modes.droplets], networks[modes.databases]
        for each in {network, database_network}:
            stack.push_async_callback(each.down)
            await each.up()
        port = ssh_port(network.gateway) if snapshot is None else _SSH_PORT
        cloud = Cloud(
            state,
            LightDroplets(home, port, manner) if snapshot is None else RealDroplets(home, bridge, snapshot),
            real_databases.RealDatabases(home, bridge) if modes.databases == "real" else LightDatabases(home),
            network,
            database_network,
        )
        if snapshot is not None:
            packages = stack.enter_context(socket.create_server((bridge.gateway, index.PORT)))
            await stack.enter_async_context(
                _serve(index.create_app((snapshot.wheels, home.folder("packages"))), packages)
            )
        stack.push_async_callback(cloud.databases.close)
        stack.push_async_callback(cloud.droplets.close)
        stack.push_async_callback(cloud.jobs.cancel)
        dns = DnsServer(lambda: domains.zones(state), lambda: databases.host_names(cloud))
        stack.push_async_callback(dns.close)
        # A real part can reach only what is on its bridge.
        resolver = await dns.start(*(network if network is bridge else database_network).resolver)

        say("plugins")
        plugin_ports = await stack.enter_async_context(_plugins()) if modes.plugins == "stand-in" else {}

        acme = None
        if modes.acme:
            say("ACME server")
            acme = stack.enter_context(pebble.running(home.folder("acme"), resolver, say=say))

        say("API")
        seeds.plant_teams(state, settings)
        seeds.plant(state, settings, keys)
        await images.tidy(cloud)
        control_token = secrets.token_urlsafe(32)
        app = create_app(cloud, control_token, lambda: seeds.plant(state, settings, keys))
        await stack.enter_async_context(_serve(app, listener))
        droplets.resume(cloud)
        databases.resume(cloud)
        running = Running(
            pid=os.getpid(),
            api_url="http://{}:{}".format(*listener.getsockname()),
            control_token=control_token,
            teams={team.name: TeamAccess(token=team.token, read_token=team.read_token) for team in state.teams},
            domain=settings.domain,
            resolver=resolver,
            ssh_port=port,
            droplets=modes.droplets,
            databases=modes.databases,
            plugins=modes.plugins,
            plugin_ports=plugin_ports,
            acme=acme,
            database_versions=cloud.databases.versions,
        )
        running.save(home)
        stack.callback(Running.remove, home)
        yield running


@contextlib.contextmanager
def _listen(state: State) -> Iterator[socket.socket]:
    """The API's socket: a port that was free at the first start, the same ever after, for states name it."""
    kept = state.note("api port")
    # asyncio looks at the protocol's number before it switches Nagle's algorithm off, which costs 40 ms an answer.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", int(kept or 0)))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise StartError(
                f"port {kept} on 127.0.0.1, this sandbox's API, is taken by another program: stop that one "
                f"(`ss -ltnp sport = :{kept}` names it), or `python -m sandbox reset` for another port"
            ) from None
        state.set_note("api port", str(listener.getsockname()[1]))
        state.commit()
        yield listener


@contextlib.asynccontextmanager
async def _serve(app: ASGIApp, listener: socket.socket) -> AsyncIterator[None]:
    """Serve HTTP; at the end, whoever still waits for an answer is cut off after a second."""
    server = _Server(
        uvicorn.Config(
            app,
            http=_Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=_KEEP_ALIVE,
            timeout_graceful_shutdown=1,
            backlog=2048,
        )
    )
    task = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        if task.done():
            await task
        await asyncio.sleep(0.01)
    try:
        yield
    finally:
        server.should_exit = True
        await task


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the whole sandbox's, not uvicorn's."""
        yield


class _Protocol(H11Protocol):
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Let the gate break the connection off, by what each request's scope has under `state`."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


@contextlib.asynccontextmanager
async def _plugins() -> AsyncIterator[dict[str, int]]:
    """The stand-in plugins in a process of their own; it ends when its standard input does, so also when we die."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "sandbox.plugins"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=PROJECT,
    )
    assert process.stdin is not None  # noqa: S101 (asked for above)
    assert process.stdout is not None  # noqa: S101 (asked for above)
    try:
        line = (await process.stdout.readline()).decode().strip()
        if not line:
            raise StartError(f"the stand-in plugins do not start: status {await process.wait()}")
        yield {name: int(port) for name, _, port in (entry.partition(":") for entry in line.split(","))}
    finally:
        process.stdin.close()
        try:
            async with asyncio.timeout(5):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def _run(home: Home, modes: Modes) -> None:
    """Run until the first SIGTERM or SIGINT, which may also come while it starts."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 (this very one)
    stopped = False

    def stop() -> None:
        nonlocal stopped
        if not stopped:  # a second signal must not break off the cleaning up
            task.cancel()
        stopped = True

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    with contextlib.suppress(asyncio.CancelledError):
        async with sandbox(home, modes, _say):
            _say("ready")
            # Whoever started us reads no further.
            os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
            await asyncio.Event().wait()


def _say(line: str) -> None:
    with contextlib.suppress(BrokenPipeError):
        print(line, flush=True)


def main() -> None:
    """Run until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--droplets", choices=get_args(Kind), required=True)
    parser.add_argument("--databases", choices=get_args(Kind), required=True)
    parser.add_argument("--plugins", choices=get_args(PluginKind), required=True)
    parser.add_argument("--acme", action="store_true")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("asyncssh").setLevel(logging.WARNING)
    try:
        modes = Modes(options.droplets, options.databases, options.plugins, options.acme)
        asyncio.run(_run(Home.default(), modes))
    except (AlreadyRunningError, NetworkError, PackageError, ProgramError, StartError, UserError) as error:
        # Whoever started us shows it.
        _say(str(error))
        sys.exit(1)


if __name__ == "__main__":
    main()
