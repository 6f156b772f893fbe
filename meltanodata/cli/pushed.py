"""What was reviewed of a push to the main branch: its pull requests, their labels and the plans that they showed."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import typer

from meltanodata.cli.exit_codes import STOPPED
from meltanodata.cli.plan import verdict
from meltanodata.config.revisions import NONE, Revision
from meltanodata.config.stacks import Project
from meltanodata.errors import NotReviewedError, UserError
from meltanodata.github import GitHub
from meltanodata.rollout import artifact, guard, pushes
from meltanodata.rollout import plan as plans
from meltanodata.rollout.changes import Changes
from meltanodata.rollout.plan import Change

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meltanodata.cli.context import Here
    from meltanodata.rollout.guard import Stop
    from meltanodata.rollout.plan import Plan
    from meltanodata.rollout.pushes import Merged

SKIP = "skip-deploy"
"""The label of a pull request whose merge deploys nothing."""


@dataclass(frozen=True)
class Request:
    """What is known of the review of a deployment."""

    base: str | None
    labels: tuple[str, ...]
    reviewed: Plan | None
    """None where nothing has to be reviewed."""


def of_push(here: Here, commit: str, base: str) -> Request:
    """The pull requests that a push to the main branch merged, with the plan that they showed last.

    Args:
        here: the stack that is to be deployed.
        commit: what the branch has come to.
        base: where it was before.

    Raises:
        NotReviewedError: GitHub knows no request of a commit, or none that had a plan to show.
        UserError: some of several requests are not to be deployed.
        typer.Exit: 3 some are not allowed what they do.
    """
    stack, root = here.settings.stack, here.project.root
    branch = os.environ.get("GITHUB_REF_NAME")
    if not branch:
        raise UserError("GITHUB_REF_NAME must be set to the branch that is deployed, as in a workflow")
    if base == NONE:
        raise NotReviewedError(
            f"This is the first push of {branch}, so nobody has reviewed what it changes, and nothing is deployed."
            f" Look at the plan (meltanodata plan --stack {stack}), then start the deploy workflow by hand."
        )
    repository = GitHub.from_environment()
    commits = Revision.of(base, root).until(commit)
    merged = pushes.requests(commits, branch, ask=repository.requests_with, wait=time.sleep, say=_say)
    for it in merged:
        print(f"Pull request {it.request.number}, labels: {', '.join(it.request.labels) or 'none'}")
    labels = tuple(sorted({label for it in merged for label in it.request.labels}))
    if SKIP in labels:
        _skip(merged)
        return Request(base, labels, None)
    kept = {it.request.number: repository.reviewed_artifact(it.request, f"plan-{stack}") for it in merged}
    read = {number: _read(content, stack, number) for number, content in kept.items() if content is not None}
    if not read:
        raise NotReviewedError(_no_plan(stack, merged))
    if len(merged) > 1:
        labels = _labels_of_several(merged, read, here, base)
    return Request(base, labels, plans.union(list(read.values())))


def _read(content: bytes, stack: str, number: int) -> Plan:
    try:
        return artifact.read(content, stack)
    except UserError as error:
        raise UserError(f"The plan of {stack} that pull request {number} showed: {error}") from None


def _skip(merged: Sequence[Merged]) -> None:
    """Go on where all requests of a push are to be skipped; one alone cannot be left out."""
    skipped = [it.request.number for it in merged if SKIP in it.request.labels]
    others = [it.request.number for it in merged if SKIP not in it.request.labels]
    if others:
        raise UserError(
            f"This push merged several pull requests. {_numbers(skipped)} shall not be deployed (label {SKIP}),"
            f" {_numbers(others)} shall, and one cannot be deployed without the other: nothing is deployed. When all of"
            " them may go, start the deploy workflow by hand."
        )


def _labels_of_several(merged: Sequence[Merged], read: dict[int, Plan], here: Here, base: str) -> tuple[str, ...]:
    """The labels that allow what several requests do together: each request's own cover its own plan alone.

    Raises:
        typer.Exit: 3 a request's own labels do not cover its plan.
    """
    refused = []
    stack, root = here.settings.stack, here.project.root
    for it in merged:
        labels = guard.labels(it.request.labels)
        own = Changes.since(f"{it.commits[0]}^", root, it.commits[-1])
        plan = read.get(it.request.number)
        if plan is None:  # it does not touch the stack, or nobody has seen how: then what it does there is not reviewed
            program = guard.program_changed(own.influences(), labels)
            stops: tuple[Stop, ...] = () if program is None or program.allowed else (program,)
        else:
            # By the thresholds from before the push: another request of it cannot raise them for this one.
            stops = verdict(plan, replace(own, base=Project(root, Revision.of(base, root))), labels).stopped
        refused += [f"Pull request {it.request.number}: {stop}" for stop in stops]
    if refused:
        typer.echo(
            "\n".join([f"{stack}: not every pull request of this push is allowed what it does.", *refused]), err=True
        )
        raise typer.Exit(STOPPED)
    allowed = {label for it in merged for label in it.request.labels}
    destroyers = [it for it in merged if (plan := read.get(it.request.number)) and plan.of(Change.DESTROYED)]
    if not all(guard.MANY_DESTROYED in it.request.labels for it in destroyers):
        # Few each, and many together: a label of one of them has not been given for the sum.
        allowed.discard(guard.MANY_DESTROYED)
    return tuple(sorted(allowed))


def _no_plan(stack: str, merged: Sequence[Merged]) -> str:
    numbers = _numbers([it.request.number for it in merged])
    return (
        f"There is no plan of {stack} that {numbers} showed before the merge. What counts is an artifact of a run of"
        " the preview workflow that ended well, for the request's last commit and from a branch of this repository: the"
        " preview did not run (a fork's has no access), failed, was still at work, or is older than artifacts are kept."
        f" Look at the plan (meltanodata plan --stack {stack}), then start the deploy workflow by hand."
    )


def _numbers(numbers: Sequence[int]) -> str:
    return f"pull request{'' if len(numbers) == 1 else 's'} {', '.join(map(str, numbers))}"


def _say(line: str) -> None:
    print(line, flush=True)
