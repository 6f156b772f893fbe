"""Pulumi's CLI as our commands run it.

Everywhere `stack` is the stack's name, and `folder` the one with Pulumi.yaml. A call that fails raises a UserError with
what the CLI printed: there is no CLI, no such stack, no access to its state, the passphrase is wrong.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, NoReturn

from meltanodata.engine import deletions, passphrase
from meltanodata.engine.stack_state import StackState
from meltanodata.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path


def preview(stack: str, folder: Path, *, refresh: bool = False, arguments: Sequence[str] = ()) -> dict[str, Any]:
    """What `pulumi preview --json` prints; a preview that fails says why in its diagnostics.

    To refresh is to read every object anew first, with the program's own tokens and not the state's.
    """
    command = ["preview", "--json", "--non-interactive", "--stack", stack, *(_REFRESH if refresh else ()), *arguments]
    done = _run(command, folder)
    try:
        printed: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise _failed(command, done) from None
    if done.returncode != 0 and not any(line.get("severity") == "error" for line in printed.get("diagnostics") or []):
        printed.setdefault("diagnostics", []).append({"severity": "error", "message": done.stderr.strip()})
    return printed


def show_preview(stack: str, folder: Path, arguments: Sequence[str]) -> None:
    """Let the engine print every property that would change; a failure does not matter."""
    command = ["preview", "--diff", "--suppress-outputs", "--stack", stack, *arguments]
    subprocess.run(["pulumi", *command], cwd=folder, env=_environment(command), check=False)


_MISSING = "pulumi is not on the PATH; put its folder there"
_LOCKED = (
    "Nothing was changed. If the run that has the lock is still at work, wait. If it was killed (its machine is gone,"
    " or its job has ended), remove the lock by: pulumi cancel --stack {stack}; then run this again, and it continues"
    " what that run began."
)
_REFRESH = ("--refresh", "--run-program")


def up(
    stack: str,
    folder: Path,
    targets: Sequence[str] | None,
    *,
    refresh: bool = False,
    may_go: Collection[str] = (),
) -> Iterator[dict[str, Any]]:
    """Apply, and yield the engine's events as they come (sdk/go/common/apitype/events.go).

    A tenant that fails does not stop the others. An interrupt is handed on, and the engine ends what it has begun. Only
    the targets' URNs may be touched, or everything for None. `may_go` has the tenants whose databases may be deleted.
    """
    command = ["up", "--json", "--yes", "--skip-preview", "--non-interactive", "--continue-on-error", "--stack", stack]
    command += _REFRESH if refresh else ()
    command += [argument for urn in targets or () for argument in ("--target", urn)]
    ended = False
    # Debugging lines among the events show properties, so the events go through a pipe and are never stored.
    with (
        tempfile.TemporaryFile("w+") as stderr,
        _started(command, folder, stderr, deletions.variable(may_go)) as process,
        _handed_on(process),
    ):
        for line in process.stdout or ():
            event: dict[str, Any] = json.loads(line)
            ended = ended or "summaryEvent" in event
            yield event
        if process.wait() != 0 and not ended:
            stderr.seek(0)
            failure = f"`pulumi up` failed: {stderr.read().strip()}"
            locked = "is currently locked by" in failure
            raise UserError(f"{failure}\n{_LOCKED.format(stack=stack)}" if locked else failure)


PARALLEL = 48
"""Operations at a time, unless PULUMI_PARALLEL is set. Most of them wait, for droplets, clusters or SSH. With the
engine's default of four a core, tenants queue for those waits; requests have their limit in the settings."""

MEMORY = "420MiB"
"""The memory from which on Go collects the engine's garbage sooner, unless GOMEMLIMIT is set. Creating a full stack at
once uses 360 MiB in the end, and by default Go lets the heap grow to twice that."""

REFRESH_MEMORY = "800MiB"
"""The same for a refresh, which uses more: with less than this the engine mostly collects garbage."""


def _environment(command: Sequence[str]) -> dict[str, str]:
    """The environment of the CLI with these arguments."""
    refreshes = command[0] == "refresh" or any(argument.startswith(("--refresh", "-r")) for argument in command)
    memory = REFRESH_MEMORY if refreshes else MEMORY
    return {"PULUMI_PARALLEL": str(PARALLEL), "GOMEMLIMIT": memory, **os.environ}


def _started(command: Sequence[str], folder: Path, stderr: IO[str], more: dict[str, str]) -> subprocess.Popen[str]:
    try:
        return subprocess.Popen(
            ["pulumi", *command],
            cwd=folder,
            env=_environment(command) | more,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            start_new_session=True,  # the terminal's interrupt reaches it once, through us
        )
    except FileNotFoundError:
        raise UserError(_MISSING) from None


