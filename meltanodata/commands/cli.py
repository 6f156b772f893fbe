"""The commands between a pull request and production, as the shell sees them; the workflows in .github call only these.

Each imports what it does when it does it, so that the others start fast. Exit codes beyond those of `cli`: 3 the guard
stops the plan, 4 the plan is not the one that was reviewed, 5 a tenant's deployment failed, 6 there is drift.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()

Stack = Annotated[str, typer.Option(envvar="PULUMI_STACK", help="The stack.")]
AnyStack = Annotated[
    str | None, typer.Option(help="A stack of the fleet that is meant; left out, the fleet on DigitalOcean itself.")
]
Base = Annotated[
    str | None,
    typer.Option(
        envvar="MELTANODATA_BASE",
        metavar="REV",
        help="The revision that the pull request goes to; without it nobody is unnamed.",
    ),
]
Allow = Annotated[
    list[str] | None,
    typer.Option(
        envvar="MELTANODATA_LABELS",
        metavar="LABEL",
        help="A label of the pull request; the guard looks at its own alone. Repeatable.",
    ),
]
Expect = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="The plan that was reviewed (`plan --json`); stop at what is new (exit code 4)."),
]


@app.command()
def plan(
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
    from meltanodata.commands import plan

    if as_json and as_markdown:
        raise typer.BadParameter("--json and --markdown exclude each other")
    plan.plan(
        stack,
        preview=preview,
        base=base,
        labels=allow or [],
        expect=expect,
        style="json" if as_json else "markdown" if as_markdown else "table",
    )


@app.command()
def comment(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="FILE...", help="What `plan --json` printed, plan-STACK.json each.")
    ] = None,
    pull_request: Annotated[
        int | None, typer.Option(metavar="NUMBER", help="Post it on GitHub, or rewrite the one that is there.")
    ] = None,
) -> None:
    """Write the comment of a pull request: the plans of all stacks that it touches.

    In Markdown, and with --pull-request on GitHub (GITHUB_REPOSITORY and GITHUB_TOKEN); there, without any plan, an
    older comment alone is rewritten. An empty file is that of a preview that failed.

    \b
    meltanodata comment plan-prod.json plan-prod-2.json
    """
    from meltanodata.commands import plan

    plan.comment(files or [], pull_request)


@app.command()
def stacks(
    base: Annotated[
        str | None, typer.Option(metavar="REV", help="Those only that differ from this revision's plan.")
    ] = None,
    stack: AnyStack = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print their names as a list in JSON.")] = False,
) -> None:
    """List the stacks with their teams, or those that a change touches.

    With --base the names of those whose tenants or settings differ; all of them when the program does.

    \b
    meltanodata stacks
    meltanodata stacks --base origin/main
    """
    from meltanodata.commands import plan

    plan.stacks(base, stack, as_json=as_json)


@app.command()
def move(
    team: Annotated[str, typer.Argument(metavar="TEAM", help="A database team, which its tenants come along with.")],
    to: Annotated[str, typer.Option(metavar="STACK", help="The stack that shall own it.")],
    to_passphrase_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="That stack's passphrase, where it is not the one in the environment.", exists=True
        ),
    ] = None,
) -> None:
    """Move a database team with its tenants to another stack.

    Moves the states and edits both stacks' files; the world stays as it is. Broken off at any moment, it is finished by
    running it again. A new stack gets the settings of the one that the team comes from.

    \b
    pulumi stack init prod-2
    meltanodata move "MeltanoData DBs 6" --to prod-2
    """
    from meltanodata.commands import move

    move.move(team, to, passphrase_file=to_passphrase_file)


@app.command()
def deploy(
    stack: Stack,
    base: Base = None,
    allow: Allow = None,
    expect: Expect = None,
    merged: Annotated[
        str | None,
        typer.Option(
            envvar="MELTANODATA_MERGED",
            metavar="COMMIT",
            help="A merge on GitHub: labels and the reviewed plan are those of its pull request.",
        ),
    ] = None,
    refresh: Annotated[
        bool,
        typer.Option(
            "--refresh",
            envvar="MELTANODATA_REFRESH",
            help="Look at the world first, and mend what was changed by hand.",
        ),
    ] = False,
    summary: Annotated[Path | None, typer.Option(metavar="FILE", help="Append what came of it, in Markdown.")] = None,
) -> None:
    """Apply a plan: canaries first, then batches, each checked before the next one.

    What a run that was killed left behind is put in order first. The guard looks at the plan that is applied, not only
    at the one that was reviewed. Exit code 3: the guard stops it; 4: it is not the plan that was reviewed; 5: a tenant
    failed.

    \b
    meltanodata deploy --stack prod
    meltanodata deploy --stack prod --merged "$GITHUB_SHA" --summary "$GITHUB_STEP_SUMMARY"
    """
    from meltanodata.commands import deploy

    deploy.deploy(stack, base=base, labels=allow or [], expect=expect, merged=merged, refresh=refresh, summary=summary)


@app.command()
def drift(
    stack: AnyStack = None,
    issue: Annotated[
        bool, typer.Option("--issue", help="Open, rewrite or close the one issue about it on GitHub.")
    ] = False,
) -> None:
    """Find what differs although nobody deployed.

    What was changed by hand, what is in the accounts and no stack knows (orphans), and certificates that expire soon;
    in Markdown. Exit code 6: there is something, and no issue says so.

    \b
    meltanodata drift
    meltanodata drift --issue    # GITHUB_REPOSITORY and GITHUB_TOKEN
    """
    from meltanodata.commands import drift

    drift.drift(stack, post=issue)


@app.command()
def page(
    output: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write the page.")],
    stack: AnyStack = None,
    revision: Annotated[str | None, typer.Option(help="The revision of the repository, for the page's foot.")] = None,
) -> None:
    """Write one page about the whole fleet, in HTML that needs nothing beside it.

    From the stacks' states: needs access to their backend, but neither tokens nor passphrase.

    \b
    meltanodata page index.html
    """
    from meltanodata.commands import page

    page.page(output, stack, revision=revision)
