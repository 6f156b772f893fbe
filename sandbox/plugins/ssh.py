"""SSH as the official `command` plugin speaks it: how it dials, and what it says when a dial or a command fails.

The rules are those of pulumi-command 1.2.1 over Go's SSH client, seen on the wire: a dial that fails is tried again
whatever the reason, the time limit of a dial bounds its TCP connection only (a server that accepts and then says
nothing is waited for without end), and nothing interrupts a command that runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal as signals
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import asyncssh
from asyncssh.packet import String

from sandbox.plugins.package import ProviderError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from sandbox.plugins.package import Call

_FIRST_DELAY = 0.1
_DELAY_FACTOR = 1.5
_LONGEST_DELAY = 5.0
_UNLIMITED = -1
_WINDOW, _PACKET = 2**21, 2**15
"""SSH flow control, as asyncssh has it."""


@dataclass(frozen=True)
class Login:
    """Where to connect and as whom: the input `connection` after its defaults."""

    host: str
    port: int
    user: str
    dial_error_limit: int
    """Failed dials that are tolerated; -1 for any number."""
    per_dial_timeout: int
    """Seconds; 0 for none."""
    private_key: str | None = None
    private_key_password: str | None = None
    password: str | None = None
    host_key: str | None = None
    """A line as in a .pub file; None means any key will do."""
    agent: str | None = None
    """The path of an SSH agent's socket."""


@dataclass(frozen=True)
class Output:
    """What a command printed."""

    stdout: str
    stderr: str


class _DialError(Exception):
    """One dial failed."""


@contextlib.asynccontextmanager
async def connected(call: Call[Any], login: Login) -> AsyncIterator[asyncssh.SSHClientConnection]:
    """A connection, dialled again and again as the login says.

    Raises:
        ProviderError: the login cannot be used, or too many dials failed.
        Stopped: the update was cancelled between two dials, or the resource's time is over.
    """
    options = await _options(login)
    connection = await _dial(call, login, options)
    try:
        yield connection
    finally:
        connection.abort()


async def _options(login: Login) -> dict[str, Any]:
    options: dict[str, Any] = {"known_hosts": None, "client_keys": None, "agent_path": None}
    if login.host_key is not None:
        try:
            key = asyncssh.import_public_key(login.host_key)
        except asyncssh.KeyImportError:
            raise ProviderError("failed to parse host key: ssh: no key found") from None
        options |= {"known_hosts": ([key], [], []), "server_host_key_algs": [key.get_algorithm()]}
    if login.private_key is not None:
        options["client_keys"] = [_private_key(login.private_key, login.private_key_password)]
    if login.agent is not None:
        await _try_agent(login.agent)
        # As there, keys of the agent serve only where there is no other.
        if login.private_key is None:
            options |= {"agent_path": login.agent, "client_keys": ()}
    return options


def _private_key(text: str, password: str | None) -> asyncssh.SSHKey:
    try:
        return asyncssh.import_private_key(text, password)
    except asyncssh.KeyEncryptionError:
        raise ProviderError("x509: decryption password incorrect") from None
    except asyncssh.KeyImportError as error:
        encrypted = "passphrase" in str(error).lower()
        raise ProviderError(
            "ssh: this private key is passphrase protected" if encrypted else "ssh: no key found"
        ) from None


async def _try_agent(path: str) -> None:
    try:
        _, writer = await asyncio.open_unix_connection(path)
    except OSError as error:
        raise ProviderError(f"dial unix {path}: connect: {_reason(error)}") from None
    writer.close()
    await writer.wait_closed()


async def _dial(call: Call[Any], login: Login, options: Mapping[str, Any]) -> asyncssh.SSHClientConnection:
    clock = asyncio.get_running_loop().time
    deadline = clock() + call.timeout if call.timeout else None
    limit = "inf" if login.dial_error_limit == _UNLIMITED else str(login.dial_error_limit)
    delay = _FIRST_DELAY
    failed = 0
    while True:
        try:
            return await _dial_once(login, options)
        except _DialError as error:
            failed += 1
            if _UNLIMITED < login.dial_error_limit < failed:
                raise ProviderError(f"after {failed - 1} failed attempts: {error}") from None
        await call.status(f"Dial {failed}/{limit} failed: retrying")
        left = None if deadline is None else max(deadline - clock(), 0)
        await call.wait(asyncio.sleep(delay), left)
        delay = min(delay * _DELAY_FACTOR, _LONGEST_DELAY)


async def _dial_once(login: Login, options: Mapping[str, Any]) -> asyncssh.SSHClientConnection:
    connection = await _connect(login)
    try:
        return await asyncssh.connect(
            sock=connection, config=None, username=login.user, password=login.password, login_timeout=0, **options
        )
    except asyncssh.HostKeyNotVerifiable:
        raise _DialError("ssh: handshake failed: ssh: host key mismatch") from None
    except asyncssh.PermissionDenied:
        tried = ["none"]
        if login.private_key or login.agent:
            tried.append("publickey")
        if login.password:
            tried += ["password", "keyboard-interactive"]
        reason = f"unable to authenticate, attempted methods [{' '.join(tried)}], no supported methods remain"
        raise _DialError(f"ssh: handshake failed: ssh: {reason}") from None
    except asyncssh.KeyExchangeFailed as error:
        raise _DialError(f"ssh: handshake failed: ssh: no common algorithm: {error.reason}") from None
    except (asyncssh.ConnectionLost, EOFError):
        raise _DialError("ssh: handshake failed: EOF") from None
    except (asyncssh.DisconnectError, OSError) as error:
        raise _DialError(f"ssh: handshake failed: {error}") from None


