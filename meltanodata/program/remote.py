"""How the program runs something on a droplet: one kind of Command, decided once.

Pulumi's remote Command dials from wherever the program runs. What holds for all of ours:

- The command's text has an interpreter, a time limit and a script's path only; the script's document comes by standard
  input. A failing Command shows its text and its output, so neither may have a secret.
- This program, and not the plugin, brings the scripts and the documents that droplets share, before a script is run: as
  a resource's input they would stand in the state of each tenant, twice, and that is written anew at every step.
- Any change replaces the Command, which runs it again; to destroy one does nothing. An update in place would use the
  private key of the state, since that is ignored below, and not the one of the settings.
- There is no `delete`: a teardown does not dial.
- A droplet runs one script at a time: a script goes on when its run is killed, and the next run's Commands must not
  work on the same files meanwhile.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pulumi
from pulumi_command import remote
from pydantic import SecretStr

from meltanodata import terminal
from meltanodata.config import certificates
from meltanodata.droplet import files
from meltanodata.droplet.layout import HOST_KEY_FILE, MELTANO_PYTHON, MELTANO_USER, RUN_FOLDER, RUN_LOCK
from meltanodata.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_DIAL_SECONDS = 10
"""For one attempt to sign in."""
_ANSWER_BYTES = 1 << 16
"""The longest answer of a droplet to the scripts that this program brings."""
_ONE_AT_A_TIME = f"flock --close --timeout 1500 {RUN_LOCK}"
"""Waits for longer than any of our scripts may take."""


@dataclass(frozen=True)
class Host:
    """A droplet as SSH sees it."""

    droplet_id: pulumi.Output[str]
    address: pulumi.Output[str]
    port: int
    private_key: SecretStr
    """Root's, OpenSSH or PEM."""
    ready: pulumi.ResourceHook
    """See `readiness`."""
    host_key: pulumi.Output[str] | None = None
    """The server's key, such as `ssh-ed25519 AAAA…`; None before the first contact."""


def first_contact(name: str, host: Host, options: pulumi.ResourceOptions) -> pulumi.Output[str]:
    """Wait until the droplet answers and has been set up, and ask it for its host key.

    Trust on first use, since nobody but the droplet can say what its key is; from then on it is pinned.
    """
    # cloud-init makes the host keys; until it has ended they may change. A droplet without cloud-init is ready at once.
    create = f"timeout 300 sh -c 'cloud-init status --wait >/dev/null 2>&1; exec cut -d \" \" -f 1,2 {HOST_KEY_FILE}'"
    triggers = [host.droplet_id]
    return remote.Command(name, create=create, triggers=triggers, **_common(host), opts=_options(options, host)).stdout


