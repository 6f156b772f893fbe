"""How full the teams are, as a table, and what to do when they run out (the guide's notes to steps 1 and 3)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rich.table import Column, Table

from meltanodata import terminal
from meltanodata.config.config_commands import set_plain, set_token
from meltanodata.config.object_names import droplet_of
from meltanodata.config.placement import Use, full_with_room
from meltanodata.inventory.names import clusters_by_tenant

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from meltanodata.config.fleet import Fleet
    from meltanodata.config.settings import Settings
    from meltanodata.inventory.accounts import Inventory

WARN_PERCENT = 80
_CELLS = 20


def counted(
    fleet: Fleet, droplets: Use, databases: Sequence[Use], inventories: Mapping[str, Inventory], domain: str
) -> list[Use]:
    """The same with what the accounts have: the droplet team, then the database teams.

    The inventories are those of each database team's stack, by the team's name.
    """
    names = {droplet.name for inventory in inventories.values() for droplet in inventory.droplets}
    count = max(len(inventory.droplets) for inventory in inventories.values())
    made = sum(droplet_of(row.key, row.options, domain) in names for row in fleet.rows)
    uses = [replace(droplets, in_account=count, beside=max(0, count - made))]
    for use in databases:
        clusters = clusters_by_tenant(inventories[use.team].clusters)
        rows = [row for row in fleet.rows if row.options.database_team == use.team]
        made = sum(any(it.team == use.team for it in clusters(row.key, row.options)) for row in rows)
        count = inventories[use.team].cluster_counts[use.team]
        uses.append(replace(use, in_account=count, beside=count - made))
    return uses


def show(droplets: Use, databases: Sequence[Use], stacks: Sequence[Settings]) -> None:
    """Print the table, how many more tenants fit, and advice where a limit is near."""
    console = terminal.console()
    asked = droplets.in_account is not None
    counts = ["file", "account"] if asked else []
    right = [Column(name, justify="right") for name in [*counts, "taken" if asked else "used / limit"]]
    table = Table("team", *right, "", "", box=None, pad_edge=False)
    for name, use in [(f"{droplets.team} (droplets)", droplets), *((use.team, use) for use in databases)]:
        style = "red" if use.taken > use.limit else "yellow" if use.full or use.percent >= WARN_PERCENT else ""
        share = f"{use.percent} %{' full' if use.full else ''}"
        numbers = [str(use.used), str(use.in_account)] if asked else []
        table.add_row(name, *numbers, f"{use.taken} / {use.limit}", bar(use), share, style=style)
    console.print(table, soft_wrap=True)
    for line in summary(droplets, databases, stacks):
        console.print(line, soft_wrap=True)


def bar(use: Use) -> str:
    """A bar of 20 cells; empty only where nothing is taken, full only from the limit on."""
    filled = min(_CELLS, -(-use.taken * _CELLS // use.limit))
    if use.taken < use.limit:
        filled = min(filled, _CELLS - 1)
    return "█" * filled + "░" * (_CELLS - filled)


def summary(droplets: Use, databases: Sequence[Use], stacks: Sequence[Settings]) -> list[str]:
    """How many more tenants fit, what to ask for where 80 % or more is taken, and which marks can go."""
    free = sum(use.free for use in databases)
    fit = min(free, droplets.free)
    fits = "more tenant fits" if fit == 1 else "more tenants fit"
    lines = [f"{fit} {fits}: there is room for {free} databases and {droplets.free} droplets."]
    if droplets.percent >= WARN_PERCENT:
        lines.append(
            f"The droplet team is {droplets.percent} % taken. Ask the contact at DigitalOcean by e-mail to raise the"
            f" droplet limit of {droplets.team} ({droplets.limit} now); then set it in each stack:\n"
            + "\n".join(f"  {set_plain(stack.stack, ('droplet_team', 'limit'), 'NUMBER')}" for stack in stacks)
        )
    limit = sum(use.limit for use in databases)
    taken = Use("", limit - free, limit).percent
    if taken >= WARN_PERCENT:
        last, biggest = stacks[-1], max(use.limit for use in databases)
        name = "database_teams", len(last.database_teams), "name"
        lines.append(
            f"The database teams are {taken} % taken. Create a batch of teams from the Meltano account at DigitalOcean"
            f" and ask the contact there by e-mail to raise their limit of database clusters from 10 to {biggest};"
            " then list each with its token:\n"
            f"  {set_plain(last.stack, name, 'NEW TEAM')}\n"
            f"  {set_token(last.stack, 'NEW TEAM')}"
        )
    return [*lines, *full_with_room(databases, stacks)]
