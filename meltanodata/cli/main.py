"""The operator's command, `meltanodata`.

Each command reads the fleet file and the stacks' settings of the project that the working directory is in. Exit codes:
0 all is well, 1 something is to be mended (the messages say what), 2 the command was called wrongly.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meltanodata import terminal
from meltanodata.cli import changes as commands
from meltanodata.cli import tenants
from meltanodata.cli.context import located, read
from meltanodata.cli.options import File, Stack  # noqa: TC001 - typer looks at them
from meltanodata.config import document, edit, fleet, placement, removals, rules, schema
from meltanodata.config.options import name_problem
from meltanodata.config.revisions import Revision
from meltanodata.config.stacks import Project
from meltanodata.errors import Problem, ProblemsError, UserError
from meltanodata.text import count, show

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meltanodata.config.fleet import Fleet


app = typer.Typer(
    help="The tenants of meltanodata.com: check and edit tenants.yaml, and see how many more fit.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.add_typer(commands.app)
app.add_typer(tenants.app)


def main() -> None:
    """Run the command; a user's mistake is shown without a traceback."""
    terminal.guard()
    try:
        app(prog_name="meltanodata")
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(1)


@app.command()
def check(
    file: File = None,
    stack: Stack = None,
    base: Annotated[
        str | None,
        typer.Option(metavar="REV|FILE", help="An older version to compare with, to know who is new or has changed."),
    ] = None,
) -> None:
    """Find what is wrong with tenants.yaml.

    All of it at once, the stacks' settings included.

    \b
    meltanodata check
    meltanodata check --base origin/main    # also: who goes, nobody changes team, a full team gains nobody
    meltanodata check --stack sandbox
    """
    stacks, path = located(stack, file)
    before = None if base is None else _before(base, path, None if file else stacks[0].stack)
    loaded, problems = fleet.load(path)
    placed = None if before is None else rules.placement_before(loaded, before, stacks[0].domain)
    problems += rules.problems(loaded, stacks, placed, before)
    if problems:
        raise ProblemsError(problems)
    leaving = [] if before is None else list(removals.notes(loaded, before, stacks[0].domain))
    print(f"{loaded.file}: {_said_of(loaded)}{'' if leaving or not loaded.rows else ', all is well'}")
    for note in leaving:
        print(note)
    if before is not None:
        left = placement.left_teams(loaded, before)
        uses = [use for use in placement.database_uses(loaded, stacks) if use.team in left]
        for note in placement.full_with_room(uses, stacks):
            print(note)


@app.command()
def assign(file: File = None, stack: Stack = None) -> None:
    """Write the database teams that are missing.

    Each is the first that is not full. Nothing else in the file changes. A tenant that had a team in an earlier version
    of the file, by git, has its database there: it gets no other one.

    \b
    meltanodata assign
    """
    stacks, path = located(stack, file)
    source, loaded = read(path)
    homes = _homes(path, [row.key for row in loaded.rows if placement.is_missing_team(row)])
    problems = [
        *rules.stacks_agree(stacks),
        *rules.teams_kept(loaded, homes),
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
    tenant: Annotated[str, typer.Argument(help="The tenant's name, the first part of its host name.")],
    file: File = None,
    stack: Stack = None,
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
            raise ProblemsError([Problem(loaded.file, *row.place, f"{tenant} is there already")])
    team = placement.first_free(loaded, stacks)
    if team is None:
        raise UserError(placement.no_room(stacks))
    text = edit.add(source, {tenant: {"database_team": team}})
    grown, _ = fleet.parse(document.parse(text.encode(), source.file))
    if problems := set(rules.problems(grown, stacks)) - set(rules.problems(loaded, stacks)):
        raise ProblemsError(list(problems))
    if write:
        edit.write(path, text)
        print(f"{source.file}:{grown.rows[-1].place.line}: {tenant} added, in {team}")
    else:
        print(edit.entry(tenant, {"database_team": team}), end="")


@app.command("schema")
def write_schema(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit code 1 if the file is stale.")] = False,
) -> None:
    """Write tenants.schema.json, for editors.

    By it they check tenants.yaml while it is typed.

    \b
    meltanodata schema
    meltanodata schema --check
    """
    path = Project.around(Path.cwd()).program / schema.FILE
    fresh = path.is_file() and path.read_text(encoding="utf-8") == schema.text()
    if check and not fresh:
        raise UserError(
            f"{document.display(path)} is not what meltanodata/config/options.py says; run: meltanodata schema"
        )
    if not check and not fresh:
        path.write_text(schema.text(), encoding="utf-8")
    print(f"{document.display(path)} is up to date")


def _before(base: str, path: Path, stack: str | None) -> Fleet:
    """What could be read of an older version of the fleet file; without tenants where it did not exist yet.

    With a stack, of the file that its settings named then, so that one that was renamed is compared all the same.
    """
    if Path(base).is_file():
        return fleet.load(Path(base))[0]
    if stack is not None:
        root = Project.around(Path.cwd()).root
        then = Project(root, Revision.of(base, root))
        own = next((it for it in then.stacks_then() if it.stack == stack), None)
        if own is not None:
            return then.tenants_then(then.tenants_file(own))
    return fleet.parse(Revision.of(base, path.absolute().parent).document(path))[0]


def _homes(path: Path, tenants: Iterable[str]) -> dict[str, str]:
    """The team that each of these tenants had last, by git; nothing of one that is new, or where there is no git."""
    searched, homes = set(tenants), dict[str, str]()
    for revision in Revision.history(path) if searched else ():
        before, _ = fleet.parse(revision.document(path))
        homes |= {key: team for key, team in placement.stated_teams(before).items() if key in searched}
        # One without an entry has come since.
        searched &= {row.key for row in before.rows} - homes.keys()
        if not searched:
            break
    return homes


def _said_of(loaded: Fleet) -> str:
    if not loaded.rows:
        return "no tenant at all ({}): to apply it removes every tenant that there is"
    teams = {row.options.database_team for row in loaded.rows}
    return f"{count(len(loaded.rows), 'tenant')} in {count(len(teams), 'team')}"