def run(
    name: str,
    host: Host,
    script: str,
    document: pulumi.Input[Mapping[str, Any]],
    *,
    seconds: int,
    options: pulumi.ResourceOptions,
    after: Sequence[remote.Command] = (),
    public: bool = False,
) -> remote.Command:
    """Run a script of `droplet.scripts` as root, and again whenever anything about it changes.

    The droplet ends the script after `seconds`. It runs again after each run of a Command in `after`. `public` says
    that neither the document nor the script's output is secret; the engine encrypts many secrets
    anew for every one that it meets.
    """
    return remote.Command(
        name,
        create=_command(seconds, "python3", script),
        stdin=_stdin(document, secret=not public),
        # A new droplet may have the address of the old one. A Command that ran again is a new one, with another id.
        triggers=[host.droplet_id, *(command.id for command in after)],
        **_common(host),
        # A script prints no secret; but the output of one that was given secrets is kept secret all the same.
        opts=_options(options, host, secret_outputs=[] if public else ["stdout", "stderr"]),
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
    """Run a script of `droplet.scripts` in Meltano's virtual environment, once for each new value; see `run`.

    It does not run for a new droplet, a new address or another text of the script, nor where a value is removed and set
    again: that is why there is a Command without a value, too.
    """
    others = ["connection", "create", "stdin", "logging", "addPreviousOutputInEnv"]
    python = f"runuser --user {MELTANO_USER} -- {MELTANO_PYTHON}"
    only_new_values = pulumi.ResourceOptions(ignore_changes=[*others, *(["triggers"] if value is None else [])])
    return remote.Command(
        name,
        create="true" if value is None else _command(seconds, python, script),
        stdin=None if value is None else _stdin(document, secret=True),
        triggers=[value or ""],
        **_common(host),
        opts=_options(
            pulumi.ResourceOptions.merge(options, only_new_values), host, secret_outputs=["stdout", "stderr"]
        ),
    )


def _command(seconds: int, python: str, script: str) -> str:
    return f"{_ONE_AT_A_TIME} timeout --kill-after=10 {seconds} {python} {files.placed(script).path}"


def _stdin(document: pulumi.Input[Mapping[str, Any]], *, secret: bool) -> pulumi.Output[str]:
    text = pulumi.Output.json_dumps(document, sort_keys=True, separators=(",", ":"))
    return pulumi.Output.secret(text) if secret else text


def _common(host: Host) -> dict[str, Any]:
    return {
        "connection": remote.ConnectionArgs(
            host=host.address,
            port=host.port,
            user="root",
            private_key=pulumi.Output.secret(certificates.compact(host.private_key.get_secret_value())),
            host_key=host.host_key,
            per_dial_timeout=_DIAL_SECONDS,
        ),
        "logging": remote.Logging.NONE,
        "add_previous_output_in_env": False,
    }


def _options(options: pulumi.ResourceOptions, host: Host, secret_outputs: Sequence[str] = ()) -> pulumi.ResourceOptions:
    common = pulumi.ResourceOptions(
        # A new key in the settings is no reason to run everything on every droplet.
        ignore_changes=["connection.privateKey"],
        replace_on_changes=["*"],
        additional_secret_outputs=list(secret_outputs),
        hooks=pulumi.ResourceHookBinding(before_create=[host.ready]),
    )
    return pulumi.ResourceOptions.merge(options, common)


def readiness(common: Sequence[files.File]) -> pulumi.ResourceHook:
    """The hook with which a Command waits for its droplet to be ready for it.

    The plugin would wait for ever for the first word of a server that accepts connections and says nothing. Call this
    once a run, since the state has the hook's name. `common` are documents for scripts to find on the droplet.
    """
    return pulumi.ResourceHook("droplet-ready", _Readiness(files.bringing(common)).wait)


@dataclass(frozen=True)
class Limits:
    """How long a droplet may take, in seconds."""

    first_answer: float = 180
    """Until the SSH server of a new droplet answers."""
    answer: float = 30
    """Until one answers that has answered before, which may be restarting."""
    dial: float = _DIAL_SECONDS
    pause: float = 1
    """Between attempts."""
    bringing: int = 60
    """For the program that brings the scripts."""


class _Readiness:
    """Brings the scripts to each droplet once, before its first Command."""

    def __init__(self, bringing: str, limits: Limits = Limits()) -> None:
        self._limits = limits
        self._bringing = bringing
        """A Python program, run there as root."""
        self._have: set[tuple[str, int, str]] = set()
        """The droplets where it has run: address, port and host key."""

    async def wait(self, args: pulumi.ResourceHookArgs) -> None:
        """Wait for the droplet's SSH server, and bring the scripts once its host key is known.

        Raises:
            UserError: it is not ready in time; what it does instead.
        """
        connection = await pulumi.Output.from_input((args.new_inputs or {})["connection"]).future() or {}
        clock = asyncio.get_running_loop()
        deadline = clock.time() + (self._limits.answer if connection.get("hostKey") else self._limits.first_answer)
        while (wrong := await self._what_is_wrong(connection)) is not None:
            if clock.time() > deadline:
                where = f"the SSH server at {connection['host']}:{int(connection['port'])}"
                hint = "Run `meltanodata doctor`, or check the droplet in DigitalOcean's console"
                raise UserError(f"{where} {wrong}. {hint}, then run this again")
            await asyncio.sleep(self._limits.pause)

    async def _what_is_wrong(self, connection: Mapping[str, Any]) -> str | None:
        """Why a droplet cannot run a script; None if it can."""
        host, port, host_key = connection["host"], int(connection["port"]), connection.get("hostKey")
        if host_key is None or (host, port, host_key) in self._have:
            return await _does_not_answer(host, port, self._limits.dial)
        wrong = await self._bring(host, port, host_key, SecretStr(connection["privateKey"]))
        if wrong is None:
            self._have.add((host, port, host_key))
        return wrong

    async def _bring(self, host: str, port: int, host_key: str, private_key: SecretStr) -> str | None:
        """Run the program that brings the scripts; why that failed, None if it did not."""
        from meltanodata.droplet import ssh  # noqa: PLC0415 - a quarter of a second, which a preview has no use for

        try:
            connection = await ssh.sign_in(host, port, private_key, host_key, self._limits.dial)
        except ssh.NotSignedIn as error:
            return str(error)
        seconds = self._limits.bringing
        command = f"mkdir -p {RUN_FOLDER} && timeout --kill-after=5 {seconds} python3 -"
        try:
            ran = await ssh.run(connection, command, self._bringing, seconds=seconds, max_bytes=_ANSWER_BYTES)
        except TimeoutError:
            return f"did not take the scripts within {seconds} seconds"
        except ssh.TooMuch:
            return f"answers the scripts with more than {_ANSWER_BYTES >> 10} KiB"
        except ssh.Broken:
            return "closes the connection while it is given the scripts"
        finally:
            connection.abort()
        if ran.exit_status == 0:
            return None
        # The last line has the error; those before it may quote the program, which has the certificate's key in it.
        *_, last = [f"exit code {ran.exit_status}", *ran.stderr.decode(errors="replace").splitlines()]
        return f"does not take the scripts: {terminal.line(last)}"


async def _does_not_answer(host: str, port: int, seconds: float) -> str | None:
    """Why a server does not speak SSH; None if it does."""
    try:
        async with asyncio.timeout(seconds):
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
        return "does not answer"
    except ValueError:  # a line without end
        return "does not speak SSH"
    except OSError as error:
        return f"cannot be reached ({os.strerror(error.errno) if error.errno else error})"
    return "closes the connection"
