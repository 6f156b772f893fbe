"""How the program runs something on a droplet: one kind of Command, decided once.

Pulumi's remote Command dials from wherever the program runs. What holds for all of ours:

- Nothing stands in the command's text but an interpreter and a time limit: the script and what it is told come by
  standard input. A failing Command shows its text and its output, so neither may have a secret.
- Any change replaces the Command, which runs it again; to destroy one does nothing. An update in place would use the
  private key of the state, since that is ignored below, and not the one of the settings.
- Nothing is dialled on teardown: there is no `delete`.
- One script at a time on a droplet: what a run began there goes on when the run is killed, and the next run's Commands
  must not work on the same files meanwhile.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pulumi
from pulumi_command import remote

from meltanodata import files
from meltanodata.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import SecretStr

_HOST_KEY = "/etc/ssh/ssh_host_ed25519_key.pub"
"""Made at the droplet's first boot; of this kind only, since the client then asks the server for no other."""

_FIRST_PATIENCE, _PATIENCE = 180, 30
"""Seconds until a new droplet's SSH server has to answer, and one that has answered before, which may be restarting."""
_DIAL_SECONDS = 10
"""For one attempt."""
_PAUSE = 1
"""Seconds between attempts."""
_MELTANOS_PYTHON = f"{files.HOME}/.venv/bin/python"
_ONE_AT_A_TIME = "flock --close --timeout 1500 /run/meltanodata.lock"
"""Waits for longer than any of our scripts may take."""


@dataclass(frozen=True)
class Host:
    """A droplet as SSH sees it."""

    droplet_id: pulumi.Output[str]
    address: pulumi.Output[str]
    port: int
    private_key: SecretStr
    """Root's, OpenSSH or PEM."""
    host_key: pulumi.Output[str] | None = None
    """The server's key, such as `ssh-ed25519 AAAA…`; None before the first contact."""


def first_contact(name: str, host: Host, options: pulumi.ResourceOptions) -> pulumi.Output[str]:
    """Wait until the droplet answers and has been set up, and ask it for its host key.

    Trust on first use, since nobody but the droplet can say what its key is; from then on it is pinned.
    """
    # cloud-init makes the host keys; until it has ended they may change. Where it is missing, so be it.
    create = f"timeout 300 sh -c 'cloud-init status --wait >/dev/null 2>&1; exec cut -d \" \" -f 1,2 {_HOST_KEY}'"
    triggers = [host.droplet_id]
    return remote.Command(name, create=create, triggers=triggers, **_common(host), opts=_options(options)).stdout


def run(
    name: str,
    host: Host,
    script: str,
    document: pulumi.Input[Mapping[str, Any]],
    *,
    seconds: int,
    options: pulumi.ResourceOptions,
    after: Sequence[remote.Command] = (),
) -> remote.Command:
    """Run one of the scripts in `files` as root, and again whenever anything about it changes.

    Args:
        name: the resource's.
        host: where, with its host key.
        script: the file's name without `.py`.
        document: what the script is told; as secret as the rest of standard input.
        seconds: after which it is ended on the droplet, whatever it is doing.
        options: the resource's.
        after: Commands after each of whose runs this one runs again.
    """
    return remote.Command(
        name,
        create=_command(seconds, "python3"),
        stdin=_stdin(script, document),
        # A new droplet may have the address of the old one. A Command that ran again is a new one, with another id.
        triggers=[host.droplet_id, *(command.id for command in after)],
        **_common(host),
        # What a script says is no secret, but nobody has to rely on that.
        opts=_options(options, secret_outputs=["stdout", "stderr"]),
    )


