"""`up`: the plan is shown, the guard judges it, and `pulumi up` makes it so."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NoReturn

import typer

from meltanodata import terminal
from meltanodata.cli import recovery
from meltanodata.cli.context import Here
from meltanodata.cli.exit_codes import STOPPED
from meltanodata.cli.plan import review, show
from meltanodata.config.settings import file_of
from meltanodata.engine import deployed_commit, pulumi_cli
from meltanodata.errors import UserError
from meltanodata.rollout import guard
from meltanodata.text import listing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from meltanodata.rollout.guard import Review

_UP_ALONE = frozenset({"yes", "skip-preview", "continue-on-error", "strict", "expect-no-changes"})
"""The switches of `pulumi up` that say nothing about what is to be done, or that `pulumi preview` does not have."""
_DISPLAY = frozenset({"json", "diff", "debug", "show-secrets"})
"""The switches that change what is printed: of the preview we read the JSON, and in it no secret."""
_UP_ALONE_VALUED = frozenset({"secrets-provider", "event-log", "output", "plan"})
"""Options with a value, likewise."""
_SHORT = {"y": "yes", "f": "skip-preview", "j": "json", "d": "debug"}
_SHORT_WITH_VALUE = "cmpstCv"
_ELSEWHERE = {
    "stack": "name the stack once, and not after `--`: meltanodata up --stack STACK",
    "cwd": "change into the project's folder instead (cd), and run this there",
}
"""The options that would let the engine look at another stack or project than we do, and what to do instead."""
_SHORT_ELSEWHERE = {"s": "stack", "C": "cwd"}


def up(stack: str, arguments: Sequence[str], labels: Sequence[str]) -> NoReturn:
    """See `meltanodata.cli.changes`.

    Args:
        stack: the stack's name.
        arguments: for `pulumi up`.
        labels: what of the guard's is allowed.

    Raises:
        UserError: there is no plan; or the files have changed while somebody was asked.
        typer.Exit: the guard stops the plan (3), or somebody says no (1).
    """
    if wrong := sorted(set(labels) - set(guard.LABELS)):
        raise typer.BadParameter(f"--allow: the guard knows no label {listing(wrong)}. It has {listing(guard.LABELS)}.")
    _refuse_elsewhere(arguments)
    here = Here(stack)
    asks = _asks(arguments)
    recovery.unlock(stack, here.project)
    deployed_commit.refuse_older(stack, here.project.root)
    recovery.put_in_order(stack, here.project)
    print(f"{stack}: looking at what is to be done …", file=sys.stderr, flush=True)
    plan_arguments = for_preview(arguments)
    found = review(here, pulumi_cli.preview(stack, here.project.root, arguments=plan_arguments), None, labels)
    _show(found, terminal.console(err="json" in switches(arguments)))
    if found.stopped:
        for stop in found.stopped:
            advice = f" If that is meant, add --allow {stop.label}." if stop.label else ""
            typer.echo(f"{stop.message}{advice}", err=True)
        raise typer.Exit(STOPPED)
    if asks and not found.plan.empty:
        shown = _files(here)
        _ask(here, plan_arguments)
        if _files(here) != shown:
            raise UserError("The fleet file or a stack's settings have changed since the plan was shown. Run it again.")
    # With --strict the engine makes a plan of its own, and keeps to it.
    apply = ["--yes", *([] if "strict" in switches(arguments) else ["--skip-preview"])]
    # The outputs are long, and after an interruption the engine shows them as if every tenant were gone.
    pulumi_cli.become_up(
        stack, here.project.root, [*apply, "--suppress-outputs", *arguments], found.plan.deleted_databases
    )


def _show(found: Review, console: Console) -> None:
    show(found, console)
    for stop in found.stops:
        if stop.allowed:
            console.print(str(stop), soft_wrap=True)


def _asks(arguments: Sequence[str]) -> bool:
    """Whether somebody has to say yes.

    Raises:
        typer.BadParameter: there is nobody to ask.
    """
    given = switches(arguments)
    # https://www.pulumi.com/docs/iac/cli/environment-variables/: without a preview there is nothing to say yes to.
    if given & {"yes", "skip-preview"} or os.environ.get("PULUMI_SKIP_CONFIRMATIONS", "").lower() in {"1", "true"}:
        return False
    if "non-interactive" in given or not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise typer.BadParameter("there is nobody to ask here: add --yes to apply what the guard lets pass")
    return True


def _ask(here: Here, arguments: Sequence[str]) -> None:
    while True:
        answer = typer.prompt("Make it so? (yes, no, details)", default="no").strip().lower()
        if answer in {"yes", "y"}:
            return
        if answer in {"no", "n"}:
            typer.echo("Nothing was changed.")
            raise typer.Exit(1)
        if answer in {"details", "d"}:
            pulumi_cli.show_preview(here.settings.stack, here.project.root, arguments)


def _files(here: Here) -> list[bytes | None]:
    """What the plan comes from: the fleet file and the settings of its stacks."""
    paths = [here.file, *sorted(here.project.root / file_of(name) for name in here.project.stack_names())]
    return [path.read_bytes() if path.is_file() else None for path in paths]


def switches(arguments: Sequence[str]) -> frozenset[str]:
    """The names of all options without a value among arguments, long for short ones that we know."""
    found = set()
    for argument in arguments:
        name, _, value = argument.removeprefix("--").partition("=")
        if argument.startswith("--"):
            found |= {name} if value.lower() not in {"false", "0"} else set()
        elif argument.startswith("-"):
            found |= {_SHORT[letter] for letter in _letters(argument) if letter in _SHORT}
    return frozenset(found)


def for_preview(arguments: Sequence[str]) -> list[str]:
    """What `pulumi preview` is told, so that it plans what `pulumi up` with these arguments does.

    All but what is known to concern the `up` alone: an option that we do not know may change what is done, and a
    preview that does not have it says so.
    """
    kept: list[str] = []
    left = iter(arguments)
    for argument in left:
        name, equals, _ = argument.removeprefix("--").partition("=")
        if argument.startswith("--"):
            if name in _UP_ALONE_VALUED and not equals:
                next(left, None)
            if name not in _UP_ALONE | _DISPLAY | _UP_ALONE_VALUED:
                kept.append(argument)
        elif argument.startswith("-") and set(_letters(argument)) & set(_SHORT):
            group = _letters(argument)
            rest = "".join(letter for letter in group if letter not in _SHORT) + argument[1 + len(group) :]
            kept += [f"-{rest}"] if rest else []
        else:
            kept.append(argument)
    return kept


def _refuse_elsewhere(arguments: Sequence[str]) -> None:
    """Refuse what would apply to another stack or project than the one that is put in order, compared and judged.

    Raises:
        typer.BadParameter: there is such an option; with what to do instead.
    """
    for argument in arguments:
        if argument.startswith("--"):
            name = argument.removeprefix("--").partition("=")[0]
        elif argument.startswith("-"):
            name = _SHORT_ELSEWHERE.get(argument[1 + len(_letters(argument)) :][:1], "")
        else:
            continue
        if name in _ELSEWHERE:
            raise typer.BadParameter(f"{argument}: {_ELSEWHERE[name]}")


def _letters(argument: str) -> str:
    """The switches in a group of short options, such as `-yf`: those before one that takes a value."""
    group = argument[1:]
    return next((group[:at] for at, letter in enumerate(group) if letter in _SHORT_WITH_VALUE), group)
