"""`deploy`: from a plan that was reviewed to tenants that are well."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import typer

from meltanodata import terminal
from meltanodata.cli import droplets, recovery
from meltanodata.cli.context import Here
from meltanodata.cli.exit_codes import FAILED, NOT_REVIEWED
from meltanodata.cli.plan import judge, review, reviewed, show
from meltanodata.cli.pushed import SKIP, Request, of_push
from meltanodata.engine import deployed_commit, pulumi_cli
from meltanodata.errors import NotReviewedError
from meltanodata.render import report
from meltanodata.rollout import apply as deployments

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from meltanodata.engine.stack_state import StackState
    from meltanodata.rollout.plan import Plan


def deploy(
    stack: str,
    *,
    base: str | None,
    labels: Sequence[str],
    expect: Path | None,
    merged: str | None,
    refresh: bool,
    back_from: str | None,
    summary: Path | None,
) -> None:
    """See `cli.deploy`."""
    here = Here(stack)
    request = Request(base, tuple(labels), None if expect is None else reviewed(expect).plan)
    if merged is not None:
        try:
            request = of_push(here, merged, base or f"{merged}^")
        except NotReviewedError as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(NOT_REVIEWED) from None
    if SKIP in request.labels:
        print(f"{stack}: nothing is deployed, since the pull request has the label {SKIP}")
        return
    root = here.project.root
    recovery.unlock(stack, here.project)
    deployed_commit.refuse_older(stack, root, back_from)
    recovery.put_in_order(stack, here.project)
    pulumi = _Pulumi(stack, root, refresh, back_from)
    before = pulumi.state()
    found = review(here, pulumi.preview(), request.base, request.labels, before)
    show(found)
    judge(found, request.reviewed, begun=deployed_commit.has_begun(stack, root))
    # Also where nothing is left to do: an older commit would undo what this one has and an earlier deployment did.
    deployed_commit.note(stack, root, back_from)
    if not found.plan.empty:
        _apply(here, found.plan, replace(pulumi, may_go=found.plan.deleted_databases), summary)


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
class _Pulumi:
    """The engine on a stack, see `deploy.Engine`."""

    stack: str
    folder: Path
    refresh: bool
    back_from: str | None
    """See `deployed.refuse_older`."""
    may_go: frozenset[str] = frozenset()
    """The tenants whose databases may be deleted: those of the plan that was judged."""

    def state(self) -> StackState:
        return pulumi_cli.state(self.stack, self.folder)

    def preview(self) -> Mapping[str, Any]:
        return pulumi_cli.preview(self.stack, self.folder, refresh=self.refresh)

    def up(self, targets: Sequence[str] | None) -> Iterator[Mapping[str, Any]]:
        # A newer deployment may have begun while this one waited between two stages.
        deployed_commit.note(self.stack, self.folder, self.back_from)
        return pulumi_cli.up(self.stack, self.folder, targets, refresh=self.refresh, may_go=self.may_go)


class _Say:
    """Lines with the minutes and seconds since the start."""

    def __init__(self, started: float) -> None:
        self._started = started

    def __call__(self, line: str) -> None:
        minutes, seconds = divmod(int(time.monotonic() - self._started), 60)
        print(f"{minutes:3}:{seconds:02} {line}", flush=True)
