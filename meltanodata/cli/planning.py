"""`plan`, `comment`, `stacks`: what a change would do."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path  # noqa: TC003 - typer looks at it
from typing import TYPE_CHECKING, Annotated, Any

import typer

from meltanodata import terminal
from meltanodata.cli import recovery
from meltanodata.cli.context import StackContext, located, project, read
from meltanodata.cli.exit_codes import NOT_REVIEWED, STOPPED, WRONG
from meltanodata.cli.options import Allow, Base, Expect, FleetStack, Labels, Stack, labels_of
from meltanodata.config import placement
from meltanodata.config.revisions import NONE
from meltanodata.engine import deployed_commit, pulumi_cli
from meltanodata.errors import ProblemsError, UserError
from meltanodata.github import GitHub
from meltanodata.render import report
from meltanodata.rollout import approval, artifact, changes, guard, preview_plan
from meltanodata.rollout import plan as plans
from meltanodata.rollout.changes import Changes
from meltanodata.rollout.guard import Review
from meltanodata.text import first_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from rich.console import Console

    from meltanodata.config.fleet import Fleet
    from meltanodata.config.settings import Settings
    from meltanodata.engine.stack_state import StackState
    from meltanodata.rollout.guard import Stop
    from meltanodata.rollout.plan import Plan

app = typer.Typer()

_WIDEST = 2_000
"""Characters of each line about what was not reviewed."""


@app.command()
def plan(
    stack: Stack,
    base: Base = None,
    allow: Allow = None,
    labels: Labels = None,
    expect: Expect = None,
    preview: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Read the output of `pulumi preview --json` instead of running it."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for `comment` and `--expect`.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print a comment in Markdown.")] = False,
    no_guard: Annotated[
        bool,
        typer.Option(
            "--no-guard", help="Leave the guard's verdict to `comment`, which does not run the pull request's code."
        ),
    ] = False,
) -> None:
    """Show what `up` would do.

    Prints one row a tenant, with the reasons, the effects on people and the cost. A tenant that cannot be planned is
    left alone, and stderr says why. Exit code 1: there is no plan, or a tenant is left alone (with --base: one that
    differs from it makes the guard stop); 3: the guard stops the plan; 4: the plan is not the reviewed one.

    \b
    meltanodata plan --stack prod
    meltanodata plan --stack prod --base origin/main --json > plan.json
    meltanodata plan --stack prod --expect plan.json
    """
    if no_guard and (base or allow or labels):
        raise typer.BadParameter("--no-guard excludes --base, --allow and --labels")
    if as_json and as_markdown:
        raise typer.BadParameter("--json and --markdown exclude each other")
    given = labels_of(allow, labels)
    context = StackContext(stack)
    if preview is None:
        recovery.refuse_locked(stack, context.project, _ALL_THE_SAME)
        state = pulumi_cli.state(stack, context.root)
        raw = pulumi_cli.preview(stack, context.root)
        recovery.refuse_locked(stack, context.project, _ALL_THE_SAME)  # a run may have begun meanwhile
        if unfinished := state.unfinished:
            typer.echo(_unfinished(stack, unfinished), err=True)
    else:
        state, raw = None, _read_preview(preview)
    guarded = not no_guard
    review = review_preview(context, raw, base, given, state) if guarded else Review(plan=_plan(context, raw, state))
    if as_json:
        print(terminal.as_json(review.model_dump(mode="json"), indent=1))
    elif as_markdown:
        print(report.comment([review]), end="")
    else:
        show(review)
    tell_left_alone(review.plan)
    begun = expect is not None and preview is None and deployed_commit.has_begun(stack, context.root)
    judge(review, None if expect is None else read_plan(expect), begun=begun)
    if review.plan.left_alone and guarded and base is None:
        raise typer.Exit(WRONG)


def _unfinished(stack: str, operations: Sequence[str]) -> str:
    """About a plan of a stack that a killed run left half-done, or a run changes whose lock cannot be seen."""
    return (
        f"{stack}: a run was interrupted, or is still running, during: {first_of(operations, _SHOWN)}. What it created"
        f" last may be missing below. If it was interrupted, meltanodata up --stack {stack} continues it."
    )


_ALL_THE_SAME = (
    "For a plan anyway, in which a tenant that is being made looks changed: pulumi preview --json --stack STACK >"
    " preview.json; meltanodata plan --stack STACK --preview preview.json"
)
_SHOWN = 10
"""The most operations that a message names."""


@app.command()
def comment(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILE", help="The output of `plan --json`, one file plan-STACK.json for each stack."),
    ] = None,
    base: Base = None,
    head: Annotated[
        str | None, typer.Option(metavar="REV", help="The pull request's branch. Default: what is checked out.")
    ] = None,
    allow: Allow = None,
    labels: Labels = None,
    pull_request: Annotated[
        int | None,
        typer.Option(metavar="NUMBER", help="Use this pull request's labels, and post or update the comment on it."),
    ] = None,
    run: Annotated[
        int | None, typer.Option(metavar="ID", help="Take the plans from the artifacts of this workflow run.")
    ] = None,
) -> None:
    """Write the comment of a pull request.

    Shows the plans of all stacks that the pull request touches, in Markdown. With --pull-request it also posts the
    comment on GitHub, which needs GITHUB_REPOSITORY and GITHUB_TOKEN; without any plan it only updates an existing
    comment. An empty file means that the preview failed.

    The guard judges the plans by the thresholds of --base and by what differs between --base and --head. Run it with
    the base checked out, so that the pull request's own code has no influence. Exit code 3: the guard stops something;
    1: something cannot be judged, such as a touched stack without a plan.

    \b
    meltanodata comment --base origin/main plan-prod.json plan-prod-2.json
    meltanodata comment --base HEAD --head "$HEAD" --pull-request 7 --run "$GITHUB_RUN_ID"
    """
    by_stack = {_stack_of(file): file for file in reversed(files or [])}
    given = labels_of(allow, labels)
    hub = None if pull_request is None and run is None else GitHub.from_environment()
    if hub is not None and pull_request is not None:
        request = hub.pull_request(pull_request)
        if head is not None and request.head != head:
            raise UserError(
                f"Pull request {pull_request} is at {request.head[:12]}, and this preview is of {head[:12]}. The newer"
                " commit's preview writes the comment"
            )
        given += request.labels

    def plan_of(stack: str) -> bytes | None:
        if stack in by_stack:
            return by_stack[stack].read_bytes() if by_stack[stack].is_file() else None
        return hub.artifact_of_run(run, f"plan-{stack}") if hub is not None and run is not None else None

    findings = _findings(map(_stack_of, files or []), plan_of, base=base, head=head, labels=given)
    text = report.comment(
        findings.reviews,
        failed=findings.failed,
        request=findings.request,
        notes=findings.notes,
        unreadable=findings.unreadable,
    )
    print(text, end="")
    if hub is not None and pull_request is not None:
        hub.comment(pull_request, report.MARKER, text, new=findings != _Findings())
    _end(findings)


@app.command()
def stacks(
    base: Annotated[
        str | None,
        typer.Option(
            metavar="REV", help="List only the stacks that differ from this revision. Forty zeros list all stacks."
        ),
    ] = None,
    stack: FleetStack = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the names as a JSON list.")] = False,
) -> None:
    """List the stacks, or those that a change touches.

    Without --base it shows the stacks with their teams. With --base it prints the names of the stacks whose tenants or
    settings differ, or of all stacks if the program differs. If a stack's settings are removed, stderr says which
    tenants it leaves behind.

    \b
    meltanodata stacks
    meltanodata stacks --base origin/main
    """
    if base is None or base == NONE:  # the branch has no earlier commit
        fleet_stacks, path = located(stack)
        names = [settings.stack for settings in fleet_stacks]
        if base is None and not as_json:
            _, fleet = read(path)
            uses = [(settings.stack, placement.database_uses(fleet, [settings])) for settings in fleet_stacks]
            terminal.console().print(report.stacks(uses))
            return
    else:
        since = Changes.since(base, project().root)
        names = since.touched(stack)
        for line in changes.summary_of_dropped(since.dropped(stack)):
            typer.echo(line, err=True)
    print(json.dumps(names) if as_json else "".join(f"{name}\n" for name in names), end="\n" if as_json else "")


def review_preview(
    context: StackContext,
    preview: Mapping[str, Any],
    base: str | None,
    labels: Iterable[str],
    state: StackState | None = None,
    *,
    deploys: bool = False,
) -> Review:
    """A preview as a plan, with the guard's verdict.

    Args:
        context: the stack.
        preview: the output of `pulumi preview --json`.
        base: the revision that the pull request goes to; None if there is none.
        labels: the given ones.
        state: the stack's state before the preview.
        deploys: it is applied now; then a tenant that is left alone holds up no other of the same pull request.

    Raises:
        UserError: there is no plan, or one of the labels does not exist.
    """
    allowed = guard.labels(labels)
    plan = _plan(context, preview, state)
    if base is None:
        return guard.review(plan, context.settings.guard, named=None, allowed=allowed)
    return verdict(plan, Changes.since(base, context.root), allowed, deploys=deploys)


def _plan(context: StackContext, preview: Mapping[str, Any], state: StackState | None) -> Plan:
    return _with_capacity(preview_plan.read(preview, state), read(context.file)[1], context.stacks)


def _with_capacity(plan: Plan, fleet: Fleet, fleet_stacks: Sequence[Settings]) -> Plan:
    droplets, databases = placement.droplet_use(fleet, fleet_stacks), placement.database_uses(fleet, fleet_stacks)
    return plans.with_capacity(plan, droplets, databases)


def verdict(plan: Plan, since: Changes, allowed: Collection[str], *, deploys: bool = False) -> Review:
    """The guard's verdict on a plan that a change of the repository leads to.

    By the thresholds of the branch that the change goes to: the change itself cannot raise them.
    """
    review = guard.review(
        plan,
        since.thresholds(plan.stack),
        named=since.named(plan.stack),
        demos=since.demos(plan.stack),
        allowed=allowed,
    )
    if not deploys and (edit := guard.left_alone(plan, since.named(plan.stack))):
        review = review.model_copy(update={"stops": (*review.stops, edit)})
    program = guard.program_changed(since.influences(), allowed)
    return review if program is None else review.model_copy(update={"stops": (program, *review.stops)})


def judge(review: Review, reviewed_plan: Plan | None, *, begun: bool) -> None:
    """End the command if the plan may not be applied.

    Args:
        review: the plan with the guard's verdict.
        reviewed_plan: the plan that somebody reviewed; None if none is needed.
        begun: whether a run has begun to apply the reviewed plan.

    Raises:
        typer.Exit: 3 the guard stops the plan, 4 it does what was not reviewed.
    """
    refuse_stopped(review)
    if reviewed_plan is not None and (news := approval.unreviewed(reviewed_plan, review.plan, begun=begun)):
        typer.echo("This is not the reviewed plan. What is new:", err=True)
        for line in news:
            # One line of the log each: the pull request's own code wrote the reviewed plan.
            typer.echo(f"- {' '.join(line.split())[:_WIDEST]}", err=True)
        typer.echo("If this is intended, start the deploy workflow by hand with the labels that it asks for.", err=True)
        raise typer.Exit(NOT_REVIEWED)


def refuse_stopped(review: Review) -> None:
    """End the command if the guard stops the plan.

    Raises:
        typer.Exit: 3.
    """
    for stop in review.stopped:
        shell = f" In a shell, add --allow {stop.label}." if stop.label else ""
        typer.echo(f"{stop}{shell}", err=True)
    if review.stopped:
        raise typer.Exit(STOPPED)


def tell_left_alone(plan: Plan) -> None:
    """Say on stderr which tenants cannot be planned."""
    for left in plan.left_alone:
        for reason in left.reasons:
            typer.echo(f"{left.tenant} cannot be planned and is left as it is: {reason}", err=True)


def show(review: Review, console: Console | None = None) -> None:
    """Print a plan on the terminal."""
    console = console or terminal.console()
    console.print(
        f"{review.plan.stack}: no changes" if review.plan.empty and not review.plan.left_alone else report.table(review)
    )


def read_plan(file: Path) -> Plan:
    """A plan from the output of `plan --json`.

    Raises:
        UserError: the file does not exist or holds something else.
    """
    try:
        return Review.model_validate_json(file.read_bytes()).plan
    except (OSError, ValueError):
        raise UserError(f"{file} is not a plan. Write one with: meltanodata plan --json") from None


def _read_preview(file: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(file.read_bytes()))
    except (OSError, ValueError) as error:
        raise UserError(f"{file} is not an output of `pulumi preview --json`: {error}") from None


_NO_PLAN = "there is no plan. The preview failed or did not run; the workflow's log says why"
_NEWER = (
    " The base branch's program reads the pull request's files. If the pull request also brings a newer program that"
    " can read them, merge the program first, and open another pull request for what needs it."
)


@dataclass
class _Findings:
    """What a pull request does, as far as it can be known."""

    reviews: list[Review] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    """By stack, why it has no plan that can be judged."""
    request: Stop | None = None
    """The guard's verdict on the pull request as a whole."""
    notes: list[str] = field(default_factory=list)
    unreadable: str | None = None
    """Why nothing can be judged."""


