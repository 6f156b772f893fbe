"""Stand-in for the plugin `command`: remote.Command, as pulumi-command 1.2.1 does it (over `ssh.py`)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from typing import TYPE_CHECKING, Any, ClassVar

from sandbox.plugins import ssh
from sandbox.plugins.package import Call, Created, Found, Package, Plan, Resource, State
from sandbox.plugins.schema import Change, Difference, Field, Fields, ListOf, MapOf, PropertyChange, join
from sandbox.plugins.values import UNKNOWN, Properties, Secret, Unknown, has_unknown

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Sequence

_CONNECTION: Fields = {
    "host": Field(required=True),
    "port": Field("number", default=22),
    "user": Field(default="root"),
    "password": Field(secret=True),
    "privateKey": Field(secret=True),
    "privateKeyPassword": Field(secret=True),
    "agentSocketPath": Field(),
    "dialErrorLimit": Field("integer", default=10),
    "perDialTimeout": Field("integer", default=15),
    "hostKey": Field(),
}
_REFUSED = (
    "Unable to set '{}'. This only works if your SSH server is configured to accept these variables via AcceptEnv. "
    "Alternatively, if a Bash-like shell runs the command on the remote host, you could prefix the command itself "
    "with the variables in the form 'VAR=value command'"
)
_LOGGED = {"stdout": (True, False), "stderr": (False, True), "stdoutAndStderr": (True, True)}
"""Whether stdout and stderr are shown as they come, by the input `logging`; any other value shows neither."""


class Command(Resource[None]):
    """A command on another machine, run as the resource is created, updated and deleted."""

    token = "command:remote:Command"  # noqa: S105 -- a type's name
    inputs: ClassVar[Fields] = {
        "connection": Field(_CONNECTION, required=True, secret=True),
        "create": Field(),
        "update": Field(),
        "delete": Field(),
        # An element that changes is an update to the plugin; the SDK asks the engine to replace for it.
        "triggers": Field(ListOf("any"), replaces=True),
        "stdin": Field(),
        "environment": Field(MapOf("string")),
        "logging": Field(),
        "addPreviousOutputInEnv": Field("boolean"),
    }
    computed = frozenset({"stdout", "stderr"})

    def plan(self, old: State, inputs: Properties, ignored: Sequence[str]) -> Plan:
        """A value that becomes secret, or stops being it, has changed; only whole inputs can be ignored."""
        kept = {name: old.outputs[name] for name in ignored if name in old.outputs}
        return Plan(_difference(self.inputs, old.inputs, inputs | kept), of_inputs=False)

    def preview_id(self, name: str) -> str:
        """Any will do, as nobody looks it up; the update makes another."""
        return name + secrets.token_hex(4)

    def preview_update(self, old: State, inputs: Properties) -> Properties:
        """The output stays as it is until an input that was there changes."""
        changed = any(
            _unknown(field, inputs.get(name)) or (name in old.inputs and inputs.get(name) != old.inputs[name])
            for name, field in self.inputs.items()
        )
        printed = {name: UNKNOWN if changed else old.outputs.get(name, "") for name in self.computed}
        return inputs | printed

    async def read(self, call: Call[None], id_: str, old: State | None) -> Found | None:
        """Whatever the state says, also where it says nothing."""
        del call
        return Found(id_, old or State({}, {}))

    async def create(self, call: Call[None], inputs: Properties) -> Created:
        """Run `create`."""
        printed = await _run(call, inputs.get("create"), inputs, ssh.Output("", ""))
        return Created(self.preview_id(call.name), inputs | _outputs(printed))

    async def update(self, call: Call[None], id_: str, old: State, inputs: Properties) -> Properties:
        """Run `update`, else `create`."""
        del id_
        before = ssh.Output(old.outputs.get("stdout", ""), old.outputs.get("stderr", ""))
        printed = await _run(call, inputs.get("update", inputs.get("create")), inputs, before)
        return inputs | _outputs(printed)

    async def delete(self, call: Call[None], id_: str, old: State) -> None:
        """Run `delete`, on the connection of the last update."""
        del id_
        before = ssh.Output(old.outputs.get("stdout", ""), old.outputs.get("stderr", ""))
        await _run(call, old.outputs.get("delete"), old.outputs, before)


def _unknown(field: Field, value: Any) -> bool:
    """Whether a preview cannot know the input; what is inside one counts where it is secret as a whole."""
    return has_unknown(value) if field.secret else isinstance(value, Unknown)


def _outputs(printed: ssh.Output) -> Properties:
    return {"stdout": printed.stdout, "stderr": printed.stderr}


async def _run(call: Call[None], command: str | None, inputs: Properties, before: ssh.Output) -> ssh.Output:
    """What the command prints; without one, nothing is dialled and the output stays as it was."""
    if command is None:
        return before
    wished = {"PULUMI_COMMAND_STDOUT": before.stdout, "PULUMI_COMMAND_STDERR": before.stderr}
    if not inputs.get("addPreviousOutputInEnv", True):
        wished = {}
    shown = _LOGGED.get(inputs.get("logging", "stdoutAndStderr"), (False, False))
    async with ssh.connected(call, _login(inputs["connection"])) as connection, _log(call, *shown) as seen:
        try:
            printed, refused = await ssh.execute(
                connection,
                command,
                stdin=inputs.get("stdin", ""),
                environment=inputs.get("environment", {}),
                wished={name: value for name, value in wished.items() if value},
                seen=seen,
            )
        except ssh.EnvironmentRefused as error:
            await call.log("ERROR", _REFUSED.format(error.name))
            raise
        for name in refused:
            await call.log("WARNING", _REFUSED.format(name))
    return printed


def _login(connection: Properties) -> ssh.Login:
    return ssh.Login(
        host=connection["host"],
        port=int(connection["port"]),
        user=connection["user"],
        dial_error_limit=connection["dialErrorLimit"],
        per_dial_timeout=connection["perDialTimeout"],
        private_key=connection.get("privateKey"),
        private_key_password=connection.get("privateKeyPassword"),
        password=connection.get("password"),
        host_key=connection.get("hostKey"),
        agent=connection.get("agentSocketPath") or os.environ.get("SSH_AUTH_SOCK") or None,
    )


@contextlib.asynccontextmanager
async def _log(call: Call[None], stdout: bool, stderr: bool) -> AsyncIterator[Callable[[bytes, bool], None]]:
    """Shows output line by line, in order, while the command runs."""
    lines: asyncio.Queue[bytes | None] = asyncio.Queue()
    rest = bytearray()

    def seen(data: bytes, from_stderr: bool) -> None:
        if stderr if from_stderr else stdout:
            *complete, last = (bytes(rest) + data).split(b"\n")
            rest[:] = last
            for line in complete:
                lines.put_nowait(line)

    async def show() -> None:
        while (line := await lines.get()) is not None:
            await call.status(line.removesuffix(b"\r").decode(errors="replace"))

    showing = asyncio.create_task(show())
    try:
        yield seen
    finally:
        if rest:
            lines.put_nowait(bytes(rest))
        lines.put_nowait(None)
        await showing


def _difference(fields: Fields, old: Properties, new: Properties) -> Difference:
    # As in the official plugin, an input replaces when it comes or goes as a whole.
    return {
        path: PropertyChange(change, replaces=path in fields and fields[path].replaces)
        for path, change in _changes("", old, new)
    }


def _changes(path: str, old: Any, new: Any) -> Iterable[tuple[str, Change]]:
    """What changed inside a value; nothing is told of what is inside a secret."""
    match old, new:
        case _ if old == new:
            pass
        case (None, _):
            yield path, Change.ADD
        case (_, None):
            yield path, Change.DELETE
        case (_, Unknown()):
            yield path, Change.UPDATE
        case (dict(), dict()):
            for name in sorted(old.keys() | new.keys()):
                # A preview of the official plugin passes over a property that is secret and not known yet.
                if new.get(name) != Secret(UNKNOWN):
                    yield from _changes(join(path, name), old.get(name), new.get(name))
        case (list(), list()):
            for index in range(max(len(old), len(new))):
                before, after = (items[index] if index < len(items) else None for items in (old, new))
                yield from _changes(f"{path}[{index}]", before, after)
        case _:
            yield path, Change.UPDATE


PACKAGE = Package(
    name="command", version="1.2.1", resources=(Command(),), configure=lambda _: None, accepts_secrets=True
)
