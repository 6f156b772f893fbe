"""Signs in to droplets over SSH, as root and with the pinned host key; for what this program itself runs there."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncssh

from meltanodata.text import show

if TYPE_CHECKING:
    from pydantic import SecretStr


class NotSignedIn(Exception):  # noqa: N818 - says what happened
    """There is no connection."""

    def __init__(self, contact: Contact) -> None:
        unpinned = contact.unpinned and f"is pinned as {contact.unpinned}, which is not a host key"
        reason = contact.unreachable or contact.refused or unpinned
        super().__init__(reason or f"has another host key, {contact.offered}")
        self.contact = contact


async def sign_in(
    address: str, port: int, private_key: SecretStr, host_key: str, seconds: float
) -> asyncssh.SSHClientConnection:
    """A connection as root, which the caller aborts or closes.

    `address` is IPv4, `private_key` is OpenSSH or PEM, `host_key` is the pinned one, such as `ssh-ed25519 AAAA…`.

    Raises:
        NotSignedIn: why not, without a quotation from the server.
    """
    try:
        client = _Client(host_key)
    except ValueError:
        raise NotSignedIn(Contact(unpinned=show(host_key))) from None
    try:
        client_key = asyncssh.import_private_key(private_key.get_secret_value())
    except ValueError:
        raise NotSignedIn(Contact(refused="the stack's private key cannot be used")) from None
    try:
        async with asyncio.timeout(seconds):
            return await asyncssh.connect(
                address,
                port,
                username="root",
                client_keys=[client_key],
                # Neither this person's known hosts, nor configuration, nor agent; `_Client` judges the key.
                known_hosts=([], [], []),
                config=None,
                agent_path=None,
                client_factory=lambda: client,
                server_host_key_algs=[host_key.split(maxsplit=1)[0]],
            )
    except (asyncssh.Error, OSError) as error:
        raise NotSignedIn(_contact(error, client.offered, seconds)) from None


@dataclass(frozen=True)
class Ran:
    """What came of a command on a droplet."""

    stdout: bytes
    stderr: bytes
    exit_status: int


class TooMuch(Exception):  # noqa: N818 - says what happened
    """A command printed more than the limit."""


class Broken(Exception):  # noqa: N818 - says what happened
    """The connection ended before the command did."""


async def run(
    connection: asyncssh.SSHClientConnection, command: str, stdin: str, *, seconds: float, max_bytes: int
) -> Ran:
    """Run a command; `max_bytes` limits its standard output, and its standard error.

    asyncssh's own `run` keeps whatever a droplet prints, and a droplet may never stop.

    Raises:
        TooMuch: it prints more.
        Broken: the connection ended.
        TimeoutError: the command did not end in time.
    """
    try:
        async with asyncio.timeout(seconds):
            process = await connection.create_process(command, input=stdin.encode(), encoding=None)
            stdout, stderr = await asyncio.gather(_read(process.stdout, max_bytes), _read(process.stderr, max_bytes))
            await process.wait_closed()
    except TimeoutError:
        raise
    except (asyncssh.Error, OSError):
        raise Broken from None
    if process.exit_status is None:
        raise Broken
    return Ran(stdout, stderr, process.exit_status)


async def _read(stream: asyncssh.SSHReader[bytes], max_bytes: int) -> bytes:
    content = bytearray()
    while chunk := await stream.read(1 << 16):
        content += chunk
        if len(content) > max_bytes:
            raise TooMuch
    return bytes(content)


class _Client(asyncssh.SSHClient):
    """Compares the server's host key with the pinned one."""

    def __init__(self, pinned: str) -> None:
        self._pinned = asyncssh.import_public_key(pinned)
        self.offered: str | None = None
        """The fingerprint of the server's key, if it is another one."""

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """Called by asyncssh, since its own list of known hosts is empty."""
        del host, addr, port
        if key == self._pinned:
            return True
        self.offered = key.get_fingerprint()
        return False


def _contact(error: asyncssh.Error | OSError, offered: str | None, seconds: float) -> Contact:
    """Why there is no connection, in our words: the library's may quote the server."""
    match error:
        case asyncssh.HostKeyNotVerifiable() | asyncssh.KeyExchangeFailed():
            return Contact(offered=offered or "one of another kind")
        case asyncssh.PermissionDenied():
            return Contact(refused="the stack's key is not accepted")
        case TimeoutError():
            return Contact(unreachable=f"does not answer SSH within {seconds:g} seconds")
        case OSError():
            reason = os.strerror(error.errno) if error.errno else "no connection"
            return Contact(unreachable=f"cannot be reached by SSH: {reason}")
        case _:
            return Contact(unreachable="closes the SSH connection")


@dataclass(frozen=True)
class Contact:
    """How signing in went; all None when it succeeded."""

    unreachable: str | None = None
    """Why there is no SSH server."""
    offered: str | None = None
    """The fingerprint of a host key that is not the pinned one."""
    refused: str | None = None
    """Why the server refused the login."""
    unpinned: str | None = None
    """What the stack has pinned, where that is not a host key."""
