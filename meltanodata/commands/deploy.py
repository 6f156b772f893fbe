"""`deploy`: from a plan that was reviewed to tenants that are well."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import typer

from meltanodata import deploy as deployments
from meltanodata import engine, report, terminal, up
from meltanodata.commands import FAILED, droplets
from meltanodata.commands.here import Here
from meltanodata.commands.plan import judge, review, reviewed, show
from meltanodata.errors import UserError
from meltanodata.github import GitHub
from meltanodata.guard import Review

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from meltanodata.plan import Plan

SKIP = "skip-deploy"
"""The label of a pull request whose merge deploys nothing."""


def deploy(
    stack: str,
    *,
    base: str | None,
    labels: Sequence[str],
    expect: Path | None,
    merged: str | None,
    refresh: bool,
    summary: Path | None,
) -> None:
    """See `cli.deploy`."""
    here = Here(stack)
    request = _Request(base, tuple(labels), None if expect is None else reviewed(expect).plan)
    if merged is not None:
        request = _of_merge(stack, merged, base or f"{merged}^")
    if SKIP in request.labels:
        print(f"{stack}: nothing is deployed, since the pull request has the label {SKIP}")
        return
    up.put_in_order(stack, here.project)
    pulumi = _Pulumi(stack, here.project.root, refresh)
    found = review(here, pulumi.preview(), request.base, request.labels)
    show(found)
    judge(found, request.reviewed)
    if not found.plan.empty:
        _apply(here, found.plan, pulumi, summary)


def _apply(here: Here, plan: Plan, pulumi: _Pulumi, summary: Path | None) -> None:
    results: list[deployments.Result] = []
    started = time.monotonic()
    try:
        for result in deployments.run(
            plan,
            here.settings.rollout,
            pulumi,
            examine=partial(droplets.unwell, here.settings, here.project),
            wait=time.sleep,
            say=_Say(started),
        ):
            results.append(result)  # noqa: PERF402 - what there is when it breaks off is shown too
    finally:
        terminal.console().print(report.outcome_table(results))
        if summary is not None:
            with summary.open("a", encoding="utf-8") as file:
                file.write(report.outcome(here.settings.stack, results, time.monotonic() - started))
    if not all(result.well for result in results):
        raise typer.Exit(FAILED)


@dataclass(frozen=True)
class _Request:
    """What is known of the pull request behind a deployment."""

    base: str | None
    labels: tuple[str, ...]
    reviewed: Plan | None
    """None where nothing has to be reviewed."""


def _of_merge(stack: str, commit: str, base: str) -> _Request:
    """The pull request that a commit of the main branch came from, with the plan that it showed last.

    Raises:
        UserError: it had no plan to show: one from a fork, or one whose preview is too old.
    """
    repository = GitHub.from_environment()
    request = repository.pull_request_of(commit)
    if request is None:
        print(f"{commit} came from no pull request: nothing was reviewed, and the guard alone decides.")
        return _Request(base, (), None)
    print(f"Pull request {request.number}, labels: {', '.join(request.labels) or 'none'}")
    if SKIP in request.labels:
        return _Request(base, request.labels, None)
    kept = repository.artifact(f"plan-{stack}", request.head)
    if kept is None:
        raise UserError(
            f"The plan of {stack} that pull request {request.number} showed cannot be had: its preview did not run (a"
            " fork's has no access), or is older than artifacts are kept. Look at the plan (meltanodata plan --stack"
            f" {stack}), then run the deploy workflow by hand."
        )
    return _Request(base, request.labels, Review.model_validate_json(kept).plan)


@dataclass(frozen=True)
class _Pulumi:
    """The engine on a stack, see `deploy.Engine`."""

    stack: str
    folder: Path
    refresh: bool

    def preview(self) -> Mapping[str, Any]:
        return engine.preview(self.stack, self.folder, refresh=self.refresh)

    def up(self, targets: Sequence[str] | None) -> Iterator[Mapping[str, Any]]:
        return engine.up(self.stack, self.folder, targets, refresh=self.refresh)


class _Say:
    """Lines with the minutes and seconds since the start."""

    def __init__(self, started: float) -> None:
        self._started = started

    def __call__(self, line: str) -> None:
        minutes, seconds = divmod(int(time.monotonic() - self._started), 60)
        print(f"{minutes:3}:{seconds:02} {line}", flush=True)