def _findings(
    given: Iterable[str],
    plan_of: Callable[[str], bytes | None],
    *,
    base: str | None,
    head: str | None,
    labels: Sequence[str],
) -> _Findings:
    findings = _Findings()
    since, touched = None, list(given)
    try:
        allowed = guard.labels(labels)
        if base is not None:
            since = Changes.since(base, project().root, head)
            findings.request = guard.program_changed(since.influences(), allowed)
            findings.notes = changes.summary_of_dropped(since.dropped())
            touched = [*since.touched(), *touched]
    except UserError as error:
        findings.unreadable = f"{error}{_NEWER if isinstance(error, ProblemsError) else ''}"
        return findings
    for stack in dict.fromkeys(touched):
        try:
            content = plan_of(stack)
            if content is None:
                findings.failed[stack] = _NO_PLAN
            else:
                findings.reviews.append(_judged(artifact.read(content, stack), since, allowed))
        except UserError as error:
            findings.failed[stack] = str(error)
    return findings


def _judged(plan: Plan, since: Changes | None, allowed: Collection[str]) -> Review:
    """A plan with the base's verdict, without what concerns the pull request as a whole."""
    if since is None:
        return guard.review(plan, StackContext(plan.stack).settings.guard, named=None, allowed=allowed)
    fleet_stacks = since.stacks()
    settings = next((settings for settings in fleet_stacks if settings.stack == plan.stack), None)
    if settings is None:
        raise UserError("the pull request's fleet has no such stack")
    after = since.after.tenants(since.after.tenants_file(settings))
    review = verdict(_with_capacity(_counted(plan, since), after, fleet_stacks), since, allowed)
    stops = [stop for stop in review.stops if stop.label != guard.PROGRAM_CHANGED]
    if replaced := since.renamed(plan.stack):
        note = f" The pull request replaces the fleet file ({replaced}), so it names no tenant."
        stops = [
            stop.model_copy(update={"message": stop.message + note}) if stop.label == guard.UNNAMED else stop
            for stop in stops
        ]
    return review.model_copy(update={"stops": tuple(stops)})


