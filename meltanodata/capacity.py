"""How full the teams are, as a table, and what to do when they run out (the guide's notes to steps 1 and 3)."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Column, Table

from meltanodata.rules import Use
from meltanodata.settings import NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meltanodata.settings import Settings

WARN_PERCENT = 80
_CELLS = 20


def show(droplets: Use, databases: Sequence[Use], stacks: Sequence[Settings]) -> None:
    """Print the table, how many more tenants fit, and advice where a limit is near."""
    console = Console(highlight=False, soft_wrap=True)
    table = Table("team", Column("used / limit", justify="right"), "", "", box=None, pad_edge=False)
    for name, use in [(f"{droplets.team} (droplets)", droplets), *((use.team, use) for use in databases)]:
        style = "red" if use.used > use.limit else "yellow" if use.full or use.percent >= WARN_PERCENT else ""
        share = f"{use.percent} %{' full' if use.full else ''}"
        table.add_row(name, f"{use.used} / {use.limit}", bar(use), share, style=style)
    console.print(table)
    for line in summary(droplets, databases, stacks):
        console.print(line)


def bar(use: Use) -> str:
    """A bar of 20 cells; empty only where nothing is taken, full only from the limit on."""
    filled = min(_CELLS, -(-use.used * _CELLS // use.limit))
    if use.used < use.limit:
        filled = min(filled, _CELLS - 1)
    return "█" * filled + "░" * (_CELLS - filled)


def summary(droplets: Use, databases: Sequence[Use], stacks: Sequence[Settings]) -> list[str]:
    """How many more tenants fit, and what to ask for where 80 % or more is taken."""
    free = sum(use.free for use in databases)
    fit = min(free, droplets.free)
    fits = "more tenant fits" if fit == 1 else "more tenants fit"
    lines = [f"{fit} {fits}: there is room for {free} databases and {droplets.free} droplets."]
    if droplets.percent >= WARN_PERCENT:
        lines.append(
            f"The droplet team is {droplets.percent} % taken. Ask the contact at DigitalOcean by e-mail to raise the"
            f" droplet limit of {droplets.team} ({droplets.limit} now); then set it in each stack:\n"
            + "\n".join(f"  {_command(stack, 'droplet_team.limit', 'NUMBER')}" for stack in stacks)
        )
    limit = sum(use.limit for use in databases)
    taken = Use("", limit - free, limit).percent
    if taken >= WARN_PERCENT:
        last, biggest = stacks[-1], max(use.limit for use in databases)
        index = len(last.database_teams)
        token = shlex.quote(f'{NAMESPACE}:tokens["NAME"]')
        lines.append(
            f"The database teams are {taken} % taken. Create a batch of teams from the Meltano account at DigitalOcean"
            f" and ask the contact there by e-mail to raise their limit of database clusters from 10 to {biggest};"
            " then list each with its token:\n"
            f"  {_command(last, f'database_teams[{index}].name', 'NAME')}\n"
            f"  pulumi config set --stack {last.stack} --secret --path {token} < token.txt"
        )
    return lines


def _command(stack: Settings, path: str, value: str) -> str:
    return f"pulumi config set --stack {stack.stack} --path {shlex.quote(f'{NAMESPACE}:{path}')} {value}"
