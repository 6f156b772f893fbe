"""Pulumi's CLI as our commands run it.

Everywhere `stack` is the stack's name, and `folder` the one with Pulumi.yaml. A call that fails raises a UserError with
what the CLI printed: there is no CLI or one of another version, no such stack, no access to its state, the passphrase
is wrong.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from subprocess import PIPE
from threading import Thread
from typing import IO, TYPE_CHECKING, Any, TextIO

from meltanodata import terminal
from meltanodata.config.stacks import Project
from meltanodata.engine import cli_version, deletions, interrupts, passphrase, state_folder
from meltanodata.engine.stack_state import StackState
from meltanodata.errors import InterruptedRunError, UserError

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
        raise _failed(command, done, folder) from None
    if done.returncode != 0 and not any(line.get("severity") == "error" for line in printed.get("diagnostics") or []):
        printed.setdefault("diagnostics", []).append({"severity": "error", "message": done.stderr.strip()})
    return printed


def show_preview(stack: str, folder: Path, arguments: Sequence[str]) -> None:
    """Let the engine print every property that would change; a failure does not matter."""
    command = ["preview", "--diff", "--suppress-outputs", "--stack", stack, *arguments]
    cli_version.refuse_other()
    subprocess.run(["pulumi", *command], cwd=folder, env=_environment(command), check=False)


_LOCKED = (
    "Nothing was changed. If the run that holds the lock is still running, wait. If it was killed (its machine is gone,"
    " or its job has ended), remove the lock: pulumi cancel --stack {stack}; then run this again, and it continues"
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

    A tenant that fails does not stop the others. Only the targets' URNs may be touched, or everything for None.
    `may_go` has the tenants whose databases may be deleted.

    Raises:
        InterruptedRunError: there was an interrupt, which was handed on, and the engine has ended what it had begun; a
            second one ends it at once. Comes behind the last event.
    """
    command = ["up", "--json", "--yes", "--skip-preview", "--non-interactive", "--continue-on-error", "--stack", stack]
    command += _REFRESH if refresh else ()
    command += [argument for urn in targets or () for argument in ("--target", urn)]
    ended = False
    # Debugging lines among the events show properties, so the events go through a pipe and are never stored.
    with tempfile.TemporaryFile("w+") as stderr:
        with (
            interrupts.handed_on(_TO_ENGINE) as signals,
            _started(command, folder, stderr, deletions.variable(may_go)) as process,
        ):
            signals.go_to(process)
            try:
                for line in process.stdout or ():
                    try:
                        event: dict[str, Any] = json.loads(line)
                    except ValueError:  # the engine was killed while it wrote this line
                        continue
                    ended = ended or "summaryEvent" in event
                    yield event
            except BaseException:
                # With its output closed the engine would be killed by the next line that it prints.
                process.send_signal(signal.SIGINT)
                for _ in process.stdout or ():
                    pass
                raise
        if signals.came:
            raise InterruptedRunError("Interrupted")
        if process.returncode != 0 and not ended:
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


def _started(
    command: Sequence[str], folder: Path, stderr: IO[str] | int | None, more: dict[str, str], stdout: int | None = PIPE
) -> subprocess.Popen[str]:
    cli_version.refuse_other()
    return subprocess.Popen(
        ["pulumi", *command],
        cwd=folder,
        env=_environment(command) | more,
        stdout=stdout,
        stderr=stderr,
        text=True,
        start_new_session=True,  # the terminal's interrupt reaches it once, through us
    )


_TO_ENGINE: Mapping[int, int] = {signal.SIGINT: signal.SIGINT, signal.SIGTERM: signal.SIGINT}
"""What the engine gets for a signal: after the first one it ends what it has begun, a second one ends it at once."""


@contextmanager
def despite_hangup() -> Iterator[None]:
    """Go on to the end if the terminal is closed meanwhile, and so does every process that is started."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


def config(stack: str, folder: Path, file: Path | None = None) -> dict[str, str]:
    """The stack's config with its secrets decrypted, structured values as JSON; never to be shown or stored.

    `file` is read instead of the stack's own.
    """
    other = [] if file is None else ["--config-file", str(file)]
    command = ["config", "--json", "--show-secrets", "--stack", stack, *other]
    settings: dict[str, dict[str, Any]] = _json(command, folder)
    return {key: setting["value"] for key, setting in settings.items() if setting.get("value") is not None}


def outputs(stack: str, folder: Path) -> dict[str, Any]:
    """The stack's outputs with their secrets decrypted; never to be stored."""
    values: dict[str, Any] = _json(["stack", "output", "--json", "--show-secrets", "--stack", stack], folder)
    return values


def export(stack: str, folder: Path, *, show_secrets: bool = False) -> dict[str, Any]:
    """The stack's state as `pulumi stack export` prints it, secrets encrypted; needs neither lock nor passphrase.

    With its secrets decrypted it needs the passphrase, and must not be shown or stored.
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


def history(stack: str, folder: Path) -> list[dict[str, Any]]:
    """The last runs that wrote the stack's state, newest first; needs neither lock nor passphrase."""
    command = ["stack", "history", "--json", "--stack", stack, "--page-size", str(_RUNS), "--page", "1"]
    runs: list[dict[str, Any]] | None = _json(command, folder)
    return runs or []


