"""`capacity`: how many more tenants fit."""

from __future__ import annotations

from pathlib import Path

from meltanodata import capacity as figures
from meltanodata import rules
from meltanodata.commands.here import account, located, read
from meltanodata.stacks import Project


def capacity(file: Path | None, stack: str | None, *, accounts: bool) -> None:
    """See `instances.capacity`."""
    stacks, path = located(stack, file)
    _, loaded = read(path)
    droplets, databases = rules.droplet_use(loaded, stacks), rules.database_uses(loaded, stacks)
    if accounts:
        project = Project.around(Path.cwd())
        asked = [account(settings.stack, project) for settings in stacks]
        held = {team.name: found.held for found in asked for team in found.settings.database_teams}
        droplets, *databases = figures.counted(loaded, droplets, databases, held, stacks[0].domain)
    figures.show(droplets, databases, stacks)
