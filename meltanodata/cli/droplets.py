"""`doctor`, `ssh`, `logs`, `restart`, `psql`: the instances that a stack has made."""

from __future__ import annotations

import shutil
import subprocess
import time
from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from meltanodata import terminal
from meltanodata.cli.context import project
from meltanodata.cli.exit_codes import WRONG
from meltanodata.cli.options import SomeStacks, Tenant, Tenants  # noqa: TC001 - typer looks at them
from meltanodata.config import config_commands, fleet, settings_loading
from meltanodata.config.checks import Check
from meltanodata.droplet import layout, openssh
from meltanodata.engine import pulumi_cli
from meltanodata.engine.instances import instances
from meltanodata.errors import UserError
from meltanodata.text import did_you_mean, listing, show

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from typing import TypeAlias

    from pydantic import SecretStr

    from meltanodata.config.fleet import Row
    from meltanodata.config.settings import Settings
    from meltanodata.config.stacks import Project
    from meltanodata.doctor.diagnosis import Finding
    from meltanodata.engine.instances import Instance

    ByStack: TypeAlias = Sequence[tuple[Settings, Mapping[str, Instance]]]

app = typer.Typer()

LOG_LINES = 100
_LOG_SECONDS = 10
"""The time limit for reading a log."""
_SECOND_LOOK = 10
"""Seconds after which a check that failed is repeated: a lost packet must not stop a deployment."""


@app.command()
def doctor(
    tenants: Tenants = None,
    stack: SomeStacks = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print every finding as JSON.")] = False,
) -> None:
    """Examine instances, and say what is wrong and what to do.

    Checks ping, DNS, SSH and its host key, systemd, Meltano's logs, .env, FTP, the database (from the droplet and from
    here), the certificate and the page. Changes nothing. Exit code 1: something is wrong; warnings do not count.

    \b
    meltanodata doctor
    meltanodata doctor acme
    meltanodata doctor --stack prod --json | jq 'map_values(.well)'
    """
    from meltanodata.render import diagnosis_table

    names = tenants or []
    by_stack = _instances(names, stack)
    missing = [row for row in _without_instance(by_stack) if not names or row.key in names]
    _refuse_unknown(names, by_stack, [row.key for row in missing])
    findings: dict[str, list[Finding]] = {}
    for own, made in by_stack:
        if selected := [instance for instance in made.values() if not names or instance.tenant in names]:
            findings |= examine(own, project(), selected)
    findings |= {row.key: [_not_deployed(row, by_stack)] for row in missing}
    if as_json:
        print(terminal.as_json(diagnosis_table.plain(findings), indent=2))
    else:
        console = terminal.console()
        for part in diagnosis_table.shown(findings, {check for own, _ in by_stack for check in own.unchecked}):
            console.print(part, soft_wrap=True)
    if not all(map(diagnosis_table.well, findings.values())):
        raise typer.Exit(WRONG)


@app.command()
def ssh(
    tenant: Tenant,
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="COMMAND", help="What to run, after `--`. Default: a shell."),
    ] = None,
    stack: SomeStacks = None,
) -> None:
    """Sign in to a tenant's droplet as root.

    Runs OpenSSH's client with the pinned host key and the stack's own key. Like ssh it exits with the command's exit
    code.

    \b
    meltanodata ssh acme
    meltanodata ssh acme -- systemctl status
    meltanodata ssh acme -- cat /etc/caddy/Caddyfile > Caddyfile
    """
    own, instance = _one(tenant, stack)
    raise typer.Exit(openssh.run(instance, own.ssh_port, _key(own), command or []))


