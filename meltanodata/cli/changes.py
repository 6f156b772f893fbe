"""The commands between a pull request and production, as the shell sees them; the workflows in .github call only these.

Each imports what it does when it does it, so that the others start fast. Exit codes beyond those of `cli`: 3 the guard
stops the plan, 4 the plan is not the one that was reviewed, 5 a tenant's deployment failed, 6 there is drift.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from meltanodata.cli.options import tenant_names

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
    typer.Option(metavar="LABEL", help="A label of the pull request; the guard looks at its own alone. Repeatable."),
]
Labels = Annotated[
    str | None,
    typer.Option(
        envvar="MELTANODATA_LABELS",
        metavar="JSON",
        help="The same as JSON: a pull request's labels as a list, or what somebody typed as a string.",
    ),
]
Expect = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="The plan that was reviewed (`plan --json`); stop at what is new (exit code 4)."),
]


def labels_of(allowed: list[str] | None, given: str | None) -> list[str]:
    """The labels of both options, see `guard.labels_in`."""
    from meltanodata.rollout import guard

    return [*(allowed or []), *(guard.labels_in(given) if given else [])]


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def up(
    context: typer.Context,
    stack: Annotated[str, typer.Option("--stack", "-s", envvar="PULUMI_STACK", help="The stack.")],
    allow: Annotated[
        list[str] | None,
        typer.Option(metavar="LABEL", help="What the guard stops and you mean, such as guard:data-loss. Repeatable."),
    ] = None,
) -> None:
    """Make the world match tenants.yaml.

    It finishes what a run that was killed had begun, shows what will happen to whom, and asks. Every other option is
    one of `pulumi up`: --yes does not ask, --continue-on-error lets a tenant that fails hold up nobody. Exit code 3:
    the guard stops the plan, and nothing was changed.

    \b
    meltanodata up --stack prod
    meltanodata up --stack prod --yes --continue-on-error
    meltanodata up --stack prod --allow guard:data-loss
    """
    from meltanodata.cli import up

    up.up(stack, context.args, allow or [])


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
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON, for `comment` and `--expect`.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print it as a comment in Markdown.")] = False,
    no_guard: Annotated[
        bool, typer.Option("--no-guard", help="Leave the verdict to `comment`, which does not run the request's code.")
    ] = False,
) -> None:
    """Show what an up would do: one row a tenant.

    Why, what it means for people, what it costs, and what the guard says of it. Exit code 3: the guard stops it;
    4: it is not the plan that was reviewed.

    \b
    meltanodata plan --stack prod
    meltanodata plan --stack prod --base origin/main --json > plan.json
    meltanodata plan --stack prod --expect plan.json
    """
    from meltanodata.cli import plan

    if no_guard and (base or allow or labels):
        raise typer.BadParameter("--no-guard leaves nothing to --base, --allow and --labels")
    if as_json and as_markdown:
        raise typer.BadParameter("--json and --markdown exclude each other")
    plan.plan(
        stack,
        preview=preview,
        base=base,
        labels=labels_of(allow, labels),
        expect=expect,
        judged=not no_guard,
        style="json" if as_json else "markdown" if as_markdown else "table",
    )


@app.command()
def comment(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="FILE...", help="What `plan --json` printed, plan-STACK.json each.")
    ] = None,
    base: Base = None,
    head: Annotated[
        str | None, typer.Option(metavar="REV", help="The pull request's branch; left out, what is checked out.")
    ] = None,
    allow: Allow = None,
    labels: Labels = None,
    pull_request: Annotated[
        int | None,
        typer.Option(metavar="NUMBER", help="Take its labels, and post it on GitHub or rewrite the one that is there."),
    ] = None,
    run: Annotated[
        int | None, typer.Option(metavar="ID", help="Take the plans from the artifacts of this workflow's run.")
    ] = None,
) -> None:
    """Write the comment of a pull request: the plans of all stacks that it touches.

    In Markdown, and with --pull-request on GitHub (GITHUB_REPOSITORY and GITHUB_TOKEN); there, without any plan, an
    older comment alone is rewritten. An empty file is that of a preview that failed.

    The guard judges the plans anew, by the thresholds of --base and by what differs between --base and --head: run it
    with the base checked out, and the request has no say in it. Exit code 3: the guard stops something; 1: something
    could not be judged, such as a stack that the request touches and that has no plan.

    \b
    meltanodata comment --base origin/main plan-prod.json plan-prod-2.json
    meltanodata comment --base HEAD --head "$HEAD" --pull-request 7 --run "$GITHUB_RUN_ID"
    """
    from meltanodata.cli import comment

    comment.comment(
        files or [], base=base, head=head, labels=labels_of(allow, labels), pull_request=pull_request, run=run
    )


@app.command()
def stacks(
    base: Annotated[
        str | None, typer.Option(metavar="REV", help="Those only that differ from this revision's plan; 0…0: all.")
    ] = None,
    stack: AnyStack = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print their names as a list in JSON.")] = False,
) -> None:
    """List the stacks with their teams, or those that a change touches.

    With --base the names of those whose tenants or settings differ; all of them when the program does. A stack whose
    settings are gone is told on stderr, with the tenants that it leaves behind.

    \b
    meltanodata stacks
    meltanodata stacks --base origin/main
    """
    from meltanodata.cli import plan

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
    from meltanodata.cli import move

    move.move(team, to, passphrase_file=to_passphrase_file)


@app.command()
def rename(
    old: Annotated[str, typer.Argument(metavar="OLD", help="The tenant's name.", autocompletion=tenant_names)],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The name that it gets.")],
    stack: AnyStack = None,
) -> None:
    """Give a tenant another name.

    Renames it in its stack's state and edits the fleet file; the world stays as it is: host name, droplet and database
    keep their names, which the entry's `adopt` states from then on. Broken off at any moment, it is finished by running
    it again.

    \b
    meltanodata rename acme acme2
    """
    from meltanodata.cli import rename

    rename.rename(old, new, stack)


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
            help="A push to the main branch on GitHub: labels and the reviewed plan are those of its pull requests.",
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
    go_back_from: Annotated[
        str | None,
        typer.Option(
            envvar="MELTANODATA_GO_BACK_FROM",
            metavar="COMMIT",
            help="The last commit that was deployed, to deploy one that is older or does not contain it.",
        ),
    ] = None,
    summary: Annotated[Path | None, typer.Option(metavar="FILE", help="Append what came of it, in Markdown.")] = None,
) -> None:
    """Apply a plan: canaries first, then batches, each checked before the next one.

    What a run that was killed left behind is put in order first. The guard looks at the plan that is applied, not only
    at the one that was reviewed. A commit that is older than the last one deployed is refused. Exit code 3: the guard
    stops it; 4: it is not the plan that was reviewed, or nobody has reviewed one; 5: a tenant failed.

    \b
    meltanodata deploy --stack prod
    meltanodata deploy --stack prod --merged "$GITHUB_SHA" --summary "$GITHUB_STEP_SUMMARY"
    """
    from meltanodata.cli import deploy

    deploy.deploy(
        stack,
        base=base,
        labels=labels_of(allow, labels),
        expect=expect,
        merged=merged,
        refresh=refresh,
        back_from=go_back_from,
        summary=summary,
    )


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
    from meltanodata.cli import drift

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
    from meltanodata.cli import page

    page.page(output, stack, revision=revision)
