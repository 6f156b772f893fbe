"""Pulumi's CLI as our commands run it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, NoReturn

from meltanodata.engine import deletions
from meltanodata.engine.stack_state import StackState
from meltanodata.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path


def preview(stack: str, folder: Path, *, refresh: bool = False, arguments: Sequence[str] = ()) -> dict[str, Any]:
    """What `pulumi preview --json` prints; a preview that fails says why in its diagnostics.

    Args:
        stack: the stack's name.
        folder: the one with Pulumi.yaml.
        refresh: look at the world first, with the program's own tokens and not the state's.
        arguments: more of the command's options.

    Raises:
        UserError: there is no CLI, or it did not get as far as a preview (no such stack, no access to its state).
    """
    command = ["preview", "--json", "--non-interactive", "--stack", stack, *(_REFRESH if refresh else ())]
    command += arguments
    done = _run(command, folder)
    try:
        found: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise _failed(command, done) from None
    if done.returncode != 0 and not any(line.get("severity") == "error" for line in found.get("diagnostics") or []):
        found.setdefault("diagnostics", []).append({"severity": "error", "message": done.stderr.strip()})
    return found


def show_preview(stack: str, folder: Path, arguments: Sequence[str]) -> None:
    """Let the engine print every property that would change; whether that fails does not matter.

    Args:
        stack: the stack's name.
        folder: the one with Pulumi.yaml.
        arguments: more of `pulumi preview`'s options.
    """
    command = ["preview", "--diff", "--suppress-outputs", "--stack", stack, *arguments]
    subprocess.run(["pulumi", *command], cwd=folder, env=_environment(command), check=False)


_MISSING = "pulumi is not on the PATH; put its folder there"
_LOCKED = (
    "Nothing was changed. If whoever holds the lock is still at work, wait. If it is a run that died (its machine is"
    " gone, or its job has ended), remove the lock by: pulumi cancel --stack {stack}; then run this again, and it goes"
    " on with what that run had begun."
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

    Tenants that fail hold up nobody else. An interrupt is handed on, and the engine ends what it has begun.

    Args:
        stack: the stack's name.
        folder: the one with Pulumi.yaml.
        targets: the URNs that may be touched; None for everything.
        refresh: see `preview`.
        may_go: the tenants whose databases may be deleted, see `deletions`.

    Raises:
        UserError: the engine did not get as far as applying: the stack is locked, say.
    """
    command = ["up", "--json", "--yes", "--skip-preview", "--non-interactive", "--continue-on-error", "--stack", stack]
    command += _REFRESH if refresh else ()
    command += [argument for urn in targets or () for argument in ("--target", urn)]
    ended = False
    # The events have debugging lines with properties in them: they go through a pipe and are never kept.
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
            said = f"`pulumi up` failed: {stderr.read().strip()}"
            raise UserError(f"{said}\n{_LOCKED.format(stack=stack)}" if "is currently locked by" in said else said)


PARALLEL = 48
"""Operations at a time, if PULUMI_PARALLEL does not say otherwise. They wait: for droplets, for clusters, for SSH. The
engine's own four a core made tenants stand in a queue for those waits; requests have their limit in the settings."""

MEMORY = "420MiB"
"""What the engine may have of memory before Go collects garbage sooner, if GOMEMLIMIT does not say otherwise. A full
stack made at once has 360 MiB in use at the end, and by Go's own rule its heap may then be twice as large."""

REFRESH_MEMORY = "800MiB"
"""The same for what refreshes: the engine then has more in use, and with less than this it mostly collects garbage."""