@app.command()
def logs(
    tenant: Tenant,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Print new lines as they come, until Ctrl-C.")] = False,
    stack: SomeStacks = None,
) -> None:
    """Show the last lines of an instance's logs.

    Prints Meltano's UI log, and the journal of Meltano and Caddy. Unlike the excerpts of `doctor` they may contain
    secrets.

    \b
    meltanodata logs acme
    meltanodata logs acme -f
    """
    own, instance = _one(tenant, stack)
    key = _key(own)
    journal = f"journalctl --unit meltano --unit caddy --no-pager --lines {LOG_LINES}"
    # As the file's owner: the owner can put a link there, which root must not follow.
    tail = f"setpriv --reuid=meltano --regid=meltano --init-groups tail -v -n {LOG_LINES}"
    if not follow:
        # The owner can put a pipe there that nobody writes to.
        command = f"timeout {_LOG_SECONDS} {tail} {layout.UI_LOG}; echo; {journal}"
        raise typer.Exit(openssh.run(instance, own.ssh_port, key, [command], stdin=subprocess.DEVNULL, take=_print))
    # The processes on the droplet end when their standard input closes, which it does however this one ends.
    command = f"{tail} -F {layout.UI_LOG} & {journal} --follow & cat >/dev/null; kill $(jobs -p)"
    openssh.run(instance, own.ssh_port, key, [command], stdin=subprocess.PIPE, take=_print)


class Service(StrEnum):
    """What `restart` restarts."""

    CADDY = "caddy"
    MELTANO = "meltano"


@app.command()
def restart(
    tenant: Tenant,
    only: Annotated[Service | None, typer.Option(metavar="SERVICE", help="caddy or meltano. Default: both.")] = None,
    stack: SomeStacks = None,
) -> None:
    """Restart Meltano and Caddy on a tenant's droplet, and wait for the page.

    Does not ask: visitors get an error for some seconds, and pipelines that Meltano runs there end. Caddy is asked
    first whether it takes its files; if it does not, it runs on. Nothing is restarted while a run works on the
    droplet. Exit code 1: something did not come back, and what.

    \b
    meltanodata restart acme
    meltanodata restart acme --only caddy
    """
    from meltanodata.doctor import restarting
    from meltanodata.render import diagnosis_table

    own, instance = _one(tenant, stack)
    services = restarting.SERVICES if only is None else (only.value,)
    with terminal.progress(f"restarting {' and '.join(services)}", 1):
        findings = restarting.restart(instance, own.ssh_port, _key(own), own.caddy_version, services)
    for line in diagnosis_table.lines(tenant, findings):
        print(line)
    if not diagnosis_table.well(findings):
        raise typer.Exit(WRONG)


@app.command()
def psql(
    tenant: Tenant,
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="ARGUMENT", help="Arguments of psql, after `--`. Default: a prompt.")
    ] = None,
    stack: SomeStacks = None,
) -> None:
    """Open psql on a tenant's database.

    Runs this machine's psql, through the droplet: the database lets in nobody else. The password comes from the stack's
    state. It is in no command line and no environment variable, and is not printed. The exit code is psql's.

    \b
    meltanodata psql acme
    meltanodata psql acme -- --command "SELECT version()"
    meltanodata psql acme -- --file report.sql --csv > report.csv
    """
    from meltanodata.droplet import psql as client

    own, instance = _one(tenant, stack)
    raise typer.Exit(client.run(instance, own.ssh_port, _key(own), arguments or []))


def _print(text: str) -> None:
    """Print a part of a log as plain text, since whoever writes to the log decides what is in it."""
    print(terminal.plain(terminal.uncoloured(text)), end="", flush=True)
    if terminal.unread():  # there is no need for more of it, which never ends
        raise typer.Exit


def examine(
    own: Settings, root: Project, selected: Sequence[Instance], checks: Collection[Check] = tuple(Check)
) -> dict[str, list[Finding]]:
    """Examine instances of a stack by some of the checks, with progress on the standard error stream."""
    from meltanodata.doctor import probes

    config = pulumi_cli.config(own.stack, root.root)
    way = probes.Way.of(own, settings_loading.ssh_private_key(config, own.stack), settings_loading.tokens(config))
    way = replace(way, checks=way.checks.intersection(checks))
    if Check.PING in way.checks and shutil.which("ping") is None:
        raise UserError(
            "There is no program `ping` on the PATH. Install it, or leave the check out:"
            f" {config_commands.set_plain(own.stack, ('unchecked', 0), Check.PING)}"
        )
    with terminal.progress(f"examining {own.stack}", len(selected)) as advance:
        return probes.examine([(instance, way) for instance in selected], lambda *_: advance())


