"""OpenSSH's client on a droplet, with the pinned host key and nothing of the user's own configuration."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from meltanodata.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from pydantic import SecretStr

    from meltanodata.instances import Instance


def run(
    instance: Instance, port: int, private_key: SecretStr, command: Sequence[str], *, stdin: int | None = None
) -> int:
    """Run the client with this process's terminal; returns its exit code: the remote command's, or 255 for its own.

    Args:
        instance: the one to sign in to, as root.
        port: the SSH server's.
        private_key: root's. It goes through a file that only we can read, for as long as the client runs: ssh itself
            wants it again when it signs in, and an agent would outlive a run that is killed.
        command: what to run there, as ssh takes it; nothing for a shell.
        stdin: as for `subprocess`; None for ours.

    Raises:
        UserError: there is no droplet yet, or no OpenSSH client here.
    """
    if instance.address is None or instance.host_key is None:
        raise UserError(
            f"{instance.tenant} has no droplet that is ready. Make it so: meltanodata up --stack {instance.stack}"
        )
    with _Signals() as signals, tempfile.TemporaryDirectory(prefix="meltanodata-") as name:
        folder = Path(name)
        known_hosts, key = folder / "known_hosts", folder / "key"
        known_hosts.write_text(f"{instance.host} {instance.host_key}\n", encoding="utf-8")
        with os.fdopen(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(private_key.get_secret_value())
        options = {
            "UserKnownHostsFile": known_hosts,
            "GlobalKnownHostsFile": "/dev/null",
            "HostKeyAlias": instance.host,
            "StrictHostKeyChecking": "yes",
            "HostKeyAlgorithms": instance.host_key.split()[0],
            "UpdateHostKeys": "no",
            "IdentityFile": key,
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "PasswordAuthentication": "no",
            "ConnectTimeout": "20",
            "ServerAliveInterval": "15",
            "LogLevel": "ERROR",
        }
        arguments = ["ssh", "-F", "none", "-p", str(port)]
        arguments += [argument for option, value in options.items() for argument in ("-o", f"{option}={value}")]
        try:
            client = subprocess.Popen([*arguments, f"root@{instance.address}", *command], stdin=stdin)
        except FileNotFoundError:
            raise UserError("ssh, OpenSSH's client, is not on the PATH; install it") from None
        with client:
            signals.handed_to = client
            code = client.wait()
        return code if code >= 0 else 128 - code  # as a shell says of one that a signal ended


class _Signals:
    """Hands signals on to the client, which ends by them; without one they end us by way of Python, and no key is left.

    From a terminal the client gets Ctrl-C as we do, and a second time from us, which is no more than once.
    """

    def __init__(self) -> None:
        self.handed_to: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        self._before = {number: signal.signal(number, self._hand_on) for number in numbers}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _hand_on(self, number: int, _: object) -> None:
        if self.handed_to is None:
            raise SystemExit(128 + number)
        self.handed_to.send_signal(number)
