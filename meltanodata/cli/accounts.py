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
from meltanodata.render import capacity_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from meltanodata.cli.context import Account
    from meltanodata.inventory.accounts import Inventory, Source
    from meltanodata.inventory.adoption import NewEntry, Unmatched

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
    states = [pulumi_cli.state(settings.stack, project().root) for settings in stacks]
    in_states = {id_ for state in states for _, id_ in state.objects}
    entries, left = adoption.Match(free, stacks, trusted, in_states, keep_login=not new_logins).all()
    if entries:
        text = edit.add(source, {entry.key: entry.options for entry in entries})
        edited(source, fleet, text, stacks)
        if write:
            edit.write(path, text)
    if write:
        for entry in entries:
            print(f"{source.file}: {entry.key} added, in {entry.options['database_team']}")
        for line in [line for entry in entries for line in _warnings(entry)] + _unmatched(left):
            print(line, file=sys.stderr)
    else:
        for entry in entries:
            print("".join(f"# {terminal.line(line)}\n" for line in _warnings(entry)), end="")
            print(edit.entry(entry.key, entry.options))
        for line in _unmatched(left):
            print(f"# {terminal.line(line)}")
    if not entries and not left:
        print(f"{'' if write else '# '}{source.file}: everything in the accounts has an entry already")


def _together(inventories: Sequence[Inventory]) -> Inventory:
    """The inventory of all stacks, whose droplet team is the same."""
    clusters = {cluster.id: cluster for inventory in inventories for cluster in inventory.clusters}
    return replace(inventories[0], clusters=tuple(clusters.values()))


def _trusted(own: Account, free: Inventory) -> dict[str, frozenset[Source]]:
    from meltanodata.inventory.accounts import trusted_sources

    clusters = [cluster for cluster in free.clusters if cluster.team in own.settings.team_names]
    return trusted_sources(own.settings, own.secrets.tokens, clusters)


def _warnings(entry: NewEntry) -> Iterator[str]:
    if entry.also_trusted:
        others = ", ".join(entry.also_trusted)
        yield f"{entry.key}: its cluster also trusts {others}; after up it trusts only the droplet"


def _unmatched(left: Sequence[Unmatched]) -> list[str]:
    if not left:
        return []
    head = "Not matched. Fix the cause, or add the name to the setting no_tenants:"
    return [head, *(f"  {each.what}: {each.why}" for each in left)]
