"""`doctor`, `ssh`, `logs`: what is done with the instances that a stack has made."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from meltanodata import terminal
from meltanodata.config import config_commands, fleet, settings_loading
from meltanodata.config.checks import Check
from meltanodata.config.stacks import Project
from meltanodata.doctor.diagnosis import Finding, Level
from meltanodata.droplet import openssh
from meltanodata.engine import pulumi_cli
from meltanodata.engine.instances import instances
from meltanodata.errors import UserError
from meltanodata.render import diagnosis_table
from meltanodata.text import did_you_mean, listing, show

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from pydantic import SecretStr

    from meltanodata.config.fleet import Row
    from meltanodata.config.settings import Settings
    from meltanodata.engine.instances import Instance

LOG_LINES = 100
_LOG_SECONDS = 10
"""That the read of a log may take."""
_LOGS = "/var/meltano/project/.meltano/run/meltano-ui.log"


def doctor(tenants: Sequence[str], stack: str | None, *, as_json: bool) -> None:
    """See `instances.doctor`."""
    project = Project.around(Path.cwd())
    meant = _of_stacks(project, tenants, stack)
    stacks = {own.stack: own for own, _ in meant}
    missing = [row for row in _missing(project, meant) if not tenants or row.key in tenants]
    _refuse_unknown(tenants, meant, [row.key for row in missing])
    found: dict[str, list[Finding]] = {}
    for own, there in meant:
        if patients := [it for it in there.values() if not tenants or it.tenant in tenants]:
            found |= look(own, project, patients)
    found |= {row.key: [_not_deployed(row, [own for own, _ in meant])] for row in missing}
    if as_json:
        print(terminal.as_json(diagnosis_table.plain(found), indent=2))
    else:
        console = terminal.console()
        for part in diagnosis_table.shown(found, {check for own in stacks.values() for check in own.unchecked}):
            console.print(part, soft_wrap=True)
    if not all(map(diagnosis_table.well, found.values())):
        raise typer.Exit(1)


def look(own: Settings, project: Project, patients: Sequence[Instance]) -> dict[str, list[Finding]]:
    """Look at instances of a stack, with progress on the standard error stream."""
    from meltanodata.doctor import probes  # noqa: PLC0415 - asyncssh, which the other commands need not wait for

    config = pulumi_cli.config(own.stack, project.root)
    way = probes.Way.of(own, settings_loading.ssh_private_key(config, own.stack), settings_loading.tokens(config))
    if Check.PING in way.checks and shutil.which("ping") is None:
        raise UserError(
            "ping is not on the PATH; install it, or leave that check out:"
            f" {config_commands.set_plain(own.stack, ('unchecked', 0), Check.PING)}"
        )
    columns = (TextColumn("looking at {task.description}", markup=False), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=terminal.console(err=True), transient=True) as progress:
        task = progress.add_task(own.stack, total=len(patients))
        return probes.examine([(instance, way) for instance in patients], lambda *_: progress.advance(task))


_SECOND_LOOK = 10
"""Seconds after which what seems wrong is looked at again: a lost packet must not stop a deployment."""


def unwell(own: Settings, project: Project, tenants: Collection[str], *, pause: float = _SECOND_LOOK) -> dict[str, str]:
    """What is wrong with these tenants of a stack, and what to do; only of those that are not well twice."""
    state = pulumi_cli.state(own.stack, project.root, show_secrets=True)
    patients = [it for it in instances(own.stack, state) if it.tenant in tenants]
    found = look(own, project, patients)
    if suspects := [it for it in patients if not diagnosis_table.well(found[it.tenant])]:
        time.sleep(pause)
        found |= look(own, project, suspects)
    return {tenant: diagnosis_table.sentence(it) for tenant, it in found.items() if not diagnosis_table.well(it)}


def ssh(tenant: str, stack: str | None, command: Sequence[str]) -> None:
    """See `instances.ssh`."""
    own, instance = _one(tenant, stack)
    key = _key(own, Project.around(Path.cwd()))
    raise typer.Exit(openssh.run(instance, own.ssh_port, key, command))


def logs(tenant: str, stack: str | None, *, follow: bool) -> None:
    """See `instances.logs`."""
    own, instance = _one(tenant, stack)
    key = _key(own, Project.around(Path.cwd()))
    journal = f"journalctl --unit meltano --unit caddy --no-pager --lines {LOG_LINES}"
    # As the user whose file it is: where that user may write, root could be led elsewhere by a link.
    page = f"setpriv --reuid=meltano --regid=meltano --init-groups tail -v -n {LOG_LINES}"
    if not follow:
        # That user may have put a pipe there that nobody writes to.
        command = f"timeout {_LOG_SECONDS} {page} {_LOGS}; echo; {journal}"
        raise typer.Exit(openssh.run(instance, own.ssh_port, key, [command], stdin=subprocess.DEVNULL, take=_print))
    # What follows on the droplet ends when its standard input does, which is when we end, however that happens.
    command = f"{page} -F {_LOGS} & {journal} --follow & cat >/dev/null; kill $(jobs -p)"
    openssh.run(instance, own.ssh_port, key, [command], stdin=subprocess.PIPE, take=_print)


def _print(text: str) -> None:
    """Of a log: as text, since whoever writes to it decides what is in it."""
    print(terminal.plain(terminal.uncoloured(text)), end="", flush=True)


def _one(tenant: str, stack: str | None) -> tuple[Settings, Instance]:
    for own, found in _by_stack([tenant], stack):
        if tenant in found:
            return own, found[tenant]
    raise AssertionError  # _by_stack has found it


def _by_stack(tenants: Sequence[str], stack: str | None) -> list[tuple[Settings, Mapping[str, Instance]]]:
    """The instances of the stacks that have these tenants, or of all stacks of the fleet.

    Raises:
        UserError: no stack has one of them.
    """
    project = Project.around(Path.cwd())
    found = _of_stacks(project, tenants, stack)
    missing = {row.key: _not_deployed(row, [own for own, _ in found]) for row in _missing(project, found)}
    if waiting := [tenant for tenant in tenants if tenant in missing]:
        raise UserError("\n".join(f"{it}: {missing[it].found}. {missing[it].hint}" for it in waiting))
    _refuse_unknown(tenants, found)
    return found


def _of_stacks(
    project: Project, tenants: Sequence[str], stack: str | None
) -> list[tuple[Settings, Mapping[str, Instance]]]:
    """The instances of the stacks that may have these tenants, or of all stacks of the fleet."""
    return [
        (
            own,
            {
                it.tenant: it
                for it in instances(own.stack, pulumi_cli.state(own.stack, project.root, show_secrets=True))
            },
        )
        for own in _stacks(project, tenants, stack)
    ]


def _refuse_unknown(
    tenants: Sequence[str], found: Sequence[tuple[Settings, Mapping[str, Instance]]], others: Sequence[str] = ()
) -> None:
    """Nothing where each of these tenants is in a stack, or one of the others.

    Raises:
        UserError: who is not.
    """
    known = [*(tenant for _, own in found for tenant in own), *others]
    if missing := [tenant for tenant in tenants if tenant not in known]:
        names = listing([own.stack for own, _ in found], "and")
        raise UserError(
            "\n".join(
                f"there is no tenant {show(tenant)} in {names}.{did_you_mean(tenant, known)} There are:"
                f" {listing(known, 'and')}"
                for tenant in missing
            )
        )


def _missing(project: Project, found: Sequence[tuple[Settings, Mapping[str, Instance]]]) -> list[Row]:
    """The file's tenants that these stacks should have and have not; also those of whom nobody knows whose they are."""
    stacks = [own for own, _ in found]
    made = {tenant for _, there in found for tenant in there}
    teams = {team for own in stacks for team in own.team_names}
    others = {team for own in project.fleet(stacks[0].stack) for team in own.team_names} - teams
    rows, _ = fleet.load(project.tenants_file(stacks[0]))
    return [row for row in rows.rows if row.key not in made and row.options.database_team not in others]


def _not_deployed(row: Row, stacks: Sequence[Settings]) -> Finding:
    """About a tenant that has an entry and no instance."""
    team = row.options.database_team
    home = next((own.stack for own in stacks if team in {it.name for it in own.database_teams}), None)
    hint = f"meltanodata up --stack {home}" if home else "Its entry names no team of a stack: meltanodata check"
    return Finding(Check.SSH, Level.WRONG, "it is in tenants.yaml, and no stack has made it yet", hint)


def _stacks(project: Project, tenants: Sequence[str], stack: str | None) -> Sequence[Settings]:
    """The stacks that may have these tenants."""
    meant = project.selected(stack)
    rows, _ = fleet.load(project.tenants_file(meant[0]))
    homes = {row.key: row.options.database_team for row in rows.rows}
    teams = {homes.get(tenant) for tenant in tenants}
    if not teams or None in teams:  # one that is not in the file any more, and still somewhere
        return meant
    return [own for own in meant if teams.intersection(own.team_names)] or meant


def _key(own: Settings, project: Project) -> SecretStr:
    return settings_loading.ssh_private_key(pulumi_cli.config(own.stack, project.root), own.stack)
