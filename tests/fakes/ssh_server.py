"""An SSH server on loopback that does what a test tells it, for the command plugin."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import asyncssh

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from asyncssh.packet import SSHPacket


@dataclass(frozen=True)
class Run:
    """A command that the server was told."""

    command: str
    stdin: str
    environment: dict[str, str]


class SshServer:
    """Serves in a thread of its own, as a context manager.

    Commands: `cat` prints its input, `env NAME` a variable, `print TEXT` the text, `fail STATUS` prints to stdout and
    stderr and exits, `quote STATUS` too, with its input as a traceback would have it, `hang` never ends, `flood` and
    `complain` print without end, to stdout and stderr, `break` breaks the connection off.
    """

    def __init__(self) -> None:
        self.host_key = asyncssh.generate_private_key("ssh-ed25519")
        self.client_key = asyncssh.generate_private_key("ssh-ed25519")
        self.accepted: set[str] = set()
        """Environment variables that clients may set."""
        self.instead: str | None = None
        """What is done for every command, if that is not what it says."""
        self.runs: list[Run] = []
        self.dials = 0
        self._open: set[asyncssh.SSHServerConnection] = set()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._up = threading.Event()

    @property
    def public_key(self) -> str:
        """The host key's line."""
        return self.host_key.export_public_key().decode().strip()

    @property
    def private_key(self) -> str:
        """The client's key."""
        return self.client_key.export_private_key().decode()

    @property
    def connections(self) -> int:
        """Open now."""
        return len(self._open)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._up.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        options: dict[str, Any] = {
            "server_factory": lambda: _Connection(self),
            "process_factory": self._run(),
            "server_host_keys": [self.host_key],
            "allow_pty": False,
        }
        server = await asyncssh.listen("127.0.0.1", self.port, **options)
        self._up.set()
        await self._stop.wait()
        server.close()
        # A client may keep its connections as long as it lives.
        for connection in list(self._open):
            connection.abort()
            await connection.wait_closed()

    def _run(self) -> Callable[[asyncssh.SSHServerProcess[str]], Coroutine[Any, Any, None]]:
        async def run(process: asyncssh.SSHServerProcess[str]) -> None:
            command = process.command or ""
            stdin = await process.stdin.read()
            environment = {str(name): str(value) for name, value in process.env.items()}
            self.runs.append(Run(command, stdin, environment))
            name, _, argument = (self.instead or command).partition(" ")
            if name == "hang":
                await asyncio.Event().wait()
            elif name in {"flood", "complain"}:
                stream = process.stdout if name == "flood" else process.stderr
                with contextlib.suppress(asyncssh.Error, OSError):
                    while True:
                        stream.write("[" * (1 << 16))
                        await stream.drain()
            elif name == "break":
                process.channel.get_connection().abort()
                return
            elif name == "fail":
                process.stdout.write("said before\n")
                process.stderr.write("went wrong\n")
            elif name == "quote":
                process.stderr.write(f"{stdin}\nValueError: wrong\n")
            else:
                process.stdout.write({"cat": stdin, "print": f"{argument}\n"}.get(name, environment.get(argument, "")))
            process.exit(int(argument) if name in {"fail", "quote"} else 0)

        return run


class _Connection(asyncssh.SSHServer):
    def __init__(self, server: SshServer) -> None:
        self._server = server

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._server.dials += 1
        self._connection = conn
        self._server._open.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._server._open.discard(self._connection)

    def begin_auth(self, username: str) -> bool:
        del username
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        del username
        return key.public_data == self._server.client_key.public_data


def refuse_variables(accepted: Callable[[str], bool]) -> Callable[[asyncssh.SSHServerChannel[str], SSHPacket], bool]:
    """What asyncssh's server lacks: AcceptEnv."""

    def process(channel: asyncssh.SSHServerChannel[str], packet: SSHPacket) -> bool:
        name, value = packet.get_string(), packet.get_string()
        packet.check_end()
        if accepted(name.decode()):
            channel._env[name] = value
            return True
        return False

    return process
