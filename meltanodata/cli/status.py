"""`status`: where each tenant is, in one table."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from meltanodata import terminal
from meltanodata.cli import droplets, recovery
from meltanodata.cli.context import project
from meltanodata.cli.exit_codes import WRONG
from meltanodata.cli.options import SomeStacks, Tenants  # noqa: TC001 - typer looks at them
from meltanodata.config import fleet
from meltanodata.config.checks import Check
from meltanodata.engine import deployments, pulumi_cli, urns
from meltanodata.engine.instances import instances
from meltanodata.engine.resource_types import tenant_of
from meltanodata.errors import UserError
from meltanodata.text import count, did_you_mean, listing, show

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from meltanodata.config.settings import Settings
    from meltanodata.doctor.diagnosis import Finding
    from meltanodata.engine.stack_state import StackState, TenantState
    from meltanodata.render.status_table import InState, Row

app = typer.Typer()

QUICK = frozenset({Check.DNS, Check.SSH, Check.CERTIFICATE, Check.PAGE})
"""The doctor's checks from here that take a second: no script on the droplet, and no request to DigitalOcean."""


@app.command()
def status(
    tenants: Tenants = None,
    stack: SomeStacks = None,
    no_health: Annotated[
        bool, typer.Option("--no-health", help="Connect to no droplet. Faster if droplets are down.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the table as JSON.")] = False,
) -> None:
    """Show each tenant's status: in the file, in the state, health, last deployment and by whom.

    Health is the doctor's quick checks: DNS, SSH, the certificate and the page. `meltanodata doctor` makes all of them.
    The last deployment is the last run that changed something of the tenant; by whom is the author of the commit that
    was checked out. Changes nothing. Exit code 1: a state cannot be read; a tenant that is not well does not count.

    \b
    meltanodata status
    meltanodata status acme
    meltanodata status --no-health --json | jq 'keys'
    """
    from meltanodata.render import status_table

    selected = project().selected(stack)
    file = project().tenants_file(selected[0])
    loaded, problems = fleet.load(file)
    entries = {row.key: row.options.database_team for row in loaded.rows}
    rows: list[Row] = []
    unread: dict[str, str] = {}
    for own in selected:
        listed = {tenant for tenant, team in entries.items() if team in own.team_names}
        try:
            rows += _of_stack(own, listed, set(entries), tenants, readable=not problems, health=not no_health)
        except UserError as error:  # one stack hides nothing about the others
            unread[own.stack] = str(error)
            unknown = status_table.InState.UNKNOWN
            rows += (status_table.Row(tenant, own.stack, in_file=True, in_state=unknown) for tenant in sorted(listed))
    teams = {team for own in project().fleet(selected[0].stack) for team in own.team_names}
    lost = sorted({tenant for tenant, team in entries.items() if team not in teams} - {row.tenant for row in rows})
    rows += (status_table.Row(tenant, None, in_file=True, in_state=status_table.InState.NO) for tenant in lost)
    rows = _named(rows, tenants, [own.stack for own in selected])
    if as_json:
        print(terminal.as_json(status_table.plain(rows), indent=2))
    else:
        console = terminal.console()
        for part in status_table.shown(rows):
            console.print(part, soft_wrap=True)
    if problems:
        print(f"{file.name} has {count(len(problems), 'mistake')}: meltanodata check", file=sys.stderr)
    for name, why in unread.items():
        print(f"{name}: {why}", file=sys.stderr)
    if unread:
        raise typer.Exit(WRONG)


def _of_stack(
    own: Settings,
    listed: set[str],
    entries: set[str],
    names: Sequence[str] | None,
    *,
    readable: bool,
    health: bool,
) -> list[Row]:
    """The rows of a stack: the tenants of its state, and the entries that are its own (`listed`).

    Where the file is not `readable`, a tenant without an entry may have one.
    """
    from meltanodata.render.status_table import InState, Row

    root = project()
    state = pulumi_cli.state(own.stack, root.root, show_secrets=health)
    runs = deployments.updates(pulumi_cli.history(own.stack, root.root))
    for line in recovery.locked_by(own.stack, root):
        print(f"{own.stack}: {line}", file=sys.stderr)
    selected = [it for it in instances(own.stack, state) if not names or it.tenant in names] if health else []
    findings: dict[str, list[Finding]] = {}
    try:
        findings = droplets.examine(own, root, selected, QUICK) if selected else {}
    except UserError as error:  # no key, for example; the rest is known
        print(f"{own.stack}: no droplet was examined: {error}", file=sys.stderr)
    begun = set(_begun(state))
    rows = [
        Row(
            name,
            own.stack,
            in_file=name in entries or (False if readable else None),
            in_state=_in_state(tenant, begun),
            findings=tuple(findings[name]) if name in findings else None,
            deployed=deployments.last(tenant, runs),
        )
        for name, tenant in state.tenants.items()
    ]
    rows += [Row(name, own.stack, in_file=True, in_state=InState.NO) for name in listed - set(state.tenants)]
    return sorted(rows, key=lambda row: row.tenant)


def _begun(state: StackState) -> Iterator[str]:
    """The tenants of whose resources an operation was begun and not ended."""
    yield from (tenant_of(urns.name_of(operation.urn)) for operation in state.pending)
    yield from (resource.tenant for resource in state.awaiting_replacement if resource.tenant)


def _in_state(tenant: TenantState, begun: set[str]) -> InState:
    from meltanodata.render.status_table import InState

    # The Command that verifies it is the last one that a run creates.
    return InState.YES if "verify" in tenant.resources and tenant.name not in begun else InState.UNFINISHED


def _named(rows: list[Row], names: Sequence[str] | None, stacks: Sequence[str]) -> list[Row]:
    """The rows of these tenants; all without names.

    Raises:
        UserError: there is no tenant of a name.
    """
    known = [row.tenant for row in rows]
    if missing := [name for name in names or () if name not in known]:
        where, there = listing(stacks, "and"), listing(known, "and")
        raise UserError(
            "\n".join(
                f"there is no tenant {show(name)} in {where}.{did_you_mean(name, known)} The tenants are: {there}"
                for name in missing
            )
        )
    return [row for row in rows if not names or row.tenant in names]
