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
        unpinned = contact.unpinned and f"is pinned as {contact.unpinned}, which is no host key"
        said = contact.unreachable or contact.refused or unpinned
        super().__init__(said or f"has another host key, {contact.offered}")
        self.contact = contact
        """How it went."""


async def sign_in(
    address: str, port: int, private_key: SecretStr, host_key: str, seconds: float
) -> asyncssh.SSHClientConnection:
    """A connection to a droplet; whoever takes it aborts or closes it.

    Args:
        address: the droplet's, IPv4.
        port: of its SSH server.
        private_key: root's, OpenSSH or PEM.
        host_key: the pinned one, such as `ssh-ed25519 AAAA…`.
        seconds: that the server may take.

    Raises:
        NotSignedIn: why not, in words of ours, which quote nothing that a server says.
    """
    try:
        met = _Met(host_key)
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
                # Neither this person's known hosts, nor configuration, nor agent; `_Met` judges the key.
                known_hosts=([], [], []),
                config=None,
                agent_path=None,
                client_factory=lambda: met,
                server_host_key_algs=[host_key.split(maxsplit=1)[0]],
            )
    except (asyncssh.Error, OSError) as error:
        raise NotSignedIn(_why_not(error, met.offered, seconds)) from None


@dataclass(frozen=True)
class Ran:
    """What came of a command on a droplet."""

    stdout: bytes
    stderr: bytes
    exit_status: int | None
    """None where the connection ended before the command did."""


class TooMuch(Exception):  # noqa: N818 - says what happened
    """A droplet says more than it was to be asked."""


async def run(connection: asyncssh.SSHClientConnection, command: str, text: str, most: int) -> Ran:
    """Run a command; asyncssh's own `run` keeps whatever a droplet says, and a droplet may never stop.

    Args:
        connection: to the droplet; whoever has it sets the time limit, and aborts it in any case.
        command: as a shell takes it.
        text: its standard input.
        most: bytes that are read of its standard output, and of its standard error.

    Raises:
        TooMuch: it says more.
        asyncssh.Error, OSError: the connection broke.
    """
    process = await connection.create_process(command, input=text.encode(), encoding=None)
    stdout, stderr = await asyncio.gather(_read(process.stdout, most), _read(process.stderr, most))
    await process.wait_closed()
    return Ran(stdout, stderr, process.exit_status)


async def _read(stream: asyncssh.SSHReader[bytes], most: int) -> bytes:
    said = bytearray()
    while chunk := await stream.read(1 << 16):
        said += chunk
        if len(said) > most:
            raise TooMuch
    return bytes(said)


class _Met(asyncssh.SSHClient):
    """Judges the host key that a server has."""

    def __init__(self, pinned: str) -> None:
        self._pinned = asyncssh.import_public_key(pinned)
        self.offered: str | None = None
        """The fingerprint of one that is not the pinned one."""

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """Asked by asyncssh, since its own list of known hosts is empty."""
        del host, addr, port
        if key == self._pinned:
            return True
        self.offered = key.get_fingerprint()
        return False


def _why_not(error: asyncssh.Error | OSError, offered: str | None, seconds: float) -> Contact:
    """Why there is no connection, in words of ours: a library's might quote what a server says."""
    match error:
        case asyncssh.HostKeyNotVerifiable() | asyncssh.KeyExchangeFailed():
            return Contact(offered=offered or "one of another kind")
        case asyncssh.PermissionDenied():
            return Contact(refused="the stack's key is not accepted")
        case TimeoutError():
            return Contact(unreachable=f"does not answer SSH within {seconds:g} seconds")
        case OSError():
            said = os.strerror(error.errno) if error.errno else "no connection"
            return Contact(unreachable=f"cannot be reached by SSH: {said}")
        case _:
            return Contact(unreachable="closes the SSH connection")


@dataclass(frozen=True)
class Contact:
    """How SSH went; all None when we were let in."""

    unreachable: str | None = None
    """Why there is no SSH server."""
    offered: str | None = None
    """The fingerprint of a host key that is not the pinned one."""
    refused: str | None = None
    """Why we were not let in."""
    unpinned: str | None = None
    """What the stack has pinned, which is no host key."""