def unwell(own: Settings, root: Project, tenants: Collection[str], *, pause: float = _SECOND_LOOK) -> dict[str, str]:
    """What is wrong with these tenants of a stack, and what to do; only of those that fail twice."""
    from meltanodata.render import diagnosis_table

    state = pulumi_cli.state(own.stack, root.root, show_secrets=True)
    selected = [instance for instance in instances(own.stack, state) if instance.tenant in tenants]
    findings = examine(own, root, selected)
    if failing := [instance for instance in selected if not diagnosis_table.well(findings[instance.tenant])]:
        time.sleep(pause)
        findings |= examine(own, root, failing)
    return {
        tenant: diagnosis_table.sentence(each) for tenant, each in findings.items() if not diagnosis_table.well(each)
    }


def _one(tenant: str, stack: str | None) -> tuple[Settings, Instance]:
    """A tenant's stack and instance. Stop if the tenant is not deployed, or there is none."""
    by_stack = _instances([tenant], stack)
    for own, made in by_stack:
        if tenant in made:
            return own, made[tenant]
    for row in _without_instance(by_stack):
        if row.key == tenant:
            finding = _not_deployed(row, by_stack)
            raise UserError(f"{tenant}: {finding.found}. {finding.hint}")
    _refuse_unknown([tenant], by_stack)
    raise AssertionError


def _instances(tenants: Sequence[str], stack: str | None) -> ByStack:
    """The instances of the stacks that may have these tenants; without tenants, of all selected stacks."""
    return [(own, {instance.tenant: instance for instance in _made(own)}) for own in _stacks(tenants, stack)]


def _made(own: Settings) -> list[Instance]:
    return instances(own.stack, pulumi_cli.state(own.stack, project().root, show_secrets=True))


def _refuse_unknown(tenants: Sequence[str], by_stack: ByStack, others: Sequence[str] = ()) -> None:
    """Stop unless each of these tenants is in a stack or among the others."""
    known = [*(tenant for _, made in by_stack for tenant in made), *others]
    if missing := [tenant for tenant in tenants if tenant not in known]:
        names = listing([own.stack for own, _ in by_stack], "and")
        raise UserError(
            "\n".join(
                f"there is no tenant {show(tenant)} in {names}.{did_you_mean(tenant, known)} The tenants are:"
                f" {listing(known, 'and')}"
                for tenant in missing
            )
        )


def _without_instance(by_stack: ByStack) -> list[Row]:
    """The entries that have no instance in these stacks and should have one, or whose team belongs to no stack."""
    selected = [own for own, _ in by_stack]
    made = {tenant for _, instances_ in by_stack for tenant in instances_}
    teams = {team for own in selected for team in own.team_names}
    others = {team for own in project().fleet(selected[0].stack) for team in own.team_names} - teams
    loaded, _ = fleet.load(project().tenants_file(selected[0]))
    return [row for row in loaded.rows if row.key not in made and row.options.database_team not in others]


def _not_deployed(row: Row, by_stack: ByStack) -> Finding:
    """About a tenant that has an entry and no instance."""
    from meltanodata.doctor.diagnosis import Finding, Level

    team = row.options.database_team
    owner = next((own.stack for own, _ in by_stack if team in own.team_names), None)
    hint = f"meltanodata up --stack {owner}" if owner else "Its entry names no team of a stack: meltanodata check"
    return Finding(Check.SSH, Level.WRONG, "it has an entry in tenants.yaml and is not deployed yet", hint)


def _stacks(tenants: Sequence[str], stack: str | None) -> Sequence[Settings]:
    """The stacks that may have these tenants."""
    selected = project().selected(stack)
    loaded, _ = fleet.load(project().tenants_file(selected[0]))
    placements = {row.key: row.options.database_team for row in loaded.rows}
    teams = {placements.get(tenant) for tenant in tenants}
    if not teams or None in teams:  # without an entry a tenant may still be in any of the states
        return selected
    return [own for own in selected if teams.intersection(own.team_names)] or selected


def _key(own: Settings) -> SecretStr:
    return settings_loading.ssh_private_key(pulumi_cli.config(own.stack, project().root), own.stack)