def run_once_for(
    value: str | None,
    name: str,
    host: Host,
    script: str,
    document: pulumi.Input[Mapping[str, Any]],
    *,
    seconds: int,
    options: pulumi.ResourceOptions,
) -> remote.Command:
    """Run one of the scripts in `files` in Meltano's virtual environment, once for each new value and never else.

    Not for a new droplet, a new address or another text of the script. To take the value away and give it again is
    not new either; that is why there is a Command without a value, too.

    Args:
        value: what is new when it differs from the one before; None for nothing to do.
        name: as for `run`, as are the others.
        host: see there.
        script: see there.
        document: see there.
        seconds: see there.
        options: see there.
    """
    others = ["connection", "create", "stdin", "logging", "addPreviousOutputInEnv"]
    only_new_values = pulumi.ResourceOptions(ignore_changes=[*others, *(["triggers"] if value is None else [])])
    return remote.Command(
        name,
        create="true" if value is None else _command(seconds, f"runuser --user meltano -- {_MELTANOS_PYTHON}"),
        stdin=None if value is None else _stdin(script, document),
        triggers=[value or ""],
        **_common(host),
        opts=_options(pulumi.ResourceOptions.merge(options, only_new_values), secret_outputs=["stdout", "stderr"]),
    )


def _command(seconds: int, python: str) -> str:
    return f"{_ONE_AT_A_TIME} timeout --kill-after=10 {seconds} {python} -"


def _stdin(script: str, document: pulumi.Input[Mapping[str, Any]]) -> pulumi.Output[str]:
    text: pulumi.Input[str] = pulumi.Output.from_input(document).apply(lambda known: files.call(script, known))
    return pulumi.Output.secret(text)


def _common(host: Host) -> dict[str, Any]:
    return {
        "connection": remote.ConnectionArgs(
            host=host.address,
            port=host.port,
            user="root",
            private_key=pulumi.Output.secret(host.private_key.get_secret_value()),
            host_key=host.host_key,
            per_dial_timeout=_DIAL_SECONDS,
        ),
        "logging": remote.Logging.NONE,
        "add_previous_output_in_env": False,
    }


def _options(options: pulumi.ResourceOptions, secret_outputs: list[str] | None = None) -> pulumi.ResourceOptions:
    own = pulumi.ResourceOptions(
        # A new key in the settings is no reason to run everything on every droplet.
        ignore_changes=["connection.privateKey"],
        replace_on_changes=["*"],
        additional_secret_outputs=secret_outputs,
        # The plugin would wait for ever for the first word of a server that accepts connections and says nothing.
        hooks=pulumi.ResourceHookBinding(before_create=[_answers]),
    )
    return pulumi.ResourceOptions.merge(options, own)


async def _answers(args: pulumi.ResourceHookArgs) -> None:
    """Wait for the droplet's SSH server.

    Raises:
        UserError: it has not answered in time; what it does instead.
    """
    connection = await pulumi.Output.from_input((args.new_inputs or {})["connection"]).future() or {}
    host, port = connection["host"], int(connection["port"])
    clock = asyncio.get_running_loop()
    deadline = clock.time() + (_PATIENCE if connection.get("hostKey") else _FIRST_PATIENCE)
    while (wrong := await _what_is_wrong(host, port)) is not None:
        if clock.time() > deadline:
            raise UserError(f"{wrong}. Look at the droplet in DigitalOcean's console, then run this again")
        await asyncio.sleep(_PAUSE)


async def _what_is_wrong(host: str, port: int) -> str | None:
    """Why a server does not speak SSH; None if it does."""
    where = f"the SSH server at {host}:{port}"
    try:
        async with asyncio.timeout(_DIAL_SECONDS):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                # https://www.rfc-editor.org/rfc/rfc4253#section-4.2: other lines may come before the version.
                while line := await reader.readline():
                    if line.startswith(b"SSH-"):
                        return None
            finally:
                writer.close()
                await writer.wait_closed()
    except TimeoutError:
        return f"{where} says nothing"
    except ValueError:  # a line without end
        return f"{where} does not speak SSH"
    except OSError as error:
        return f"{where} cannot be reached ({os.strerror(error.errno) if error.errno else error})"
    return f"{where} hangs up"
