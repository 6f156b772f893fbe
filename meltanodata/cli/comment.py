"""`comment`: what a pull request would do to whom, judged by the branch that it goes to."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from meltanodata.cli.context import Here
from meltanodata.cli.exit_codes import STOPPED
from meltanodata.cli.plan import verdict
from meltanodata.config import placement
from meltanodata.config.stacks import Project
from meltanodata.errors import ProblemsError, UserError
from meltanodata.github import GitHub
from meltanodata.render import report
from meltanodata.rollout import artifact, guard
from meltanodata.rollout import changes as branch
from meltanodata.rollout import plan as plans
from meltanodata.rollout.changes import Changes

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from meltanodata.rollout.guard import Review, Stop
    from meltanodata.rollout.plan import Plan

NO_PLAN = "there is no plan: its preview failed or was not run, and the workflow's log says why"
_NEWER = (
    " It was read by the program of the branch that the request goes to. If the request brings a newer program that"
    " reads it, merge the program first, and what needs it in a request of its own."
)


@dataclass
class _Findings:
    """What a pull request does, as far as it can be known."""

    reviews: list[Review] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    """By the stack, why it has no plan that could be judged."""
    request: Stop | None = None
    """What the guard says of the request as a whole."""
    notes: list[str] = field(default_factory=list)
    unreadable: str | None = None
    """Why nothing can be known."""


def comment(
    files: Sequence[Path],
    *,
    base: str | None,
    head: str | None,
    labels: Sequence[str],
    pull_request: int | None,
    run: int | None,
) -> None:
    """See `cli.comment`."""
    hub = None if pull_request is None and run is None else GitHub.from_environment()
    if hub is not None and pull_request is not None:
        request = hub.pull_request(pull_request)
        if head is not None and request.head != head:
            raise UserError(
                f"Pull request {pull_request} has come to {request.head[:12]}, and this is the preview of {head[:12]}:"
                " its comment is left to the newer one"
            )
        labels = [*labels, *request.labels]

    def plan_of(stack: str) -> bytes | None:
        file = next((file for file in files if _stack(file) == stack), None)
        if file is not None:
            return file.read_bytes() if file.is_file() else None
        return hub.artifact_of_run(run, f"plan-{stack}") if hub is not None and run is not None else None

    found = _findings(map(_stack, files), plan_of, base=base, head=head, labels=labels)
    text = report.comment(
        found.reviews, failed=found.failed, request=found.request, notes=found.notes, unreadable=found.unreadable
    )
    print(text, end="")
    if hub is not None and pull_request is not None:
        told = bool(found.reviews or found.failed or found.request or found.notes or found.unreadable)
        hub.comment(pull_request, report.MARKER, text, new=told)
    _end(found)


def _findings(
    given: Iterable[str],
    plan_of: Callable[[str], bytes | None],
    *,
    base: str | None,
    head: str | None,
    labels: Sequence[str],
) -> _Findings:
    found = _Findings()
    changes, stacks = None, list(given)
    try:
        allowed = guard.labels(labels)
        if base is not None:
            changes = Changes.since(base, Project.around(Path.cwd()).root, head)
            found.request = guard.program_changed(changes.influences(), allowed)
            found.notes = branch.summary_of_dropped(changes.dropped())
            stacks = [*changes.touched(), *stacks]
    except UserError as error:
        found.unreadable = f"{error}{_NEWER if isinstance(error, ProblemsError) else ''}"
        return found
    for stack in dict.fromkeys(stacks):
        try:
            content = plan_of(stack)
            if content is None:
                found.failed[stack] = NO_PLAN
            else:
                found.reviews.append(_judged(artifact.read(content, stack), changes, allowed))
        except UserError as error:
            found.failed[stack] = str(error)
    return found


def _judged(plan: Plan, changes: Changes | None, allowed: Collection[str]) -> Review:
    """A plan with the base's verdict; what is about the request as a whole is told once and not for each stack."""
    if changes is None:
        return guard.review(plan, Here(plan.stack).settings.guard, named=None, allowed=allowed)
    stacks = changes.stacks()
    own = next((it for it in stacks if it.stack == plan.stack), None)
    if own is None:
        raise UserError("the pull request's fleet has no such stack")
    head = changes.after.tenants(changes.after.tenants_file(own))
    uses = [placement.droplet_use(head, stacks), *placement.database_uses(head, stacks)]
    review = verdict(plans.with_capacity(_counted(plan, changes), uses[0], uses[1:]), changes, allowed)
    stops = tuple(stop for stop in review.stops if stop.label != guard.PROGRAM_CHANGED)
    moved = changes.renamed(plan.stack)
    if moved is None:
        return review.model_copy(update={"stops": stops})
    note = f" The fleet file is another one ({moved}), so the pull request names nobody."
    return review.model_copy(
        update={
            "stops": tuple(
                stop.model_copy(update={"message": stop.message + note}) if stop.label == guard.UNNAMED else stop
                for stop in stops
            )
        }
    )


def _counted(plan: Plan, changes: Changes) -> Plan:
    """A plan for a stack with no more tenants than the base has: a share of a larger number would be a smaller one."""
    own = changes.before.settings(plan.stack)
    if own is None:
        return plan
    then = changes.before.tenants_then(changes.before.tenants_file(own)).rows
    count = sum(row.options.database_team in own.team_names for row in then)
    return plan.model_copy(update={"tenants": min(plan.tenants, count)}) if count else plan


def _end(found: _Findings) -> None:
    """End the command as the pull request's check is to end.

    Raises:
        typer.Exit: 3 the guard stops something.
        UserError: something could not be judged.
    """
    stops = [stop for review in found.reviews for stop in review.stopped]
    if found.request is not None and not found.request.allowed:
        stops.insert(0, found.request)
    for stop in stops:
        typer.echo(str(stop), err=True)
    if found.unreadable is not None:
        raise UserError(f"What the pull request changes cannot be judged: {found.unreadable}")
    if found.failed:
        raise UserError("\n".join(f"{stack}: {why}" for stack, why in found.failed.items()))
    if stops:
        raise typer.Exit(STOPPED)


def _stack(file: Path) -> str:
    """The stack whose plan a file is.

    Raises:
        UserError: its name does not say so.
    """
    if not file.name.startswith("plan-") or file.suffix != ".json":
        raise UserError(f"{file}: call it plan-STACK.json, so that its name says whose plan it is to be")
    return file.stem.removeprefix("plan-")
