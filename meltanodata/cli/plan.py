"""`plan`, `comment` and `stacks`: what a pull request would do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import typer

from meltanodata import terminal
from meltanodata.cli.context import Here
from meltanodata.cli.exit_codes import NOT_REVIEWED, STOPPED
from meltanodata.config import placement
from meltanodata.config.revisions import NONE
from meltanodata.config.stacks import Project
from meltanodata.engine import deployed_commit, pulumi_cli
from meltanodata.errors import UserError
from meltanodata.render import report
from meltanodata.rollout import changes as branch
from meltanodata.rollout import guard
from meltanodata.rollout import plan as plans
from meltanodata.rollout.changes import Changes
from meltanodata.rollout.guard import Review

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from rich.console import Console

    from meltanodata.engine.stack_state import StackState
    from meltanodata.rollout.plan import Plan


_WIDEST = 2_000
"""Characters that are said of what is new to a tenant."""


def plan(
    stack: str,
    *,
    preview: Path | None,
    base: str | None,
    labels: Sequence[str],
    expect: Path | None,
    style: Literal["table", "json", "markdown"],
    judged: bool = True,
) -> None:
    """See `cli.plan`."""
    here = Here(stack)
    if preview is None:
        before = pulumi_cli.state(stack, here.project.root)
        raw = pulumi_cli.preview(stack, here.project.root)
    else:
        before, raw = None, _read(preview)
    found = review(here, raw, base, labels, before) if judged else Review(plan=planned(here, raw, before))
    match style:
        case "json":
            print(terminal.as_json(found.model_dump(mode="json"), indent=1))
        case "markdown":
            print(report.comment([found]), end="")
        case "table":
            show(found)
    begun = expect is not None and preview is None and deployed_commit.has_begun(stack, here.project.root)
    judge(found, None if expect is None else reviewed(expect).plan, begun=begun)


def stacks(base: str | None, stack: str | None, *, as_json: bool) -> None:
    """See `cli.stacks`."""
    project = Project.around(Path.cwd())
    if base is None:
        _show_stacks(project, stack, as_json=as_json)
        return
    if base == NONE:  # the branch has no commit before: all there is differs from nothing
        names = [found.stack for found in project.fleet(stack)]
    else:
        changes = Changes.since(base, project.root)
        names = changes.touched(stack)
        for line in branch.summary_of_dropped(changes.dropped(stack)):
            typer.echo(line, err=True)
    print(json.dumps(names) if as_json else "".join(f"{name}\n" for name in names), end="\n" if as_json else "")


def _show_stacks(project: Project, stack: str | None, *, as_json: bool) -> None:
    fleet_stacks = project.fleet(stack)
    if as_json:
        print(json.dumps([found.stack for found in fleet_stacks]))
        return
    loaded = project.tenants(project.tenants_file(fleet_stacks[0]))
    uses = [(found.stack, placement.database_uses(loaded, [found])) for found in fleet_stacks]
    terminal.console().print(report.stacks(uses))


def review(
    here: Here,
    preview: Mapping[str, Any],
    base: str | None,
    labels: Iterable[str],
    before: StackState | None = None,
) -> Review:
    """What the guard says of a preview, and with it of the state from before it."""
    allowed = guard.labels(labels)
    found = planned(here, preview, before)
    if base is None:
        return guard.review(found, here.settings.guard, named=None, allowed=allowed)
    return verdict(found, Changes.since(base, here.project.root), allowed)


def planned(here: Here, preview: Mapping[str, Any], before: StackState | None = None) -> Plan:
    """What a preview would do, with the teams that it fills or empties."""
    head = here.project.tenants(here.file)
    uses = [placement.droplet_use(head, here.stacks), *placement.database_uses(head, here.stacks)]
    return plans.with_capacity(plans.read(preview, before), uses[0], uses[1:])


def verdict(plan: Plan, changes: Changes, allowed: Collection[str]) -> Review:
    """What the guard says of a plan that a change of the repository leads to.

    By the thresholds of the branch that it goes to: the change itself cannot raise them.
    """
    stack = plan.stack
    found = guard.review(
        plan,
        changes.thresholds(stack),
        named=changes.named(stack),
        demos=changes.demos(stack),
        allowed=allowed,
    )
    program = guard.program_changed(changes.influences(), allowed)
    return found if program is None else found.model_copy(update={"stops": (program, *found.stops)})


def judge(found: Review, reviewed_plan: Plan | None, *, begun: bool) -> None:
    """End the command where a plan may not be applied.

    Args:
        found: what the guard says of it.
        reviewed_plan: the plan that somebody saw; None where nobody had to.
        begun: whether a run has begun to apply that one.

    Raises:
        typer.Exit: 3 the guard stops it, 4 it does what was not reviewed.
    """
    if found.stopped:
        for stop in found.stopped:
            typer.echo(f"{stop} In a shell, add --allow {stop.label}." if stop.label else stop.message, err=True)
        raise typer.Exit(STOPPED)
    if reviewed_plan is not None and (news := plans.unreviewed(reviewed_plan, found.plan, begun=begun)):
        typer.echo("This is not the plan that was reviewed. What is new:", err=True)
        for line in news:
            # A line of a log each, whatever is in it: the reviewed plan was written by the request's own code.
            typer.echo(f"- {' '.join(line.split())[:_WIDEST]}", err=True)
        typer.echo("If it is meant, start the deploy workflow by hand, with the labels that it asks for.", err=True)
        raise typer.Exit(NOT_REVIEWED)


def show(found: Review, console: Console | None = None) -> None:
    """Print a plan on the terminal."""
    console = console or terminal.console()
    if found.plan.empty:
        console.print(f"{found.plan.stack}: nothing changes")
    else:
        console.print(report.table(found))


def reviewed(file: Path) -> Review:
    """What `plan --json` wrote.

    Raises:
        UserError: the file holds something else, or there is none.
    """
    try:
        return Review.model_validate_json(file.read_bytes())
    except (OSError, ValueError):
        raise UserError(f"{file}: no plan; write one by: meltanodata plan --json") from None


def _read(file: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(file.read_bytes()))
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: no output of `pulumi preview --json`: {error}") from None
