"""OpenSSH's client on a droplet, with the pinned host key and nothing of the user's own configuration."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING

from meltanodata.droplet.memory_files import MemoryFiles
from meltanodata.engine import interrupts
from meltanodata.engine.instances import is_host_key
from meltanodata.errors import UserError
from meltanodata.text import show

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

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
    """Run the client as root; returns the exit code of the remote command, or the client's own 255.

    Without a command it is a shell. `take` gets the output of the command, errors included, at most a line at a time
    with its break; without `take` the terminal gets the output as it is.

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
    with interrupts.handed_on(_TO_CLIENT) as signals, MemoryFiles() as files:
        log = files.file("log")
        options = {
            "UserKnownHostsFile": files.file("known_hosts", f"{instance.host} {instance.host_key}\n"),
            "GlobalKnownHostsFile": "/dev/null",
            "HostKeyAlias": instance.host,
            "StrictHostKeyChecking": "yes",
            "HostKeyAlgorithms": instance.host_key.split()[0],
            "UpdateHostKeys": "no",
            "IdentityFile": files.file("key", private_key.get_secret_value()),
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "PasswordAuthentication": "no",
            "ConnectTimeout": "20",
            "ServerAliveInterval": "15",
            "LogLevel": "ERROR",
        }
        # Its messages go to a file: about another host key it gives advice that fits a known_hosts of the user's.
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
            signals.go_to(client)
            if take is not None and client.stdout is not None:
                _pass_on(client, client.stdout, take)
            code = client.wait()
        message = Path(log).read_text(encoding="utf-8", errors="replace").strip()
    if signals.last is not None and code == _FAILED:
        # OpenSSH handles SIGINT and the like itself, and ends as after a lost connection.
        return 128 + signals.last
    if message or code == _FAILED:
        print(_explained(message, instance), file=sys.stderr)
    return code if code >= 0 else 128 - code  # a shell's exit code for a signal


def _pass_on(client: subprocess.Popen[bytes], stream: IO[bytes], take: Callable[[str], None]) -> None:
    """Pass the output on as it comes; end the client if `take` fails."""
    try:
        while line := stream.readline(_LONGEST_LINE):
            take(line.decode(errors="replace"))
    except BaseException:
        client.terminate()
        raise


_TO_CLIENT: Mapping[int, int] = {number: number for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
"""The client ends by these. From a terminal it gets Ctrl-C itself too; a second one does no harm."""
_LONGEST_LINE = 1 << 16
"""Bytes; a longer line is passed on in parts."""
_FAILED = 255
"""The client's own exit code; a command may have the same."""
_ANOTHER_KEY = re.compile(r"HOST IDENTIFICATION HAS CHANGED|Host key verification failed")


def _explained(message: str, instance: Instance) -> str:
    """The client's message, or ours where it has none or where the host key differs.

    The client has none about a server that hangs up, nor about one without a host key of the pinned kind.
    """
    if not message:
        return f"ssh ended with exit code {_FAILED}. Unless that is the command's own code: {_doctor(instance)}"
    if _ANOTHER_KEY.search(message):
        return (
            f"{instance.tenant} has another host key than the pinned one ({instance.fingerprint}): the connection may"
            f" be intercepted. ssh did not sign in. Diagnose it: {_doctor(instance)}"
        )
    return message


def _doctor(instance: Instance) -> str:
    return f"meltanodata doctor {instance.tenant} --stack {instance.stack}"
