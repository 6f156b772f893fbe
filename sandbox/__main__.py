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

from meltanodata.cli.usage import Commands
from meltanodata.errors import UserError
from sandbox import browser, checks, choice, project, pulumi
from sandbox.acme import pebble
from sandbox.api.messages import NewSnapshot
from sandbox.control import Control, ControlError
from sandbox.engine.obtain import EngineError, obtain
from sandbox.engine.official import why_not_official
from sandbox.fault import app as fault
from sandbox.home import PROJECT, Home
from sandbox.keys import Keys
from sandbox.running import AlreadyRunningError, Kind, NotRunningError, Running, lock_holder

if TYPE_CHECKING:
    from sandbox.choice import Choice
    from sandbox.engine.obtain import Engine

app = typer.Typer(
    cls=Commands,
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
    checks.CheckError,
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
        metavar="KIND",
        help="real: machines with systemd; light: SSH servers that record commands. Default: light if it was light at "
        "the last start, else real if possible.",
    ),
]
Databases = Annotated[
    Kind | None,
    typer.Option(metavar="KIND", help="real: PostgreSQL servers; light: the API's answers alone. Default: likewise."),
]
Plugins = Annotated[
    Literal["auto", "official", "stand-in"],
    typer.Option(
        metavar="KIND",
        help="official: Pulumi's plugins, on PATH or downloaded; stand-in: the sandbox's; auto: official if possible.",
    ),
]


Acme = Annotated[
    bool,
    typer.Option(
        "--acme",
        help="Also run an ACME server, for `meltanodata certificate renew`; only until the next stop. It is built once,"
        " in about 30 seconds.",
    ),
]


@app.command()
def start(
    droplets: Droplets = None, databases: Databases = None, plugins: Plugins = "auto", acme: Acme = False
) -> None:
    """Start the sandbox and return when it is ready.

    The first start on a machine builds the engine and the snapshot and installs packages, which takes minutes.
    If a real part is not available, it says why and starts the light one. A sandbox that was light starts light again.
    """
    home = Home.default()
    if lock_holder(home) is not None:
        raise AlreadyRunningError(f"a sandbox already runs in {home.path}: see `python -m sandbox status`")
    engine = obtain(_say)
    if acme:
        pebble.obtain(_say)

    def obstacle(part: str) -> str | None:
        return why_not_official(home, engine, _say) if part == "plugins" else choice.obstacle(part)

    chosen = choice.choose(droplets, databases, plugins, obstacle, choice.Choice.load(home))
    chosen.save(home)
    _launch(home, chosen, acme=acme)
    running = Running.load(home)
    _show(home, running, engine)
    _workplace(home, running, engine)
    print(_next_steps(home))


@app.command()
def stop() -> None:
    """Stop the sandbox. The next start has everything that is in it."""
    home = Home.default()
    if not _stop(home):
        raise NotRunningError(f"no sandbox runs in {home.path}")
    print(f"Stopped the sandbox; its data stay in {home.path}")


@app.command()
def reset() -> None:
    """Delete all droplets, databases and records, Pulumi's state and the project folder.

    A running sandbox keeps running, with the same address and tokens. A stopped one is deleted with its folder.
    """
    home = Home.default()
    if lock_holder(home) is not None:
        running = Running.load(home)
        Control(running).reset()
        _forget_stack(home)
        _workplace(home, running, obtain(_say))
        print("Deleted everything in the sandbox; it keeps running. The project folder is as at first")
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
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name, such as 'Ubuntu meltano-223456789'.")],
    region: Annotated[
        str, typer.Option(metavar="REGION", help="The region in which droplets can be made from it.")
    ] = "nyc3",
) -> None:
    """Add a snapshot to the droplet team, newer than its others.

    It differs by its name only: droplets made from it are like all others.
    """
    running = Running.load(Home.default())
    new = NewSnapshot(team=next(iter(running.teams)), name=name, region=region)
    print(f"snapshot {Control(running).add_snapshot(new)}")


@app.command()
def env(
    team: Annotated[
        str | None, typer.Option(metavar="TEAM", help="Print this team's token too, for doctl and other clients.")
    ] = None,
) -> None:
    """Print the shell commands that lead `meltanodata` and `pulumi` to the sandbox.

    \b
    eval "$(python -m sandbox env)"
    """
    home = Home.default()
    running = Running.load(home)
    engine = obtain(_say)
    _workplace(home, running, engine)
    values = {**pulumi.variables(home, running, engine), "SANDBOX_HOME": str(home.path)}
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