_RUNS = 200
"""The runs that are read of a history, a file each."""


def replace_state(stack: str, folder: Path, exported: Mapping[str, Any], passphrase_file: Path | None = None) -> None:
    """Replace the stack's state, as `pulumi stack import` does; plain secrets become encrypted."""
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


def shown_up(stack: str, folder: Path, args: Sequence[str], may_go: Collection[str]) -> int:
    """Run `pulumi up` with these options, and print what it prints; returns its exit code. For `may_go` see `up`.

    A terminal is the engine's own. Anything else is written by us, since the engine is killed by a pipe that nobody
    reads any more.

    Raises:
        InterruptedRunError: as in `up`. An interrupt that the engine reads from the terminal itself raises nothing.
    """
    sys.stdout.flush()
    command = ["up", "--stack", stack, *args]
    out, err = (None if stream.isatty() else PIPE for stream in (sys.stdout, sys.stderr))
    if out == err == PIPE and _are_one(sys.stdout, sys.stderr):
        err = subprocess.STDOUT  # its lines stay in their order
    with (
        despite_hangup(),
        interrupts.handed_on(_TO_ENGINE) as signals,
        _started(command, folder, err, deletions.variable(may_go), out) as process,
    ):
        signals.go_to(process)
        pipes = ((process.stdout, sys.stdout), (process.stderr, sys.stderr))
        threads = [Thread(target=_relay, args=(pipe, to), daemon=True) for pipe, to in pipes if pipe is not None]
        for thread in threads:
            thread.start()
        code = process.wait()
        for thread in threads:
            thread.join(_REST)
    if signals.handed_on and code != 0:
        raise InterruptedRunError("Interrupted")
    return code if code >= 0 else 128 - code


_REST = 10.0
"""Seconds for what the engine printed last. What it started may outlive it, and keeps its output open."""


def _relay(pipe: IO[str], to: TextIO) -> None:
    while data := os.read(pipe.fileno(), 1 << 16):
        terminal.pass_on(to, data)


def _are_one(*streams: TextIO) -> bool:
    """Whether all streams go to the same file."""
    try:
        files = [os.fstat(stream.fileno()) for stream in streams]
    except (OSError, ValueError):
        return False
    return len({(file.st_dev, file.st_ino) for file in files}) == 1


def _json(command: Sequence[str], folder: Path) -> Any:
    return json.loads(_call(command, folder))


def _call(command: Sequence[str], folder: Path, stdin: str | None = None, passphrase_file: Path | None = None) -> str:
    done = _run(command, folder, stdin, passphrase_file)
    if done.returncode != 0:
        raise _failed(command, done, folder)
    return done.stdout


def _run(
    command: Sequence[str], folder: Path, stdin: str | None = None, passphrase_file: Path | None = None
) -> subprocess.CompletedProcess[str]:
    environment = _environment(command)
    if passphrase_file is not None:
        environment.pop("PULUMI_CONFIG_PASSPHRASE", None)
        environment["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(passphrase_file.absolute())
    cli_version.refuse_other()
    # `subprocess.run` would kill it at an interrupt, and what it was writing stays half-done and locked.
    with interrupts.handed_on(_TO_ENGINE) as signals:
        process = subprocess.Popen(
            ["pulumi", *command],
            cwd=folder,
            env=environment,
            stdin=None if stdin is None else PIPE,
            stdout=PIPE,
            stderr=PIPE,
            text=True,
            start_new_session=True,
        )
        with process:
            signals.go_to(process)
            stdout, stderr = process.communicate(stdin)
    if signals.came:
        raise KeyboardInterrupt
    return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)


def _failed(command: Sequence[str], done: subprocess.CompletedProcess[str], folder: Path) -> UserError:
    said = done.stderr.strip() or done.stdout.strip()
    if any(words in said for words in _DAMAGED):
        said = f"{said}\n{_damage(command, folder)}".rstrip()
    failure = f"`pulumi {' '.join(command)}` failed: {said}"
    advice = passphrase.advice(done.stderr, os.environ)
    return UserError(failure if advice is None else f"{advice}.\n{failure}")


_DAMAGED = ("unexpected end of JSON input", "failed to load checkpoint", "unexpected EOF")
"""What the CLI says of a state that is cut off, without its file and what to do."""


def _damage(command: Sequence[str], folder: Path) -> str:
    """What is wrong with the states that a call of the CLI read, in a backend that is a folder."""
    files = state_folder.path(backend(folder))
    if files is None:
        return ""
    name = Project.around(folder).name
    stacks = (
        [command[command.index("--stack") + 1]]
        if "--stack" in command
        else sorted({file.name.partition(".json")[0] for file in (files / "stacks" / name).glob("*.json*")})
    )
    return "\n".join(filter(None, (state_folder.damage(files, name, stack) for stack in stacks)))
