"""Signs in to droplets over SSH, as root and with the pinned host key; for what this program itself runs there."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import asyncssh

from meltanodata.doctor import Contact

if TYPE_CHECKING:
    from pydantic import SecretStr


class NotSignedIn(Exception):  # noqa: N818 - says what happened
    """There is no connection."""

    def __init__(self, contact: Contact) -> None:
        super().__init__(contact.unreachable or contact.refused or f"has another host key, {contact.offered}")
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
    met = _Met(host_key)
    try:
        async with asyncio.timeout(seconds):
            return await asyncssh.connect(
                address,
                port,
                username="root",
                client_keys=[asyncssh.import_private_key(private_key.get_secret_value())],
                # Neither this person's known hosts, nor configuration, nor agent; `_Met` judges the key.
                known_hosts=([], [], []),
                config=None,
                agent_path=None,
                client_factory=lambda: met,
                server_host_key_algs=[host_key.split(maxsplit=1)[0]],
            )
    except (asyncssh.Error, OSError) as error:
        raise NotSignedIn(_why_not(error, met.offered, seconds)) from None


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
            return Contact(unreachable=f"says nothing to SSH within {seconds:g} seconds")
        case OSError():
            said = os.strerror(error.errno) if error.errno else "no connection"
            return Contact(unreachable=f"cannot be reached by SSH: {said}")
        case _:
            return Contact(unreachable="hangs up on SSH")