def _counted(plan: Plan, since: Changes) -> Plan:
    """The plan with at most the base's number of tenants: a larger number would make the destroyed share smaller."""
    settings = since.before.settings(plan.stack)
    if settings is None:
        return plan
    before = since.before.tenants_then(since.before.tenants_file(settings)).rows
    number = sum(row.options.database_team in settings.team_names for row in before)
    return plan.model_copy(update={"tenants": min(plan.tenants, number)}) if number else plan


def _end(findings: _Findings) -> None:
    """End the command if something cannot be judged, or, with exit code 3, if the guard stops something."""
    stops = [stop for review in findings.reviews for stop in review.stopped]
    if findings.request is not None and not findings.request.allowed:
        stops.insert(0, findings.request)
    for stop in stops:
        typer.echo(str(stop), err=True)
    if findings.unreadable is not None:
        raise UserError(f"The pull request's changes cannot be judged: {findings.unreadable}")
    if findings.failed:
        raise UserError("\n".join(f"{stack}: {why}" for stack, why in findings.failed.items()))
    if stops:
        raise typer.Exit(STOPPED)


def _stack_of(file: Path) -> str:
    """The stack whose plan a file is, from the file's name."""
    if not file.name.startswith("plan-") or file.suffix != ".json":
        raise UserError(f"{file}: rename it to plan-STACK.json, which says whose plan it is")
    return file.stem.removeprefix("plan-")
