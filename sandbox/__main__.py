"""A DigitalOcean on one machine: `python -m sandbox start`, then `python -m sandbox pulumi up`.

Exit codes: 0 success, 1 an error (the message says what to do), 2 wrong usage.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import requests
import typer
from rich.console import Console
from rich.table import Table

from meltanodata.errors import UserError
from sandbox import choice, pulumi
from sandbox.api.messages import NewSnapshot
from sandbox.control import Control, ControlError
from sandbox.engine.obtain import EngineError, obtain
from sandbox.engine.official import why_not_official
from sandbox.fault import app as fault
from sandbox.home import PROJECT, Home
from sandbox.running import AlreadyRunningError, Kind, NotRunningError, Running, lock_holder

if TYPE_CHECKING:
    from sandbox.choice import Choice
    from sandbox.engine.obtain import Engine

app = typer.Typer(
    help="A DigitalOcean on one machine.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(fault, name="fault")

_STOP_SECONDS = 90
_REFUSALS = (
    AlreadyRunningError,
    ControlError,
    EngineError,
    NotRunningError,
    UserError,
    choice.CannotBeHadError,
    pulumi.PulumiError,
)
"""Errors that a person can fix: shown without a traceback."""


def main() -> None:
    """Run the command."""
    try:
        app()
    except _REFUSALS as error:
        print(error, file=sys.stderr)
        sys.exit(1)
    except requests.ConnectionError:
        print(f"The sandbox does not answer. See its log: {_log(Home.default())}", file=sys.stderr)
        sys.exit(1)


Droplets = Annotated[
    Kind | None,
    typer.Option(
        help="Real: machines with systemd. Light: SSH servers that record commands. Default: real if possible."
    ),
]
Databases = Annotated[
    Kind | None,
    typer.Option(help="Real: PostgreSQL servers. Light: the API's answers alone. Default: real if possible."),
]
Plugins = Annotated[
    Literal["auto", "official", "stand-in"],
    typer.Option(help="Official: Pulumi's plugins, on PATH or downloaded. Stand-in: the sandbox's."),
]


@app.command()
def start(droplets: Droplets = None, databases: Databases = None, plugins: Plugins = "auto") -> None:
    """Start the sandbox and return when it is ready.

    The first start on a machine builds the engine and the snapshot and installs packages, which takes minutes.
    If a real part is not available, it says why and starts the light one.
    """
    home = Home.default()
    if lock_holder(home) is not None:
        raise AlreadyRunningError(f"a sandbox already runs in {home.path}: see `python -m sandbox status`")
    engine = obtain(_say)

    def obstacle(part: str) -> str | None:
        return why_not_official(home, engine, _say) if part == "plugins" else choice.obstacle(part)

    chosen = choice.choose(droplets, databases, plugins, obstacle)
    chosen.save(home)
    _launch(home, chosen)
    _show(home, Running.load(home), engine)
    print(f"next: {_me()} pulumi up, {_me()} stop, or {_me()} --help")


@app.command()
def stop() -> None:
    """Stop the sandbox. The next start has everything that is in it."""
    home = Home.default()
    if not _stop(home):
        raise NotRunningError(f"no sandbox runs in {home.path}")
    print(f"Stopped the sandbox; its data stay in {home.path}")


@app.command()
def reset() -> None:
    """Delete everything that was made in the sandbox: droplets, databases, records, Pulumi's state.

    A running sandbox keeps running, with the same address and tokens. A stopped one is deleted with its folder.
    """
    home = Home.default()
    if lock_holder(home) is not None:
        Control(Running.load(home)).reset()
        _forget_stack(home)
        print("Deleted everything in the sandbox; it keeps running")
        return
    chosen = choice.Choice.load(home)
    if chosen is None:
        print(f"No sandbox was ever started in {home.path}")
        return
    # Disks, mounts and data directories are the backends' to remove, also those that a killed sandbox left.
    _launch(home, chosen)
    Control(Running.load(home)).reset()
    _stop(home)
    shutil.rmtree(home.path)
    print(f"Deleted {home.path}")


@app.command()
def status() -> None:
    """Show the sandbox's parts and what it holds. Exit code 1: no sandbox runs."""
    home = Home.default()
    running = Running.load(home)
    report = Control(running).status()
    _show(home, running, None)
    table = Table("team", "droplets", "databases", box=None, pad_edge=False)
    for team in report.teams:
        table.add_row(
            team.name,
            f"{team.droplets} of {team.droplet_limit}",
            f"{team.databases} of {team.database_limit}",
        )
    _console().print(table)
    print(f"{report.records} DNS records, {report.faults} active faults")
    for failure in report.failures:
        print(f"failed: {failure}")