def _environment(command: Sequence[str]) -> dict[str, str]:
    """That of the CLI with these arguments."""
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
    """Hand interrupts on to a process, for which they mean: end what you have begun."""

    def hand_on(*_: object) -> None:
        process.send_signal(signal.SIGINT)

    before = {number: signal.signal(number, hand_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def config(stack: str, folder: Path) -> dict[str, str]:
    """The stack's config with its secrets in the open, structured values as JSON; never to be shown or kept.

    Raises:
        UserError: as for `export`, and without the passphrase.
    """
    found: dict[str, dict[str, Any]] = json.loads(
        _call(["config", "--json", "--show-secrets", "--stack", stack], folder)
    )
    return {key: entry["value"] for key, entry in found.items() if entry.get("value") is not None}


def outputs(stack: str, folder: Path) -> dict[str, Any]:
    """The stack's outputs with their secrets in the open; never to be kept.

    Raises:
        UserError: as for `config`.
    """
    found: dict[str, Any] = json.loads(_call(["stack", "output", "--json", "--show-secrets", "--stack", stack], folder))
    return found


def export(stack: str, folder: Path, *, show_secrets: bool = False) -> dict[str, Any]:
    """The stack's state as `pulumi stack export` prints it, secrets encrypted; needs neither lock nor passphrase.

    With its secrets in the open it needs the passphrase, and must not be shown or kept.

    Raises:
        UserError: there is no CLI, no such stack, or no access to its state.
    """
    found: dict[str, Any] = json.loads(
        _call(["stack", "export", "--stack", stack, *(["--show-secrets"] if show_secrets else [])], folder)
    )
    return found


def state(stack: str, folder: Path, *, show_secrets: bool = False) -> StackState:
    """The stack's state, for who only reads it; see `export`."""
    return StackState(export(stack, folder, show_secrets=True) if show_secrets else export(stack, folder))


def stacks(folder: Path) -> list[str]:
    """The project's stacks that the backend knows, with a file at hand or without.

    Raises:
        UserError: as for `export`.
    """
    found: list[dict[str, Any]] = json.loads(_call(["stack", "ls", "--json"], folder))
    return [stack["name"].rpartition("/")[2] for stack in found]


def replace_state(stack: str, folder: Path, exported: Mapping[str, Any], passphrase_file: Path | None = None) -> None:
    """Put a state in the place of the stack's, as `pulumi stack import` does; secrets in the open become encrypted.

    Raises:
        UserError: as for `export`, and when the stack is locked.
    """
    _call(["stack", "import", "--stack", stack], folder, json.dumps(exported), passphrase_file)


def set_secrets(
    stack: str, folder: Path, file: Path, secrets: Mapping[str, str], passphrase_file: Path | None = None
) -> None:
    """Encrypt values with a stack's key into a file of its settings.

    Args:
        stack: the stack's name.
        folder: the one with Pulumi.yaml.
        file: to write to, with the key's parameters in it.
        secrets: by Pulumi's notation, with the namespace; they go through a pipe.
        passphrase_file: the stack's, where it is not the one of the environment.

    Raises:
        UserError: the passphrase is another one.
    """
    for path, value in secrets.items():
        command = ["config", "set", "--stack", stack, "--config-file", str(file), "--secret", "--path", path]
        _call(command, folder, value, passphrase_file)


def refresh(stack: str, folder: Path, urns: Sequence[str]) -> None:
    """Let the state forget those of these resources that are gone.

    Raises:
        UserError: as for `replace_state`, and when an account cannot be asked.
    """
    targets = [argument for urn in urns for argument in ("--target", urn)]
    _call(["refresh", "--yes", "--skip-preview", "--non-interactive", "--stack", stack, *targets], folder)


def tags(stack: str, folder: Path) -> dict[str, str]:
    """The stack's tags, which are no part of its state; needs neither lock nor passphrase.

    Raises:
        UserError: as for `export`, and when they cannot be read: of that the CLI says `null` and nothing else.
    """
    command = ["stack", "tag", "ls", "--json", "--stack", stack]
    found: dict[str, str] | None = json.loads(_call(command, folder))
    if found is None:
        raise UserError(
            f"the tags of the stack {stack} cannot be read, so nobody knows which commit was deployed to it last."
            " Look at its file in the backend, .pulumi/stacks/PROJECT/STACK.pulumi-tags, then run this again"
        )
    return found


def set_tag(stack: str, folder: Path, name: str, value: str) -> None:
    """Give the stack a tag.

    Raises:
        UserError: as for `export`, and when the backend may not be written to.
    """
    _call(["stack", "tag", "set", name, value, "--stack", stack], folder)


def backend(folder: Path) -> str:
    """Where the states are: the URL that somebody logged in to, or that PULUMI_BACKEND_URL names."""
    url: str = json.loads(_call(["whoami", "--verbose", "--json"], folder))["url"]
    return url


def cancel(stack: str, folder: Path) -> None:
    """Remove the stack's locks."""
    _call(["cancel", "--yes", "--stack", stack], folder)


def become_up(stack: str, folder: Path, args: Sequence[str], may_go: Collection[str]) -> NoReturn:
    """Go on as `pulumi up`: terminal, signals and exit code are its own from here on.

    Args:
        stack: the stack's name.
        folder: the one with Pulumi.yaml.
        args: the command's other options.
        may_go: see `up`.
    """
    os.chdir(folder)
    sys.stdout.flush()  # the other program has none of what was not written yet
    command = ["up", "--stack", stack, *args]
    environment = _environment(command) | deletions.variable(may_go)
    os.execvpe("pulumi", ["pulumi", *command], environment)  # noqa: S606 - nothing in it needs a shell


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
    return UserError(f"`pulumi {' '.join(command)}` failed: {done.stderr.strip() or done.stdout.strip()}")