@app.command()
def browse(
    tenant: Annotated[str, typer.Argument(metavar="TENANT", help="The tenant's name, or its whole host name.")],
    port: Annotated[
        int | None,
        typer.Option(
            metavar="PORT", help="Print the commands for a browser on another machine, through an SSH tunnel."
        ),
    ] = None,
) -> None:
    """Open an instance in Chromium, or print the command that does.

    No resolver but the sandbox's own knows its host names. So the browser gets the address from this command, in a
    profile of its own, which also trusts the sandbox's certificates.

    \b
    python -m sandbox browse acme
    python -m sandbox browse acme --port 8443
    """
    home = Home.default()
    running = Running.load(home)
    if running.droplets == "light":
        raise UserError(
            "This sandbox has light droplets, which serve no pages. For real ones see docs/how-to/sandbox.md"
        )
    host = tenant if tenant.endswith(f".{running.domain}") else f"{tenant}.{running.domain}"
    keys = Keys.ensure(home, running.domain)
    address = checks.Person(home, running, keys).address_of(host)
    if address is None:
        raise UserError(f"{host} has no DNS record here. If tenants.yaml has the tenant, deploy it: meltanodata up")
    if port is not None:
        print(browser.through_a_tunnel(keys, host, address, port))
        return
    program = browser.program()
    options = [*browser.as_this_user(), *browser.options(keys, host, address, home.folder("browser"))]
    command = [program or "chromium", *options, f"https://{host}/"]
    if program is None or not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        _say(
            f"This machine has no {'Chromium' if program is None else 'display'}. For another machine add --port 8443."
        )
        print(shlex.join(command))
        return
    silent = subprocess.DEVNULL
    subprocess.Popen(command, stdin=silent, stdout=silent, stderr=silent, start_new_session=True)
    print(f"Opened https://{host}/ (at {address})")


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


def _launch(home: Home, chosen: Choice, *, acme: bool = False) -> None:
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
                *(["--acme"] if acme else []),
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
    """Delete Pulumi's state, since its objects are gone, and what is in the project folder, where a shell may be."""
    shutil.rmtree(home.path / "state", ignore_errors=True)
    for path in _project(home).glob("*"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _project(home: Home) -> Path:
    return home.path / "project"


def _workplace(home: Home, running: Running, engine: Engine) -> None:
    """Prepare the project folder as the how-to pages need it."""
    folder = pulumi.prepare(home, running, engine)
    project.equip(folder, Keys.ensure(home, running.domain), running.domain)


def _next_steps(home: Home) -> str:
    """What somebody types next, as lines to paste into the shell."""
    default = home.path == PROJECT / ".sandbox"
    whose = "" if default else f"SANDBOX_HOME={shlex.quote(str(home.path))} "
    return (
        "\nTo use it, paste these lines. docs/how-to can be followed in that folder word for word.\n"
        f'  eval "$({whose}{_me()} env)"\n'
        f"  cd {shlex.quote(_short(_project(home)))}\n"
        "  meltanodata plan\n"
        "  meltanodata up\n"
        "To open an instance in a browser: python -m sandbox browse acme\n"
        "To end it: python -m sandbox stop"
    )


def _short(path: Path) -> str:
    """A path as somebody can type it in the working directory."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _show(home: Home, running: Running, engine: Engine | None) -> None:
    chosen = choice.Choice.load(home)
    reasons = chosen.reasons if chosen else {}
    address, port = running.resolver
    table = Table("part", "runs as", "", box=None, pad_edge=False)
    table.add_row("API", running.api_url, f"{len(running.teams)} teams, domain {running.domain}")
    table.add_row("droplets", running.droplets, reasons.get("droplets", ""))
    table.add_row("databases", running.databases, reasons.get("databases", ""))
    table.add_row("DNS", f"{address}:{port}", "")
    if running.acme is not None:
        table.add_row("ACME server", running.acme.directory, "the stack's setting certificate_renewal")
    table.add_row("plugins", running.plugins, reasons.get("plugins", ""))
    if engine is not None:
        table.add_row("engine", f"pulumi {engine.version}", str(engine.command))
    _console().print(table)
    print(f"home: {home.path}")


def _me() -> str:
    """This command as somebody can type it in the working directory."""
    return f"{shlex.quote(_short(Path(sys.executable)))} -m sandbox"


def _console() -> Console:
    """A console as wide as its text, unless a terminal limits it."""
    return Console(width=None if sys.stdout.isatty() else 200)


if __name__ == "__main__":
    main()
