"""The commands between a pull request and production; the workflows in .github call nothing else.

Exit codes beyond those of `cli`: 3 the guard stops the plan, 4 the plan is not the one that was reviewed.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meltanodata import document, fleet, settings
from meltanodata.errors import ProblemsError, UserError
from meltanodata.revisions import Revision
from meltanodata.stacks import Project, touched

if TYPE_CHECKING:
    from meltanodata.guard import Review
    from meltanodata.settings import Settings

STOPPED = 3
NOT_REVIEWED = 4

app = typer.Typer()

Stack = Annotated[str, typer.Option(help="The stack.")]
Base = Annotated[
    str | None,
    typer.Option(metavar="REV", help="The revision that the pull request goes to; without it nobody is unnamed."),
]
Allow = Annotated[
    list[str] | None,
    typer.Option(metavar="LABEL", help="A label of the pull request; the guard looks at its own alone. Repeatable."),
]
Expect = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="The plan that was reviewed (`plan --json`); stop at what is new (exit code 4)."),
]


@app.command()
def plan(  # noqa: PLR0917 - typer takes the options by keyword
    stack: Stack,
    base: Base = None,
    allow: Allow = None,
    expect: Expect = None,
    preview: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Read the output of `pulumi preview --json` instead of running it."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON, for `comment` and `--expect`.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print it as a comment in Markdown.")] = False,
) -> None:
    """Show what an up would do: one row a tenant.

    Why, what it means for people, what it costs, and what the guard says of it. Exit code 3: the guard stops it;
    4: it is not the plan that was reviewed.

    \b
    meltanodata plan --stack prod
    meltanodata plan --stack prod --base origin/main --json > plan.json
    meltanodata plan --stack prod --expect plan.json
    """
    if as_json and as_markdown:
        raise typer.BadParameter("--json and --markdown exclude each other")
    found = review(_Here(stack), base, allow or [], preview)
    if as_json:
        print(found.model_dump_json(indent=1))
    elif as_markdown:
        from meltanodata import report  # noqa: PLC0415 - rich, which JSON does not need

        print(report.comment([found]), end="")
    else:
        show(found)
    judge(found, expect)


@app.command()
def comment(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="What `plan --json` printed, one a stack.")],
    pull_request: Annotated[
        int | None, typer.Option(metavar="NUMBER", help="Post it on GitHub, or rewrite the one that is there.")
    ] = None,
) -> None:
    """Write the comment of a pull request: the plans of all stacks that it touches.

    In Markdown, and with --pull-request on GitHub (GITHUB_REPOSITORY and GITHUB_TOKEN).

    \b
    meltanodata comment plan-prod.json plan-prod-2.json
    """
    from meltanodata import report  # noqa: PLC0415 - rich and pydantic's models

    text = report.comment([_reviewed(file) for file in files])
    print(text, end="")
    if pull_request is not None:
        from meltanodata.github import GitHub  # noqa: PLC0415 - requests, which printing does not need

        GitHub.from_environment().comment(pull_request, report.MARKER, text)


@app.command()
def stacks(
    base: Annotated[str, typer.Option(metavar="REV", help="The revision to compare with.")],
    stack: Annotated[
        str | None, typer.Option(help="A stack of the fleet that is meant; left out, the fleet on DigitalOcean itself.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print them as a list in JSON.")] = False,
) -> None:
    """List the stacks that a change touches.

    Those whose tenants or settings differ; all of them when the program does.

    \b
    meltanodata stacks --base origin/main
    """
    project = Project.around(Path.cwd())
    all_stacks = project.fleet(stack)
    file = project.tenants_file(all_stacks[0])
    revision = Revision.of(base, project.root).fork()
    names = touched(all_stacks, _before(revision, file), _tenants(file), revision.changed())
    if as_json:
        print(json.dumps(names))
    else:
        for name in names:
            print(name)


@app.command()
def page(
    output: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write the page.")],
    stack: Annotated[
        str | None, typer.Option(help="A stack of the fleet that is meant; left out, the fleet on DigitalOcean itself.")
    ] = None,
    health: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What `doctor --json` printed, for the state."),
    ] = None,
    revision: Annotated[str | None, typer.Option(help="The revision of the repository, for the page's foot.")] = None,
) -> None:
    """Write one page about the whole fleet, in HTML that needs nothing beside it.

    From the stacks' states: needs access to their backend, but neither tokens nor passphrase.

    \b
    meltanodata page index.html
    """
    from meltanodata import engine, rules  # noqa: PLC0415 - as above
    from meltanodata import page as pages  # noqa: PLC0415 - jinja2, which no other command needs

    project = Project.around(Path.cwd())
    all_stacks = project.fleet(stack)
    loaded = _tenants(project.tenants_file(all_stacks[0]))
    found = [
        entry
        for settings in all_stacks
        for entry in pages.entries(engine.export(settings.stack, project.root), _health(health))
    ]
    made = pages.Page(
        domain=all_stacks[0].domain,
        made=datetime.now(UTC),
        revision=revision,
        entries=pages.in_order(found),
        teams=[
            pages.Team(rules.droplet_use(loaded, all_stacks), "droplets"),
            *(pages.Team(use, "databases") for use in rules.database_uses(loaded, all_stacks)),
        ],
    )
    output.write_text(pages.render(made), encoding="utf-8")
    print(f"{output}: {len(found)} tenants")


class _Here:
    """The project of the working directory, and a stack of it."""

    def __init__(self, stack: str) -> None:
        self.project = Project.around(Path.cwd())
        self.stacks = self.project.fleet(stack)
        self.settings = next(found for found in self.stacks if found.stack == stack)
        self.file = self.project.tenants_file(self.settings)

    def settings_before(self, revision: Revision) -> Settings:
        """The stack's settings at a revision; those of now where it had none."""
        file = self.project.root / settings.file_of(self.settings.stack)
        raw = revision.read(file)
        if raw is None:
            return self.settings
        return settings.parse(document.parse(raw, f"{revision.name}:{file.name}"), self.settings.stack)


