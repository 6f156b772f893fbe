"""OpenSSH's client on a droplet, with the pinned host key and nothing of the user's own configuration."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING

from meltanodata.droplet.memory_files import MemoryFiles
from meltanodata.engine.instances import is_host_key
from meltanodata.errors import UserError
from meltanodata.text import show

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Self

    from pydantic import SecretStr

    from meltanodata.engine.instances import Instance


def run(
    instance: Instance,
    port: int,
    private_key: SecretStr,
    command: Sequence[str],
    *,
    stdin: int | None = None,
    take: Callable[[str], None] | None = None,
) -> int:
    """Run the client with this process's terminal; returns its exit code: the remote command's, or 255 for its own.

    Args:
        instance: the one to sign in to, as root.
        port: the SSH server's.
        private_key: root's. ssh itself wants to read it again when it signs in, and an agent would outlive a run that
            is killed: see `MemoryFiles`.
        command: what to run there, as ssh takes it; nothing for a shell.
        stdin: as for `subprocess`; None for ours.
        take: is given what the command prints, errors included, as it comes; at most a line at a time, with its break.
            None: the terminal gets it as it is.

    Raises:
        UserError: there is no droplet yet, or no OpenSSH client here.
    """
    if instance.address is None or instance.host_key is None:
        raise UserError(f"{instance.tenant} has no droplet yet. Create it: meltanodata up --stack {instance.stack}")
    if not is_host_key(instance.host_key):
        raise UserError(
            f"{instance.tenant}: the stack has pinned {show(instance.host_key)}, which is not an SSH host key."
            f" Diagnose it: {_doctor(instance)}"
        )
    with _Signals() as signals, MemoryFiles() as kept:
        log = kept.file("log")
        options = {
            "UserKnownHostsFile": kept.file("known_hosts", f"{instance.host} {instance.host_key}\n"),
            "GlobalKnownHostsFile": "/dev/null",
            "HostKeyAlias": instance.host,
            "StrictHostKeyChecking": "yes",
            "HostKeyAlgorithms": instance.host_key.split()[0],
            "UpdateHostKeys": "no",
            "IdentityFile": kept.file("key", private_key.get_secret_value()),
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "PasswordAuthentication": "no",
            "ConnectTimeout": "20",
            "ServerAliveInterval": "15",
            "LogLevel": "ERROR",
        }
        # Its own words go to a file: about another host key it gives advice that fits a known_hosts of the user's.
        arguments = ["ssh", "-F", "none", "-p", str(port), "-E", log]
        arguments += [argument for option, value in options.items() for argument in ("-o", f"{option}={value}")]
        try:
            client = subprocess.Popen(
                [*arguments, f"root@{instance.address}", *command],
                stdin=stdin,
                stdout=subprocess.PIPE if take else None,
                stderr=subprocess.STDOUT if take else None,
            )
        except FileNotFoundError:
            raise UserError("ssh, OpenSSH's client, is not on the PATH; install it") from None
        with client:
            signals.handed_to = client
            if take is not None and client.stdout is not None:
                _hand_over(client, client.stdout, take)
            code = client.wait()
        words = Path(log).read_text(encoding="utf-8", errors="replace")
    if words.strip() or code == _FAILED:
        print(_in_our_words(words.strip(), instance), file=sys.stderr)
    return code if code >= 0 else 128 - code  # as a shell says of one that a signal ended


def _hand_over(client: subprocess.Popen[bytes], stream: IO[bytes], take: Callable[[str], None]) -> None:
    """Hand over what comes; whoever wants no more of it ends the client."""
    try:
        while line := stream.readline(_LONGEST_LINE):
            take(line.decode(errors="replace"))
    except BaseException:
        client.terminate()
        raise


_LONGEST_LINE = 1 << 16
"""Bytes that are waited for until a line's end."""
_FAILED = 255
"""The client's own exit code; a command may have the same."""
_ANOTHER_KEY = re.compile(r"HOST IDENTIFICATION HAS CHANGED|Host key verification failed")


def _in_our_words(said: str, instance: Instance) -> str:
    """What the client said; of another host key that alone, and who knows what to do.

    It says nothing of a server that hangs up, nor of one without a host key of the pinned kind.
    """
    if not said:
        return f"ssh ended with exit code {_FAILED}. Unless that is the command's own code: {_doctor(instance)}"
    if _ANOTHER_KEY.search(said):
        return (
            f"{instance.tenant} has another host key than the pinned one ({instance.fingerprint}): the connection may"
            f" be intercepted. ssh did not sign in. Diagnose it: {_doctor(instance)}"
        )
    return said


def _doctor(instance: Instance) -> str:
    return f"meltanodata doctor {instance.tenant} --stack {instance.stack}"


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
