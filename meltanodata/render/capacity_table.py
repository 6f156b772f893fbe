"""How full the teams are, as a table, and what to do when they run out (the guide's notes to steps 1 and 3). Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meltanodata.config.config_commands import set_plain, set_token
from meltanodata.config.placement import Use, full_with_room

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from meltanodata.config.settings import Settings

WARN_PERCENT = 80
_CELLS = 20


def table(droplets: Use, databases: Sequence[Use]) -> Table:
    """One row a team, with the counts in file and account if the accounts were read."""
    from rich.table import Column, Table

    asked = droplets.in_account is not None
    counts = ["file", "account"] if asked else []
    right = [Column(name, justify="right") for name in [*counts, "taken" if asked else "used / limit"]]
    table = Table("team", *right, "", "", box=None, pad_edge=False)
    for name, use in [(f"{droplets.team} (droplets)", droplets), *((use.team, use) for use in databases)]:
        style = "red" if use.taken > use.limit else "yellow" if use.full or use.percent >= WARN_PERCENT else ""
        share = f"{use.percent} %{' full' if use.full else ''}"
        numbers = [str(use.used), str(use.in_account)] if asked else []
        table.add_row(name, *numbers, f"{use.taken} / {use.limit}", bar(use), share, style=style)
    return table


def bar(use: Use) -> str:
    """A bar of 20 cells; empty only if nothing is taken, full only from the limit on."""
    filled = min(_CELLS, -(-use.taken * _CELLS // use.limit))
    if use.taken < use.limit:
        filled = min(filled, _CELLS - 1)
    return "█" * filled + "░" * (_CELLS - filled)


def summary(droplets: Use, databases: Sequence[Use], stacks: Sequence[Settings]) -> list[str]:
    """How many more tenants fit, what to ask DigitalOcean for from 80 % on, and which teams are wrongly marked full."""
    free = sum(use.free for use in databases)
    fit = min(free, droplets.free)
    fits = "more tenant fits" if fit == 1 else "more tenants fit"
    lines = [f"{fit} {fits}: there is room for {free} databases and {droplets.free} droplets."]
    if droplets.percent >= WARN_PERCENT:
        lines.append(
            f"The droplet team is {droplets.percent} % taken. Ask the contact at DigitalOcean by e-mail to raise the"
            f" droplet limit of {droplets.team} ({droplets.limit} now); then set the new limit in each stack:\n"
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
            " then add each team with its token:\n"
            f"  {set_plain(last.stack, name, 'NEW TEAM')}\n"
            f"  {set_token(last.stack, 'NEW TEAM')}"
        )
    return [*lines, *full_with_room(databases, stacks)]
