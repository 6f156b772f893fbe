"""`page`: the fleet on one page."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from meltanodata.config import placement
from meltanodata.config.stacks import Project
from meltanodata.engine import pulumi_cli
from meltanodata.render import page as pages


def page(output: Path, stack: str | None, *, revision: str | None) -> None:
    """See `cli.page`."""
    project = Project.around(Path.cwd())
    fleet_stacks = project.fleet(stack)
    loaded = project.tenants(project.tenants_file(fleet_stacks[0]))
    states = [pulumi_cli.state(settings.stack, project.root) for settings in fleet_stacks]
    found = pages.in_order(entry for state in states for entry in pages.entries(state))
    made = pages.Page(
        domain=fleet_stacks[0].domain,
        made=datetime.now(UTC),
        revision=revision,
        entries=found,
        teams=[
            pages.Team(placement.droplet_use(loaded, fleet_stacks), "droplets"),
            *(pages.Team(use, "databases") for use in placement.database_uses(loaded, fleet_stacks)),
        ],
    )
    output.write_text(pages.render(made), encoding="utf-8")
    print(f"{output}: {len(found)} tenants")