@app.command()
def snapshot(
    name: Annotated[str, typer.Argument(help="Such as 'Ubuntu meltano-223456789'.")],
    region: Annotated[str, typer.Option(help="The region in which droplets can be made from it.")] = "nyc3",
) -> None:
    """Add a snapshot to the droplet team, newer than its others.

    It differs by its name only: droplets made from it are like all others.
    """
    running = Running.load(Home.default())
    new = NewSnapshot(team=next(iter(running.teams)), name=name, region=region)
    print(f"snapshot {Control(running).add_snapshot(new)}")


@app.command()
def env(
    team: Annotated[str | None, typer.Option(help="Print this team's token too, for doctl and other clients.")] = None,
) -> None:
    """Print the variables that make a shell a client of the sandbox: eval "$(python -m sandbox env)"."""
    home = Home.default()
    running = Running.load(home)
    engine = obtain(_say)
    pulumi.prepare(home, running, engine)
    values = pulumi.variables(home, running, engine)
    if team is not None:
        if team not in running.teams:
            raise UserError(f"no team {team!r}; the teams are: {', '.join(running.teams)}")
        token = running.teams[team].token
        values |= {"DIGITALOCEAN_TOKEN": token, "DIGITALOCEAN_ACCESS_TOKEN": token}
    for name in pulumi.foreign(os.environ):
        if name not in values:
            print(f"unset {name}")
    for name, value in values.items():
        print(f"export {name}={shlex.quote(value)}")


@app.command(
    "pulumi",
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def run_pulumi(context: typer.Context) -> None:
    """Run Pulumi's CLI on the sandbox's stack, such as: python -m sandbox pulumi preview."""
    home = Home.default()
    running = Running.load(home)
    sys.exit(pulumi.run(home, running, obtain(_say), context.args))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _log(home: Home) -> str:
    return str(home.path / "sandbox.log")


def _launch(home: Home, chosen: Choice) -> None:
    """Start the server in the background and wait until it is ready.

    Raises:
        UserError: it ended before.
    """
    home.folder(".")
    with open(_log(home), "a+b") as log:  # noqa: PTH123
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "sandbox.server"),
                *("--droplets", chosen.droplets, "--databases", chosen.databases, "--plugins", chosen.plugins),
            ],
            cwd=PROJECT,
            env={**os.environ, "SANDBOX_HOME": str(home.path)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
            text=True,
        )
        assert process.stdout is not None  # noqa: S101 (asked for above)
        try:
            for line in process.stdout:
                if line.strip() == "ready":
                    return
                _say(f"sandbox: {line.strip()}")
        except BaseException:
            process.terminate()
            process.wait()
            raise
        code = process.wait()
    raise UserError(f"the sandbox did not start (exit code {code}). See its log: {_log(home)}")


def _stop(home: Home) -> bool:
    """Stop the server and wait for its end; False when there is none."""
    process = lock_holder(home)
    if process is None:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_SECONDS
    while lock_holder(home) == process:
        if time.monotonic() > deadline:
            raise UserError(f"the sandbox (process {process}) does not stop. See its log: {_log(home)}")
        time.sleep(0.05)
    return True


def _forget_stack(home: Home) -> None:
    """Delete Pulumi's state: its objects are gone."""
    for folder in ("state", "project"):
        shutil.rmtree(home.path / folder, ignore_errors=True)


def _show(home: Home, running: Running, engine: Engine | None) -> None:
    chosen = choice.Choice.load(home)
    reasons = chosen.reasons if chosen else {}
    address, port = running.resolver
    table = Table("part", "runs as", "", box=None, pad_edge=False)
    table.add_row("API", running.api_url, f"{len(running.teams)} teams, domain {running.domain}")
    table.add_row("droplets", running.droplets, reasons.get("droplets", ""))
    table.add_row("databases", running.databases, reasons.get("databases", ""))
    table.add_row("DNS", f"{address}:{port}", "")
    table.add_row("plugins", running.plugins, reasons.get("plugins", ""))
    if engine is not None:
        table.add_row("engine", f"pulumi {engine.version}", str(engine.command))
    _console().print(table)
    print(f"home: {home.path}")


def _me() -> str:
    """This command as somebody can type it in the working directory."""
    python = Path(sys.executable)
    short = python.relative_to(Path.cwd()) if python.is_relative_to(Path.cwd()) else python
    return f"{short} -m sandbox"


def _console() -> Console:
    """A console as wide as its text, unless a terminal limits it."""
    return Console(width=None if sys.stdout.isatty() else 200)


if __name__ == "__main__":
    main()
