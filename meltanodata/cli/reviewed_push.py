"""The review of a push to the main branch: its pull requests, their labels and their last plans."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import typer

from meltanodata.cli.exit_codes import STOPPED
from meltanodata.cli.planning import verdict
from meltanodata.config.revisions import NONE, Revision
from meltanodata.config.stacks import Project
from meltanodata.errors import NotReviewedError, UserError
from meltanodata.github import GitHub
from meltanodata.rollout import approval, artifact, guard, pushes
from meltanodata.rollout.changes import Changes
from meltanodata.rollout.plan import Change

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meltanodata.cli.context import StackContext
    from meltanodata.rollout.guard import Stop
    from meltanodata.rollout.plan import Plan
    from meltanodata.rollout.pushes import Merged

SKIP = "skip-deploy"
"""The label of a pull request whose merge deploys nothing."""


@dataclass(frozen=True)
class Request:
    """The review of a deployment."""

    base: str | None
    labels: tuple[str, ...]
    reviewed: Plan | None
    """None if no reviewed plan is needed."""


def of_push(context: StackContext, commit: str, base: str) -> Request:
    """The review of the pull requests that a push to the main branch merged.

    Args:
        context: the stack to deploy.
        commit: the branch's commit after the push.
        base: the branch's commit before the push.

    Raises:
        NotReviewedError: a commit belongs to no pull request, or none of them has a plan.
        UserError: some of several pull requests must not be deployed.
        typer.Exit: 3 the labels of a pull request do not allow what it does.
    """
    stack, root = context.stack, context.root
    branch = os.environ.get("GITHUB_REF_NAME")
    if not branch:
        raise UserError("GITHUB_REF_NAME must be set to the deployed branch, as in a workflow")
    if base == NONE:
        raise NotReviewedError(
            f"This is the first push of {branch}, so its changes were not reviewed, and nothing is deployed."
            f" {_by_hand(stack)}"
        )
    repository = GitHub.from_environment()
    commits = Revision.of(base, root).until(commit)
    merged = pushes.requests(commits, branch, ask=repository.requests_with, wait=time.sleep, say=_say)
    for each in merged:
        print(f"Pull request {each.request.number}, labels: {', '.join(each.request.labels) or 'none'}")
    labels = tuple(sorted({label for each in merged for label in each.request.labels}))
    if SKIP in labels:
        _refuse_partial_skip(merged)
        return Request(base, labels, None)
    artifacts = {each.request.number: repository.reviewed_artifact(each.request, f"plan-{stack}") for each in merged}
    plan_of = {number: _read(content, stack, number) for number, content in artifacts.items() if content is not None}
    if not plan_of:
        raise NotReviewedError(_no_plan(stack, merged))
    if len(merged) > 1:
        labels = _labels_of_several(merged, plan_of, context, base)
    return Request(base, labels, approval.union(list(plan_of.values())))


def _read(content: bytes, stack: str, number: int) -> Plan:
    try:
        return artifact.read(content, stack)
    except UserError as error:
        raise UserError(f"The plan of {stack} in pull request {number}: {error}") from None


def _refuse_partial_skip(merged: Sequence[Merged]) -> None:
    """Stop unless all pull requests of a push have the label that skips the deployment."""
    skipped = [each.request.number for each in merged if SKIP in each.request.labels]
    others = [each.request.number for each in merged if SKIP not in each.request.labels]
    if others:
        raise UserError(
            f"This push merged several pull requests. Only {_numbers(skipped)} must not be deployed (label {SKIP}), but"
            f" {_numbers(others)} cannot be deployed separately, so nothing is deployed. When all of them may be"
            " deployed, start the deploy workflow by hand."
        )


def _labels_of_several(
    merged: Sequence[Merged], plan_of: dict[int, Plan], context: StackContext, base: str
) -> tuple[str, ...]:
    """The labels that allow what several pull requests do together. Stop unless each one's own allow its own plan."""
    refused = []
    stack, root = context.stack, context.root
    for each in merged:
        labels = guard.labels(each.request.labels)
        own = Changes.since(f"{each.commits[0]}^", root, each.commits[-1])
        plan = plan_of.get(each.request.number)
        if (
            plan is None
        ):  # it does not touch the stack, or its plan was not reviewed: `unreviewed` then stops the deploy
            program = guard.program_changed(own.influences(), labels)
            stops: tuple[Stop, ...] = () if program is None or program.allowed else (program,)
        else:
            # By the thresholds from before the push: another pull request of it cannot raise them for this one.
            stops = verdict(plan, replace(own, base=Project(root, Revision.of(base, root))), labels).stopped
        refused += [f"Pull request {each.request.number}: {stop}" for stop in stops]
    if refused:
        message = f"{stack}: the labels do not allow everything that the pull requests of this push do."
        typer.echo("\n".join([message, *refused]), err=True)
        raise typer.Exit(STOPPED)
    allowed = {label for each in merged for label in each.request.labels}
    destroying = [each for each in merged if (plan := plan_of.get(each.request.number)) and plan.of(Change.DESTROYED)]
    if not all(guard.MANY_DESTROYED in each.request.labels for each in destroying):
        # The label of one pull request does not allow the sum of several.
        allowed.discard(guard.MANY_DESTROYED)
    return tuple(sorted(allowed))


def _no_plan(stack: str, merged: Sequence[Merged]) -> str:
    numbers = _numbers([each.request.number for each in merged])
    return (
        f"There is no reviewed plan of {stack} in {numbers}. A plan counts if it is an artifact of a successful run of"
        " the preview workflow for the pull request's last commit, from a branch of this repository and before the"
        " merge. Either the preview did not run (a fork's has no access), failed or had not finished, or the artifact"
        f" has expired. {_by_hand(stack)}"
    )


def _by_hand(stack: str) -> str:
    return f"Look at the plan (meltanodata plan --stack {stack}), then start the deploy workflow by hand."


def _numbers(numbers: Sequence[int]) -> str:
    return f"pull request{'' if len(numbers) == 1 else 's'} {', '.join(map(str, numbers))}"


def _say(line: str) -> None:
    print(line, flush=True)
