"""`capacity`: how many more tenants fit."""

from __future__ import annotations

from pathlib import Path

from meltanodata.cli.context import account, located, read
from meltanodata.config import placement
from meltanodata.config.stacks import Project
from meltanodata.inventory import capacity as figures


def capacity(file: Path | None, stack: str | None, *, accounts: bool) -> None:
    """See `tenants.capacity`."""
    stacks, path = located(stack, file)
    _, loaded = read(path)
    droplets, databases = placement.droplet_use(loaded, stacks), placement.database_uses(loaded, stacks)
    if accounts:
        project = Project.around(Path.cwd())
        asked = [account(settings.stack, project) for settings in stacks]
        held = {team.name: found.held for found in asked for team in found.settings.database_teams}
        droplets, *databases = figures.counted(loaded, droplets, databases, held, stacks[0].domain)
    figures.show(droplets, databases, stacks)