async def _connect(login: Login) -> socket.socket:
    """A TCP connection to the first of the host's addresses that takes one."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(login.host, login.port, type=socket.SOCK_STREAM)
    except socket.gaierror:
        raise _DialError(f"dial tcp: lookup {login.host}: no such host") from None
    failure = ""
    for family, kind, protocol, _, address in found:
        connection = socket.socket(family, kind, protocol)
        connection.setblocking(False)
        try:
            async with asyncio.timeout(login.per_dial_timeout or None):
                await loop.sock_connect(connection, address)
        except TimeoutError:
            failure = failure or "i/o timeout"
        except OSError as error:
            failure = failure or f"connect: {_reason(error)}"
        except asyncio.CancelledError:
            connection.close()
            raise
        else:
            return connection
        connection.close()
    raise _DialError(f"dial tcp {found[0][4][0]}:{login.port}: {failure}")


def _reason(error: OSError) -> str:
    return os.strerror(error.errno).lower() if error.errno else str(error)


async def execute(
    connection: asyncssh.SSHClientConnection,
    command: str,
    *,
    stdin: str,
    environment: Mapping[str, str],
    wished: Mapping[str, str],
    seen: Callable[[bytes, bool], None],
) -> tuple[Output, list[str]]:
    """Run a command and wait for its end.

    Args:
        connection: where.
        command: its text, for the user's shell.
        stdin: what it reads.
        environment: variables that the server must accept.
        wished: variables that it may refuse.
        seen: is told each piece of output as it comes, and whether it is from stderr.

    Returns:
        What it printed, and the wished variables that were refused.

    Raises:
        EnvironmentRefused: the server does not accept a variable.
        ProviderError: it ended with another status than 0, or without any; the text holds the command and its output.
    """
    channel = _Channel(connection, asyncio.get_running_loop(), "strict", None, "strict", _WINDOW, _PACKET)
    session = _Session(seen)
    try:
        refused = await channel.start(session, command, environment, wished)
        channel.write(stdin.encode())
        channel.write_eof()
    except asyncssh.ChannelOpenError as error:
        raise ProviderError(f"ssh: rejected: {error.reason}") from None
    except (BrokenPipeError, asyncssh.ConnectionLost):
        pass  # it does not read, or is gone: its status says more
    try:
        await session.ended.wait()
    except asyncio.CancelledError:
        channel.abort()
        raise
    if session.failure:
        both = session.both.decode(errors="replace")
        raise ProviderError(f"{session.failure}: running {json.dumps(command, ensure_ascii=False)}:\n{both}")
    return Output(_text(session.stdout), _text(session.stderr)), refused


def _text(output: bytearray) -> str:
    try:
        return output.decode().removesuffix("\n")
    except UnicodeDecodeError:
        raise ProviderError("the command's output is not UTF-8") from None


class EnvironmentRefused(ProviderError):  # noqa: N818 -- says what happened
    """The server does not accept an environment variable."""

    def __init__(self, name: str) -> None:
        super().__init__(f"could not set environment variable {json.dumps(name)}: ssh: setenv failed")
        self.name = name


class _Channel(asyncssh.SSHClientChannel[bytes]):
    """A session's channel that asks whether each environment variable is accepted, which asyncssh's own does not."""

    async def start(
        self, session: _Session, command: str, environment: Mapping[str, str], wished: Mapping[str, str]
    ) -> list[str]:
        """Open the channel and start the command; returns the wished variables that were refused."""
        await self._open(b"session")
        self._session = session
        session.connection_made(self)
        for name, value in environment.items():
            if not await self._make_request(b"env", String(name), String(value)):
                self.close()
                raise EnvironmentRefused(name)
        refused = [
            name for name, value in wished.items() if not await self._make_request(b"env", String(name), String(value))
        ]
        if not await self._make_request(b"exec", String(command)):
            self.close()
            raise ProviderError(f"ssh: command {command} failed")
        session.session_started()
        self._conn.create_task(self._start_reading(), self.logger)
        return refused


class _Session(asyncssh.SSHClientSession[bytes]):
    """Gathers what a command prints and how it ends."""

    def __init__(self, seen: Callable[[bytes, bool], None]) -> None:
        self._seen = seen
        self.stdout = bytearray()
        self.stderr = bytearray()
        self.both = bytearray()
        self.failure = "wait: remote command exited without exit status or exit signal"
        self.ended = asyncio.Event()

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        """Called for each piece of output."""
        from_stderr = datatype == asyncssh.EXTENDED_DATA_STDERR
        (self.stderr if from_stderr else self.stdout).extend(data)
        self.both.extend(data)
        self._seen(data, from_stderr)

    def exit_status_received(self, status: int) -> None:
        """Called when the command exits by itself."""
        self.failure = f"Process exited with status {status}" if status else ""

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:
        """Called when a signal ends it."""
        del core_dumped, lang
        status = 128 + getattr(signals, f"SIG{signal}", 0)
        self.failure = f"Process exited with status {status} from signal {signal}"
        if msg:
            self.failure += f". Reason was: {msg}"

    def connection_lost(self, exc: Exception | None) -> None:
        """Called when the channel is closed, with the connection or by itself."""
        del exc
        self.ended.set()