@contextmanager
def _handed_on(process: subprocess.Popen[str]) -> Iterator[None]:
    """Hand interrupts on to a process, which then ends what it has begun."""

    def hand_on(*_: object) -> None:
        process.send_signal(signal.SIGINT)

    before = {number: signal.signal(number, hand_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def config(stack: str, folder: Path) -> dict[str, str]:
    """The stack's config with its secrets in the open, structured values as JSON; never to be shown or stored."""
    settings: dict[str, dict[str, Any]] = _json(["config", "--json", "--show-secrets", "--stack", stack], folder)
    return {key: setting["value"] for key, setting in settings.items() if setting.get("value") is not None}


def outputs(stack: str, folder: Path) -> dict[str, Any]:
    """The stack's outputs with their secrets in the open; never to be stored."""
    values: dict[str, Any] = _json(["stack", "output", "--json", "--show-secrets", "--stack", stack], folder)
    return values


def export(stack: str, folder: Path, *, show_secrets: bool = False) -> dict[str, Any]:
    """The stack's state as `pulumi stack export` prints it, secrets encrypted; needs neither lock nor passphrase.

    With its secrets in the open it needs the passphrase, and must not be shown or stored.
    """
    command = ["stack", "export", "--stack", stack, *(["--show-secrets"] if show_secrets else [])]
    exported: dict[str, Any] = _json(command, folder)
    return exported


def state(stack: str, folder: Path, *, show_secrets: bool = False) -> StackState:
    """The stack's state, for reading; see `export`."""
    return StackState(export(stack, folder, show_secrets=True) if show_secrets else export(stack, folder))


def stacks(folder: Path) -> list[str]:
    """The project's stacks that the backend has, also those without a settings file here."""
    return [stack["name"].rpartition("/")[2] for stack in _json(["stack", "ls", "--json"], folder)]


def replace_state(stack: str, folder: Path, exported: Mapping[str, Any], passphrase_file: Path | None = None) -> None:
    """Replace the stack's state, as `pulumi stack import` does; secrets in the open become encrypted."""
    _call(["stack", "import", "--stack", stack], folder, json.dumps(exported), passphrase_file)


def set_secrets(
    stack: str, folder: Path, file: Path, secrets: Mapping[str, str], passphrase_file: Path | None = None
) -> None:
    """Encrypt values, by Pulumi's notation with the namespace, into a file that has the parameters of a stack's key.

    The values go through a pipe. The passphrase is the environment's where no file has it.
    """
    for path, value in secrets.items():
        command = ["config", "set", "--stack", stack, "--config-file", str(file), "--secret", "--path", path]
        _call(command, folder, value, passphrase_file)


def refresh(stack: str, folder: Path, urns: Sequence[str]) -> None:
    """Remove those of these resources from the state that are gone."""
    targets = [argument for urn in urns for argument in ("--target", urn)]
    _call(["refresh", "--yes", "--skip-preview", "--non-interactive", "--stack", stack, *targets], folder)


def tags(stack: str, folder: Path) -> dict[str, str]:
    """The stack's tags, which are no part of its state; needs neither lock nor passphrase."""
    values: dict[str, str] | None = _json(["stack", "tag", "ls", "--json", "--stack", stack], folder)
    if values is None:  # all that the CLI prints where it cannot read them
        raise UserError(
            f"the tags of the stack {stack} cannot be read, so the commit deployed to it last is unknown."
            " Look at its file in the backend, .pulumi/stacks/PROJECT/STACK.pulumi-tags, then run this again"
        )
    return values


def set_tag(stack: str, folder: Path, name: str, value: str) -> None:
    """Give the stack a tag."""
    _call(["stack", "tag", "set", name, value, "--stack", stack], folder)


def backend(folder: Path) -> str:
    """The backend's URL, from `pulumi login` or PULUMI_BACKEND_URL."""
    return str(_json(["whoami", "--verbose", "--json"], folder)["url"])


def cancel(stack: str, folder: Path) -> None:
    """Remove the stack's locks."""
    _call(["cancel", "--yes", "--stack", stack], folder)


def become_up(stack: str, folder: Path, args: Sequence[str], may_go: Collection[str]) -> NoReturn:
    """Replace this process by `pulumi up` with these options; for `may_go` see `up`."""
    os.chdir(folder)
    sys.stdout.flush()  # what is buffered would be lost
    command = ["up", "--stack", stack, *args]
    environment = _environment(command) | deletions.variable(may_go)
    os.execvpe("pulumi", ["pulumi", *command], environment)  # noqa: S606 - nothing in it needs a shell


def _json(command: Sequence[str], folder: Path) -> Any:
    return json.loads(_call(command, folder))


def _call(command: Sequence[str], folder: Path, stdin: str | None = None, passphrase_file: Path | None = None) -> str:
    done = _run(command, folder, stdin, passphrase_file)
    if done.returncode != 0:
        raise _failed(command, done)
    return done.stdout


def _run(
    command: Sequence[str], folder: Path, stdin: str | None = None, passphrase_file: Path | None = None
) -> subprocess.CompletedProcess[str]:
    environment = _environment(command)
    if passphrase_file is not None:
        environment.pop("PULUMI_CONFIG_PASSPHRASE", None)
        environment["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(passphrase_file.absolute())
    try:
        return subprocess.run(
            ["pulumi", *command],
            cwd=folder,
            env=environment,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise UserError(_MISSING) from None


def _failed(command: Sequence[str], done: subprocess.CompletedProcess[str]) -> UserError:
    failure = f"`pulumi {' '.join(command)}` failed: {done.stderr.strip() or done.stdout.strip()}"
    advice = passphrase.advice(done.stderr, os.environ)
    return UserError(failure if advice is None else f"{advice}.\n{failure}")
