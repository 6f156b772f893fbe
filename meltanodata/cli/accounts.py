"""`adopt`, `capacity`: the fleet file beside what the accounts hold."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from meltanodata import terminal
from meltanodata.cli.context import account, edited, located, project, read
from meltanodata.cli.options import FleetFile, FleetStack  # noqa: TC001 - typer looks at them
from meltanodata.config import edit, placement
from meltanodata.engine import pulumi_cli
from meltanodata.engine.stack_state import resources
from meltanodata.render import capacity_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from meltanodata.cli.context import Account
    from meltanodata.inventory.accounts import Accounts, Source
    from meltanodata.inventory.adoption import Free, Instance, Left

app = typer.Typer()


@app.command()
def capacity(
    file: FleetFile = None,
    stack: FleetStack = None,
    accounts: Annotated[
        bool, typer.Option("--accounts", help="Also count what was made by hand, by asking DigitalOcean.")
    ] = False,
) -> None:
    """Show how many more tenants fit.

    Counts the tenants in the fleet file, and with --accounts (which needs the stacks' passphrase) the droplets and
    clusters in the teams. Warns from 80 % on, says what to ask DigitalOcean for, and which team that is marked full has
    room.

    \b
    meltanodata capacity
    meltanodata capacity --accounts
    """
    stacks, path = located(stack, file)
    _, fleet = read(path)
    droplets, databases = placement.droplet_use(fleet, stacks), placement.database_uses(fleet, stacks)
    if accounts:
        from meltanodata.inventory.capacity import counted

        each = [account(settings.stack) for settings in stacks]
        inventories = {team.name: own.inventory for own in each for team in own.settings.database_teams}
        droplets, *databases = counted(fleet, droplets, databases, inventories, stacks[0].domain)
    console = terminal.console()
    console.print(capacity_table.table(droplets, databases), soft_wrap=True)
    for line in capacity_table.summary(droplets, databases, stacks):
        console.print(line, soft_wrap=True)


@app.command()
def adopt(
    file: FleetFile = None,
    stack: FleetStack = None,
    write: Annotated[
        bool, typer.Option("--write", help="Add the entries to the file instead of printing them.")
    ] = False,
    new_logins: Annotated[
        bool, typer.Option("--new-logins", help="Give each admin a new password instead of keeping the existing one.")
    ] = False,
) -> None:
    """Print or add entries for hand-made instances.

    Reads the inventory of the fleet's teams, which needs the stacks' passphrase. Matches droplet, A record and cluster
    by their names, and a cluster of another name by its trusted sources. Lists what does not match, with the reason.
    Ignores the names in the setting no_tenants.

    \b
    meltanodata adopt
    meltanodata adopt --write
    """
    from meltanodata.inventory import adoption

    stacks, path = located(stack, file)
    source, fleet = read(path)
    with terminal.console(err=True).status("asking DigitalOcean"):  # shown on a terminal only
        each = [account(settings.stack) for settings in stacks]
        free = adoption.free(fleet, stacks, _together([own.inventory for own in each]))
        trusted = {id_: sources for own in each for id_, sources in _trusted(own, free).items()}
    states = [pulumi_cli.export(settings.stack, project().root) for settings in stacks]
    known = {resource["id"] for state in states for resource in resources(state) if resource.get("id")}
    instances, left = adoption.instances(free, stacks, trusted, known, keep_login=not new_logins)
    if instances:
        text = edit.add(source, {instance.key: instance.options for instance in instances})
        edited(source, fleet, text, stacks)
        if write:
            edit.write(path, text)
    if write:
        for instance in instances:
            print(f"{source.file}: {instance.key} added, in {instance.options['database_team']}")
        for line in [line for instance in instances for line in _warnings(instance)] + _unmatched(left):
            print(line, file=sys.stderr)
    else:
        for instance in instances:
            print("".join(f"# {terminal.line(line)}\n" for line in _warnings(instance)), end="")
            print(edit.entry(instance.key, instance.options))
        for line in _unmatched(left):
            print(f"# {terminal.line(line)}")
    if not instances and not left:
        print(f"{'' if write else '# '}{source.file}: everything in the accounts has an entry already")


def _together(inventories: Sequence[Accounts]) -> Accounts:
    """The inventory of all stacks, whose droplet team is the same."""
    clusters = {cluster.id: cluster for inventory in inventories for cluster in inventory.clusters}
    return replace(inventories[0], clusters=tuple(clusters.values()))


def _trusted(own: Account, free: Free) -> dict[str, frozenset[Source]]:
    from meltanodata.inventory.accounts import trusted_sources

    teams = {team.name for team in own.settings.database_teams}
    clusters = [cluster for cluster in free.clusters if cluster.team in teams]
    return trusted_sources(own.settings, own.secrets.tokens, clusters)


def _warnings(instance: Instance) -> Iterator[str]:
    if instance.also_trusted:
        others = ", ".join(instance.also_trusted)
        yield f"{instance.key}: its cluster also trusts {others}; after up it trusts only the droplet"


def _unmatched(left: Sequence[Left]) -> list[str]:
    if not left:
        return []
    head = "Not matched. Fix the cause, or add the name to the setting no_tenants:"
    return [head, *(f"  {each.what}: {each.why}" for each in left)]
