"""`check`, `assign`, `new`, `schema`: the fleet file itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meltanodata.cli.context import edited, located, project, read
from meltanodata.cli.options import FleetFile, FleetStack  # noqa: TC001 - typer looks at them
from meltanodata.config import document, edit, fleet, placement, removals, rules, schema
from meltanodata.config.options import name_problem
from meltanodata.config.revisions import Revision
from meltanodata.config.stacks import Project
from meltanodata.errors import Problem, ProblemsError, UserError
from meltanodata.text import count, show

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meltanodata.config.fleet import Fleet

app = typer.Typer()


@app.command()
def check(
    file: FleetFile = None,
    stack: FleetStack = None,
    base: Annotated[
        str | None,
        typer.Option(
            metavar="REV|FILE",
            help="An older version to compare with, which shows the tenants that are new or changed.",
        ),
    ] = None,
) -> None:
    """Find mistakes in tenants.yaml.

    Shows all of them at once, those in the stacks' settings included. With --base it also lists the tenants that go,
    and refuses a change of team and a new tenant in a full team.

    \b
    meltanodata check
    meltanodata check --base origin/main
    """
    stacks, path = located(stack, file)
    before = None if base is None else _before(base, path, None if file else stacks[0].stack)
    loaded, problems = fleet.load(path)
    placed = None if before is None else rules.placement_before(loaded, before, stacks[0].domain)
    problems += rules.problems(loaded, stacks, placed, before)
    if problems:
        raise ProblemsError(problems)
    removed = [] if before is None else list(removals.notes(loaded, before, stacks[0].domain))
    print(f"{loaded.file}: {_counts(loaded)}{'' if removed or not loaded.rows else ', no problems'}")
    for note in removed:
        print(note)
    if before is not None:
        left = placement.left_teams(loaded, before)
        uses = [use for use in placement.database_uses(loaded, stacks) if use.team in left]
        for note in placement.full_with_room(uses, stacks):
            print(note)


@app.command()
def assign(file: FleetFile = None, stack: FleetStack = None) -> None:
    """Write the missing database teams into tenants.yaml.

    Each tenant without a team gets the first team that is not full. Nothing else in the file changes. A tenant that had
    a team in an earlier revision of the file is refused, because its database is in that team.

    \b
    meltanodata assign
    """
    stacks, path = located(stack, file)
    source, loaded = read(path)
    earlier = _earlier_teams(path, [row.key for row in loaded.rows if placement.is_missing_team(row)])
    problems = [
        *rules.stacks_agree(stacks),
        *rules.teams_kept(loaded, earlier),
        *rules.room_for_all(loaded, stacks),
    ]
    if problems:
        raise ProblemsError(problems)
    teams = placement.assignments(loaded, stacks)
    if teams:
        edit.write(path, edit.assign(source, {tenant: team for tenant, team in teams.items() if team}))
    for tenant, team in teams.items():
        print(f"{tenant}: {team}")
    if not teams:
        print(f"{source.file}: every tenant has its team already")


@app.command()
def new(
    tenant: Annotated[
        str, typer.Argument(metavar="TENANT", help="The tenant's name, which is the first part of its host name.")
    ],
    file: FleetFile = None,
    stack: FleetStack = None,
    write: Annotated[bool, typer.Option("--write", help="Add the entry to the file instead of printing it.")] = False,
) -> None:
    """Print or add an entry for a new tenant.

    \b
    meltanodata new acme
    meltanodata new acme --write
    """
    stacks, path = located(stack, file)
    source, loaded = read(path)
    if problem := name_problem(tenant):
        raise UserError(f"{show(tenant)}: {problem}")
    for row in loaded.rows:
        if row.key == tenant:
            raise ProblemsError([Problem(loaded.file, *row.place, f"{tenant} has an entry already")])
    team = placement.first_free(loaded, stacks)
    if team is None:
        raise UserError(placement.no_room(stacks))
    text = edit.add(source, {tenant: {"database_team": team}})
    after = edited(source, loaded, text, stacks)
    if write:
        edit.write(path, text)
        print(f"{source.file}:{after.rows[-1].place.line}: {tenant} added, in {team}")
    else:
        print(edit.entry(tenant, {"database_team": team}), end="")


@app.command("schema")
def write_schema(
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing, and exit with code 1 if the file is outdated.")
    ] = False,
) -> None:
    """Write tenants.schema.json, for editors.

    With it an editor checks tenants.yaml while you type.

    \b
    meltanodata schema
    meltanodata schema --check
    """
    path = project().program / schema.FILE
    current = path.is_file() and path.read_text(encoding="utf-8") == schema.text()
    if check and not current:
        raise UserError(
            f"{document.display(path)} differs from what meltanodata/config/options.py declares. Run: meltanodata"
            " schema"
        )
    if not check and not current:
        edit.write(path, schema.text())
    print(f"{document.display(path)} is up to date")


def _before(base: str, path: Path, stack: str | None) -> Fleet:
    """What is readable of an older version of the fleet file; no tenants if it did not exist yet.

    With a stack, of the file that its settings named then, so that a renamed file is compared with its predecessor.
    """
    if Path(base).is_file():
        return fleet.load(Path(base))[0]
    if stack is not None:
        root = project().root
        then = Project(root, Revision.of(base, root))
        settings = next((settings for settings in then.stacks_then() if settings.stack == stack), None)
        if settings is not None:
            return then.tenants_then(then.tenants_file(settings))
    return fleet.parse(Revision.of(base, path.absolute().parent).document(path))[0]


def _earlier_teams(path: Path, tenants: Iterable[str]) -> dict[str, str]:
    """The last team of each of these tenants, from git's history; new tenants are missing in it."""
    wanted, teams = set(tenants), dict[str, str]()
    for revision in Revision.history(path) if wanted else ():
        before, _ = fleet.parse(revision.document(path))
        teams |= {key: team for key, team in placement.stated_teams(before).items() if key in wanted}
        # A tenant without an entry in this revision was added later.
        wanted &= {row.key for row in before.rows} - teams.keys()
        if not wanted:
            break
    return teams


def _counts(loaded: Fleet) -> str:
    if not loaded.rows:
        return "no tenant at all ({}): applying it removes every existing tenant"
    teams = {row.options.database_team for row in loaded.rows}
    return f"{count(len(loaded.rows), 'tenant')} in {count(len(teams), 'team')}"
