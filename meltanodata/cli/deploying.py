"""`up`, `deploy`, `drift`: from a plan to the tenants, and back to what differs."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path  # noqa: TC003 - typer looks at it
from typing import TYPE_CHECKING, Annotated, Any

import typer

from meltanodata import terminal
from meltanodata.cli import droplets, recovery
from meltanodata.cli.context import StackContext, account, project
from meltanodata.cli.exit_codes import DRIFTED, FAILED, NOT_REVIEWED, WRONG
from meltanodata.cli.options import Allow, Base, Expect, FleetStack, Labels, Stack, labels_of
from meltanodata.cli.planning import judge, read_plan, refuse_stopped, review_preview, show, tell_left_alone
from meltanodata.cli.pulumi_options import for_preview, refuse_elsewhere, switches
from meltanodata.cli.reviewed_push import SKIP, Request, of_push
from meltanodata.config.object_names import names_of_no_tenant
from meltanodata.config.settings import file_of
from meltanodata.engine import deployed_commit, pulumi_cli
from meltanodata.errors import InterruptedRunError, NotReviewedError, UserError
from meltanodata.github import GitHub
from meltanodata.render import report
from meltanodata.rollout import apply as rollouts
from meltanodata.rollout import drift as drifts
from meltanodata.rollout import guard, preview_plan
from meltanodata.text import listing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from meltanodata.engine.stack_state import StackState
    from meltanodata.rollout.drift import Drift, Orphan
    from meltanodata.rollout.plan import Plan

app = typer.Typer()

_ISSUE_TITLE = "The fleet differs from the repository"


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def up(
    arguments: typer.Context,
    stack: Stack,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LABEL", help="A label that allows what the guard stops, such as guard:data-loss. Repeatable."
        ),
    ] = None,
) -> None:
    """Show the plan, ask, and apply it.

    If an earlier run was killed, it is finished first. Every other option is passed to `pulumi up`: --yes does not ask,
    and --continue-on-error goes on with the other tenants if one fails. Exit code 3: the guard stops the plan, and
    nothing was changed; 5: a tenant cannot be planned and is left alone, and all others were applied.

    \b
    meltanodata up --stack prod
    meltanodata up --stack prod --yes --continue-on-error
    meltanodata up --stack prod --allow guard:data-loss
    """
    labels, passed_on = allow or [], arguments.args
    if unknown := sorted(set(labels) - set(guard.LABELS)):
        raise typer.BadParameter(
            f"--allow: there is no label {listing(unknown)}. The labels are: {listing(guard.LABELS)}."
        )
    refuse_elsewhere(passed_on)
    context = StackContext(stack)
    interactive = _is_interactive(passed_on)
    _prepare(context)
    print(f"{stack}: planning …", file=sys.stderr, flush=True)
    previewed = for_preview(passed_on)
    review = review_preview(context, pulumi_cli.preview(stack, context.root, arguments=previewed), None, labels)
    console = terminal.console(err="json" in switches(passed_on))
    show(review, console)
    for stop in review.stops:
        if stop.allowed:
            console.print(str(stop), soft_wrap=True)
    refuse_stopped(review)
    if interactive and not review.plan.empty:
        shown = _files(context)
        _ask(context, previewed)
        if _files(context) != shown:
            raise UserError(
                "The fleet file or a stack's settings changed after the plan was shown, so nothing was applied. Run"
                " this again."
            )
    # With --strict the engine makes a plan of its own and keeps to it.
    skip = [] if "strict" in switches(passed_on) else ["--skip-preview"]
    # The outputs are long, and after an interruption the engine shows them as if every tenant were gone.
    command = ["--yes", *skip, "--suppress-outputs", *passed_on]
    try:
        code = pulumi_cli.shown_up(stack, context.root, command, review.plan.deleted_databases)
    except InterruptedRunError:
        recovery.say_unfinished(stack, context.root, "up", interrupted=True)
        raise typer.Exit(WRONG) from None
    if code != 0:
        recovery.say_unfinished(stack, context.root, "up")
    tell_left_alone(review.plan)
    raise typer.Exit(code or (FAILED if review.plan.left_alone else 0))


def _prepare(context: StackContext, back_from: str | None = None) -> None:
    """Finish what a killed run left behind. A commit that may not be deployed does not touch the state."""
    recovery.unlock(context.stack, context.project)
    deployed_commit.refuse_older(context.stack, context.root, back_from)
    recovery.recover(context.stack, context.project)


def _is_interactive(arguments: Sequence[str]) -> bool:
    """Whether somebody has to confirm; wrong usage if nobody can."""
    given = switches(arguments)
    # https://www.pulumi.com/docs/iac/cli/environment-variables/: without a preview there is nothing to confirm.
    if given & {"yes", "skip-preview"} or os.environ.get("PULUMI_SKIP_CONFIRMATIONS", "").lower() in {"1", "true"}:
        return False
    if "non-interactive" in given or not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise typer.BadParameter("there is no terminal to ask on: add --yes to apply what the guard lets pass")
    return True


def _ask(context: StackContext, arguments: Sequence[str]) -> None:
    while True:
        answer = typer.prompt("Apply this plan? (yes, no, details)", default="no").strip().lower()
        if answer in {"yes", "y"}:
            return
        if answer in {"no", "n"}:
            typer.echo("Nothing was changed.")
            raise typer.Exit(WRONG)
        if answer in {"details", "d"}:
            pulumi_cli.show_preview(context.stack, context.root, arguments)


def _files(context: StackContext) -> list[bytes | None]:
    """What the plan is made from: the fleet file and the settings of its stacks."""
    paths = [context.file, *sorted(context.root / file_of(name) for name in context.project.stack_names())]
    return [path.read_bytes() if path.is_file() else None for path in paths]


@app.command()
def deploy(
    stack: Stack,
    base: Base = None,
    allow: Allow = None,
    labels: Labels = None,
    expect: Expect = None,
    merged: Annotated[
        str | None,
        typer.Option(
            envvar="MELTANODATA_MERGED",
            metavar="COMMIT",
            help="Deploy a push to the main branch on GitHub, with the labels and reviewed plans of its pull requests.",
        ),
    ] = None,
    refresh: Annotated[
        bool,
        typer.Option(
            "--refresh",
            envvar="MELTANODATA_REFRESH",
            help="Refresh the state first, and revert what was changed by hand.",
        ),
    ] = False,
    go_back_from: Annotated[
        str | None,
        typer.Option(
            envvar="MELTANODATA_GO_BACK_FROM",
            metavar="COMMIT",
            help="The commit deployed last. Allows to deploy an older commit, or one that does not contain it.",
        ),
    ] = None,
    summary: Annotated[Path | None, typer.Option(metavar="FILE", help="Append the outcome, in Markdown.")] = None,
) -> None:
    """Apply a reviewed plan in stages.

    Canaries come first, then batches. The instances of each are examined before the next begins.

    If an earlier run was killed, it is finished first. The guard judges the plan that is applied, not only the reviewed
    one. A commit that is older than the one deployed last is refused. Exit code 3: the guard stops the plan; 4: the
    plan is not the reviewed one, or no plan was reviewed; 5: a tenant failed, or cannot be planned and is left alone.

    \b
    meltanodata deploy --stack prod
    meltanodata deploy --stack prod --merged "$GITHUB_SHA" --summary "$GITHUB_STEP_SUMMARY"
    """
    given = tuple(labels_of(allow, labels))
    context = StackContext(stack)
    root = context.root
    request = Request(base, given, None if expect is None else read_plan(expect))
    if merged is not None:
        try:
            request = of_push(context, merged, base or f"{merged}^")
        except NotReviewedError as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(NOT_REVIEWED) from None
    if SKIP in request.labels:
        print(f"{stack}: nothing is deployed, because the pull request has the label {SKIP}")
        return
    _prepare(context, go_back_from)
    engine = _Engine(stack, root, refresh, go_back_from)
    state = engine.state()
    review = review_preview(context, engine.preview(), request.base, request.labels, state, deploys=True)
    show(review)
    judge(review, request.reviewed, begun=deployed_commit.has_begun(stack, root))
    # Also if nothing is left to do: an older commit would undo what this one has and an earlier deployment did.
    deployed_commit.note(stack, root, go_back_from)
    if not review.plan.empty or review.plan.left_alone:
        with pulumi_cli.despite_hangup():
            _roll_out(context, review.plan, replace(engine, may_go=review.plan.deleted_databases), summary)


def _roll_out(context: StackContext, plan: Plan, engine: _Engine, summary: Path | None) -> None:
    results: list[rollouts.Result] = []
    started = time.monotonic()
    if summary is not None:
        summary.open("a").close()  # whoever cannot write it learns so before anything is applied
    interrupted = False
    try:
        for result in rollouts.run(
            plan,
            context.settings.rollout,
            engine,
            examine=partial(droplets.unwell, context.settings, context.project),
            wait=time.sleep,
            say=partial(_say, started),
        ):
            results.append(result)  # noqa: PERF402 - if it fails in between, the results so far are shown
    except (InterruptedRunError, KeyboardInterrupt):
        interrupted = True
    finally:
        terminal.console().print(report.outcome_table(results))
        unwritten = _append(summary, report.outcome(context.stack, results, time.monotonic() - started))
    if interrupted:
        recovery.say_unfinished(context.stack, context.root, "deploy", interrupted=True)
        raise typer.Exit(FAILED)
    if not all(result.well for result in results):
        raise typer.Exit(FAILED)
    if unwritten:
        raise typer.Exit(WRONG)


def _append(summary: Path | None, text: str) -> bool:
    """Append to the summary, if there is one; whether that failed, which is said and hides nothing else."""
    if summary is None:
        return False
    try:
        with summary.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        print(f"{summary}: the outcome cannot be written: {error.strerror}. It is in the table above", file=sys.stderr)
        return True
    return False


@dataclass(frozen=True)
class _Engine:
    """The engine on a stack, see `rollout.apply.Engine`."""

    stack: str
    folder: Path
    refresh: bool
    back_from: str | None
    """See `deployed_commit.refuse_older`."""
    may_go: frozenset[str] = frozenset()
    """The tenants whose databases may be deleted, from the plan that was judged."""

    def state(self) -> StackState:
        return pulumi_cli.state(self.stack, self.folder)

    def preview(self) -> Mapping[str, Any]:
        return pulumi_cli.preview(self.stack, self.folder, refresh=self.refresh)

    def up(self, targets: Sequence[str] | None) -> Iterator[Mapping[str, Any]]:
        # A newer deployment may have begun while this one waited between two stages.
        deployed_commit.note(self.stack, self.folder, self.back_from)
        return pulumi_cli.up(self.stack, self.folder, targets, refresh=self.refresh, may_go=self.may_go)


def _say(started: float, line: str) -> None:
    """Print a line with the minutes and seconds since the start."""
    minutes, seconds = divmod(int(time.monotonic() - started), 60)
    print(f"{minutes:3}:{seconds:02} {line}", flush=True)


@app.command()
def drift(
    stack: FleetStack = None,
    issue: Annotated[
        bool, typer.Option("--issue", help="Open, update or close the issue about drift on GitHub.")
    ] = False,
) -> None:
    """Find what differs although nobody deployed.

    Shows in Markdown what was changed by hand, objects in the accounts that no state has (orphans), and certificates
    that are due for renewal. --issue needs GITHUB_REPOSITORY and GITHUB_TOKEN. Exit code 6: there is drift, and no
    issue was written.

    \b
    meltanodata drift
    meltanodata drift --issue
    """
    differences = _drift(stack)
    text = report.drift(differences)
    print(text, end="")
    if issue:
        GitHub.from_environment().issue(report.DRIFT_MARKER, _ISSUE_TITLE, None if differences.none else text)
    if differences.unseen:
        raise UserError("\n".join(f"{unseen.stack} was not examined: {unseen.why}" for unseen in differences.unseen))
    if not issue and not differences.none:
        raise typer.Exit(DRIFTED)


def _drift(stack: str | None) -> Drift:
    root, stacks = project().root, project().fleet(stack)
    # The stacks share the droplet team: what one of them leaves alone is no orphan of another.
    ignored = names_of_no_tenant(stacks)
    states = [pulumi_cli.state(settings.stack, root) for settings in stacks]
    known = drifts.known(states)
    orphans: set[Orphan] = set()
    changed: list[Plan] = []
    unseen: list[drifts.Unseen] = []
    for settings in stacks:
        try:
            recovery.refuse_locked(settings.stack, project())
            inventory = account(settings.stack).inventory
            orphans.update(drifts.orphans(inventory, known, settings.droplet_team.name, ignored))
            changed.append(preview_plan.read(pulumi_cli.preview(settings.stack, root, refresh=True)))
        except UserError as error:  # an expired token of one team hides nothing about the others
            unseen.append(drifts.Unseen(settings.stack, str(error)))
    return drifts.Drift(changed, sorted(orphans), drifts.expiring(states, datetime.now(UTC)), unseen)