def review(here: _Here, base: str | None, allow: list[str], preview: Path | None = None) -> Review:
    """Preview a stack and let the guard judge it."""
    from meltanodata import guard, plan, rules  # noqa: PLC0415 - commands that need no plan start faster

    allowed = guard.labels(allow)
    head = _tenants(here.file)
    named, thresholds = None, here.settings.guard
    if base is not None:
        revision = Revision.of(base, here.project.root)
        # Of the branch that the request goes to: the request itself cannot raise them.
        thresholds = here.settings_before(revision).guard
        named = guard.named(_entries(_before(revision.fork(), here.file)), _entries(head))
    found = plan.read(_preview(here, preview))
    uses = [rules.droplet_use(head, here.stacks), *rules.database_uses(head, here.stacks)]
    return guard.review(plan.with_capacity(found, uses[0], uses[1:]), thresholds, named=named, allowed=allowed)


def judge(found: Review, expect: Path | None) -> None:
    """End the command where a plan may not be applied.

    Raises:
        typer.Exit: 3 the guard stops it, 4 it does what was not reviewed.
    """
    if found.stopped:
        for stop in found.stopped:
            typer.echo(str(stop), err=True)
        raise typer.Exit(STOPPED)
    if expect is not None:
        from meltanodata.plan import unreviewed  # noqa: PLC0415 - as above

        if news := unreviewed(_reviewed(expect).plan, found.plan):
            typer.echo(f"This is not the plan that was reviewed ({expect}). What is new:", err=True)
            for line in news:
                typer.echo(f"- {line}", err=True)
            raise typer.Exit(NOT_REVIEWED)


def show(found: Review) -> None:
    """Print a plan on the terminal."""
    from rich.console import Console  # noqa: PLC0415 - as above

    from meltanodata import report  # noqa: PLC0415 - as above

    # A log has no width of its own, and 80 columns break most lines.
    console = Console(width=None if sys.stdout.isatty() else 160)
    if found.plan.empty:
        console.print(f"{found.plan.stack}: nothing changes")
    else:
        console.print(report.table(found))


def _tenants(file: Path) -> fleet.Fleet:
    """The fleet file, well formed."""
    loaded, problems = fleet.load(file)
    if problems:
        raise ProblemsError(problems)
    return loaded


def _before(revision: Revision, file: Path) -> fleet.Fleet:
    """What could be read of the fleet file at a revision."""
    raw, name = revision.read(file), f"{revision.name}:{file.name}"
    return fleet.Fleet(name, ()) if raw is None else fleet.parse(document.parse(raw, name))[0]


def _preview(here: _Here, file: Path | None) -> dict[str, object]:
    if file is None:
        from meltanodata import engine  # noqa: PLC0415 - as above

        return engine.preview(here.settings.stack, here.project.root)
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: no output of `pulumi preview --json`: {error}") from None
    return dict(found)


def _reviewed(file: Path) -> Review:
    from meltanodata.guard import Review  # noqa: PLC0415 - as above

    try:
        return Review.model_validate_json(file.read_bytes())
    except (OSError, ValueError):
        raise UserError(f"{file}: no plan; write one by: meltanodata plan --json") from None


def _health(file: Path | None) -> dict[str, list[str]]:
    """What is wrong, by tenant."""
    if file is None:
        return {}
    try:
        found = json.loads(file.read_bytes())
        return {str(tenant): list(map(str, problems)) for tenant, problems in found.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        raise UserError(f"{file}: not the JSON of meltanodata doctor: a mapping of tenant to problems") from None


def _entries(loaded: fleet.Fleet) -> dict[str, object]:
    return {row.key: row.options for row in loaded.rows}
