"""A DigitalOcean on one machine: `python -m sandbox start`, then `python -m sandbox pulumi up`.

Exit codes: 0 all is well, 1 something is to be mended (the message says what), 2 the command was called wrongly.
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
"""What a person can mend: shown without a traceback."""


def main() -> None:
    """Run the command."""
    try:
        app()
    except _REFUSALS as error:
        print(error, file=sys.stderr)
        sys.exit(1)
    except requests.ConnectionError:
        print(f"the sandbox does not answer; its log is {_log(Home.default())}", file=sys.stderr)
        sys.exit(1)


Droplets = Annotated[
    Kind | None, typer.Option(help="Systemd machines, or SSH servers that record. Default: real if possible.")
]
Databases = Annotated[Kind | None, typer.Option(help="PostgreSQL servers, or answers only. Default: real if possible.")]
Plugins = Annotated[
    Literal["auto", "official", "stand-in"],
    typer.Option(help="Pulumi's own plugins, on PATH or downloaded, or the sandbox's stand-ins."),
]


@app.command()
def start(droplets: Droplets = None, databases: Databases = None, plugins: Plugins = "auto") -> None:
    """Start the sandbox and return when it is ready.

    The first time on a machine it makes what is missing (engine, snapshot, packages), which takes minutes.
    Where something real cannot be had it says why and starts the light form.
    """
    home = Home.default()
    if lock_holder(home) is not None:
        raise AlreadyRunningError(f"a sandbox runs in {home.path} already: see `python -m sandbox status`")
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
    """Stop the sandbox; everything in it is kept for the next start."""
    home = Home.default()
    if not _stop(home):
        raise NotRunningError(f"no sandbox runs in {home.path}")
    print(f"stopped; what was in it is kept in {home.path}")


@app.command()
def reset() -> None:
    """Remove everything that was made in the sandbox: droplets, databases, records, Pulumi's state.

    One that runs goes on running, with the same address and tokens. One that does not is removed whole.
    """
    home = Home.default()
    if lock_holder(home) is not None:
        Control(Running.load(home)).reset()
        _forget_stack(home)
        print("everything made in the sandbox is gone; it runs on")
        return
    chosen = choice.Choice.load(home)
    if chosen is None:
        print(f"no sandbox was ever started in {home.path}")
        return
    # Disks, mounts and data directories are the backends' to remove, also those that a killed sandbox left.
    _launch(home, chosen)
    Control(Running.load(home)).reset()
    _stop(home)
    shutil.rmtree(home.path)
    print(f"{home.path} is gone")


@app.command()
def status() -> None:
    """Show what runs and what it holds; exit code 1 when no sandbox runs."""
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
    print(f"{report.records} DNS records, {report.faults} faults on order")
    for failure in report.failures:
        print(f"failed: {failure}")


@app.command()
def snapshot(
    name: Annotated[str, typer.Argument(help="Such as 'Ubuntu meltano-223456789'.")],
    region: Annotated[str, typer.Option(help="Where droplets can be made of it.")] = "nyc3",
) -> None:
    """Add a snapshot to the droplet team, newer than those that are there.

    By its name only: droplets made of it are like all others.
    """
    running = Running.load(Home.default())
    new = NewSnapshot(team=next(iter(running.teams)), name=name, region=region)
    print(f"snapshot {Control(running).add_snapshot(new)}")


@app.command()
def env(
    team: Annotated[str | None, typer.Option(help="Also that team's token, for doctl and other clients.")] = None,
) -> None:
    """Print what a shell needs to be a client of the sandbox: eval "$(python -m sandbox env)"."""
    home = Home.default()
    running = Running.load(home)
    engine = obtain(_say)
    pulumi.prepare(home, running, engine)
    values = pulumi.variables(home, running, engine)
    if team is not None:
        if team not in running.teams:
            raise UserError(f"no team {team!r}; there are: {', '.join(running.teams)}")
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
        UserError: it ended before; its last words.
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
    raise UserError(f"the sandbox did not start (status {code}); its log is {_log(home)}")


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
            raise UserError(f"the sandbox (process {process}) does not stop; its log is {_log(home)}")
        time.sleep(0.05)
    return True


def _forget_stack(home: Home) -> None:
    """Pulumi's state is of what is gone."""
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
    """This command as it can be typed here."""
    python = Path(sys.executable)
    short = python.relative_to(Path.cwd()) if python.is_relative_to(Path.cwd()) else python
    return f"{short} -m sandbox"


def _console() -> Console:
    """As wide as the text when nobody's terminal limits it."""
    return Console(width=None if sys.stdout.isatty() else 200)


if __name__ == "__main__":
    main()
