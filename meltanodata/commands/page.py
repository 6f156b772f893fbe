"""`page`: the fleet on one page."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from meltanodata import engine, rules
from meltanodata import page as pages
from meltanodata.commands.here import tenants
from meltanodata.errors import UserError
from meltanodata.stacks import Project


def page(output: Path, stack: str | None, *, health: Path | None, revision: str | None) -> None:
    """See `cli.page`."""
    project = Project.around(Path.cwd())
    fleet_stacks = project.fleet(stack)
    loaded, states = tenants(project.tenants_file(fleet_stacks[0])), _health(health)
    found = [
        entry
        for settings in fleet_stacks
        for entry in pages.entries(engine.export(settings.stack, project.root), states)
    ]
    made = pages.Page(
        domain=fleet_stacks[0].domain,
        made=datetime.now(UTC),
        revision=revision,
        entries=pages.in_order(found),
        teams=[
            pages.Team(rules.droplet_use(loaded, fleet_stacks), "droplets"),
            *(pages.Team(use, "databases") for use in rules.database_uses(loaded, fleet_stacks)),
        ],
    )
    output.write_text(pages.render(made), encoding="utf-8")
    print(f"{output}: {len(found)} tenants")


def _health(file: Path | None) -> dict[str, list[str]]:
    """What is wrong, by tenant."""
    if file is None:
        return {}
    try:
        found = json.loads(file.read_bytes())
        return {str(tenant): list(map(str, problems)) for tenant, problems in found.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        raise UserError(f"{file}: not the JSON of meltanodata doctor: a mapping of tenant to problems") from None
