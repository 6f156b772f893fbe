"""`plan`, `comment` and `stacks`: what a pull request would do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import typer

from meltanodata import engine, guard, report, rules, terminal
from meltanodata import plan as plans
from meltanodata.commands import NOT_REVIEWED, STOPPED
from meltanodata.commands.here import Here, tenants, tenants_before
from meltanodata.errors import UserError
from meltanodata.github import GitHub
from meltanodata.guard import Review
from meltanodata.revisions import Revision
from meltanodata.stacks import Project, touched

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from meltanodata.fleet import Fleet
    from meltanodata.plan import Plan


def plan(
    stack: str,
    *,
    preview: Path | None,
    base: str | None,
    labels: Sequence[str],
    expect: Path | None,
    style: Literal["table", "json", "markdown"],
) -> None:
    """See `cli.plan`."""
    here = Here(stack)
    raw = engine.preview(stack, here.project.root) if preview is None else _read(preview)
    found = review(here, raw, base, labels)
    match style:
        case "json":
            print(terminal.as_json(found.model_dump(mode="json"), indent=1))
        case "markdown":
            print(report.comment([found]), end="")
        case "table":
            show(found)
    judge(found, None if expect is None else reviewed(expect).plan)


def comment(files: Sequence[Path], pull_request: int | None) -> None:
    """See `cli.comment`."""
    failed = [file for file in files if file.is_file() and file.stat().st_size == 0]
    text = report.comment(
        [reviewed(file) for file in files if file not in failed],
        failed=[file.stem.removeprefix("plan-") for file in failed],
    )
    print(text, end="")
    if pull_request is not None:
        GitHub.from_environment().comment(pull_request, report.MARKER, text, new=bool(files))


def stacks(base: str | None, stack: str | None, *, as_json: bool) -> None:
    """See `cli.stacks`."""
    project = Project.around(Path.cwd())
    fleet_stacks = project.fleet(stack)
    file = project.tenants_file(fleet_stacks[0])
    names = [found.stack for found in fleet_stacks]
    if base is not None:
        revision = Revision.of(base, project.root).fork()
        names = touched(fleet_stacks, tenants_before(revision, file), tenants(file), revision.changed())
    if as_json:
        print(terminal.as_json(names))
    elif base is not None:
        for name in names:
            print(name)
    else:
        loaded = tenants(file)
        uses = [(found.stack, rules.database_uses(loaded, [found])) for found in fleet_stacks]
        terminal.console().print(report.stacks(uses))


def review(here: Here, preview: Mapping[str, Any], base: str | None, labels: Iterable[str]) -> Review:
    """What the guard says of a preview."""
    allowed = guard.labels(labels)
    head = tenants(here.file)
    named, thresholds = None, here.settings.guard
    if base is not None:
        revision = Revision.of(base, here.project.root)
        # Of the branch that the request goes to: the request itself cannot raise them.
        thresholds = here.settings_before(revision).guard
        named = guard.named(_entries(tenants_before(revision.fork(), here.file)), _entries(head))
    uses = [rules.droplet_use(head, here.stacks), *rules.database_uses(head, here.stacks)]
    found = plans.with_capacity(plans.read(preview), uses[0], uses[1:])
    return guard.review(found, thresholds, named=named, allowed=allowed)


def judge(found: Review, reviewed_plan: Plan | None) -> None:
    """End the command where a plan may not be applied.

    Raises:
        typer.Exit: 3 the guard stops it, 4 it does what was not reviewed.
    """
    if found.stopped:
        for stop in found.stopped:
            typer.echo(str(stop), err=True)
        raise typer.Exit(STOPPED)
    if reviewed_plan is not None and (news := plans.unreviewed(reviewed_plan, found.plan)):
        typer.echo("This is not the plan that was reviewed. What is new:", err=True)
        for line in news:
            typer.echo(f"- {line}", err=True)
        raise typer.Exit(NOT_REVIEWED)


def show(found: Review) -> None:
    """Print a plan on the terminal."""
    console = terminal.console()
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


def _entries(loaded: Fleet) -> dict[str, object]:
    return {row.key: row.options for row in loaded.rows}
