"""`drift`: what differs although nobody deployed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from meltanodata.cli.context import account
from meltanodata.cli.exit_codes import DRIFTED
from meltanodata.config.stacks import Project
from meltanodata.engine import pulumi_cli
from meltanodata.errors import UserError
from meltanodata.github import GitHub
from meltanodata.render import report
from meltanodata.rollout import drift as drifts
from meltanodata.rollout import plan
from meltanodata.rollout.drift import Unseen

if TYPE_CHECKING:
    from meltanodata.rollout.drift import Drift, Orphan
    from meltanodata.rollout.plan import Plan

TITLE = "The fleet is not as the repository has it"


def drift(stack: str | None, *, post: bool) -> None:
    """See `cli.drift`."""
    found = _find(Project.around(Path.cwd()), stack)
    text = report.drift(found)
    print(text, end="")
    if post:
        GitHub.from_environment().issue(report.DRIFT_MARKER, TITLE, None if found.none else text)
    if found.unseen:
        raise UserError("\n".join(f"{it.stack} was not looked at: {it.why}" for it in found.unseen))
    if not post and not found.none:
        raise typer.Exit(DRIFTED)


def _find(project: Project, stack: str | None) -> Drift:
    now = datetime.now(UTC)
    stacks = project.fleet(stack)
    names = [found.stack for found in stacks]
    # The stacks share the droplet team: what one of them leaves alone is no other one's orphan.
    others = {name for found in stacks for name in found.no_tenants}
    states = [pulumi_cli.state(name, project.root) for name in names]
    ids = drifts.known(states)
    orphans: set[Orphan] = set()
    plans: list[Plan] = []
    unseen: list[Unseen] = []
    for name in names:
        try:
            found = account(name, project)
            orphans.update(drifts.orphans(found.held, ids, found.settings.droplet_team.name, others))
            plans.append(plan.read(pulumi_cli.preview(name, project.root, refresh=True)))
        except UserError as error:  # a token that expired in one team hides nothing of the others
            unseen.append(Unseen(name, str(error)))
    return drifts.Drift(plans, sorted(orphans), drifts.expiring(states, now.date()), unseen)
