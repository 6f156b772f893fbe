"""The options of `pulumi up` that `meltanodata up` passes on: which are set or refused, and which the preview needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

_UP_ALONE = frozenset({"yes", "skip-preview", "continue-on-error", "strict", "expect-no-changes"})
"""Switches that do not change what is planned, or that `pulumi preview` does not have."""
_DISPLAY = frozenset({"json", "diff", "debug", "show-secrets"})
"""Switches that change the output: a preview is read as JSON, and without secrets."""
_UP_ALONE_VALUED = frozenset({"secrets-provider", "event-log", "output", "plan"})
"""Options with a value that do not change what is planned, or that `pulumi preview` does not have."""
_SHORT = {"y": "yes", "f": "skip-preview", "j": "json", "d": "debug"}
_SHORT_WITH_VALUE = "cmpstCv"
_ELSEWHERE = {
    "stack": "name the stack once, and not after `--`: meltanodata up --stack STACK",
    "cwd": "change into the project's folder instead (cd), and run this there",
}
"""The options with which Pulumi would apply to another stack or project than this command, and what to do instead."""
_SHORT_ELSEWHERE = {"s": "stack", "C": "cwd"}


def switches(arguments: Sequence[str]) -> frozenset[str]:
    """The names of all options without a value among arguments; known short options by their long names."""
    names = set()
    for argument in arguments:
        name, _, value = argument.removeprefix("--").partition("=")
        if argument.startswith("--"):
            names |= {name} if value.lower() not in {"false", "0"} else set()
        elif argument.startswith("-"):
            names |= {_SHORT[letter] for letter in _letters(argument) if letter in _SHORT}
    return frozenset(names)


def for_preview(arguments: Sequence[str]) -> list[str]:
    """The arguments with which `pulumi preview` plans what `pulumi up` does.

    All but those known to concern `up` alone: an unknown option may change what is done, and a preview that does not
    have it fails.
    """
    kept: list[str] = []
    remaining = iter(arguments)
    for argument in remaining:
        name, equals, _ = argument.removeprefix("--").partition("=")
        if argument.startswith("--"):
            if name in _UP_ALONE_VALUED and not equals:
                next(remaining, None)
            if name not in _UP_ALONE | _DISPLAY | _UP_ALONE_VALUED:
                kept.append(argument)
        elif argument.startswith("-") and set(_letters(argument)) & set(_SHORT):
            group = _letters(argument)
            rest = "".join(letter for letter in group if letter not in _SHORT) + argument[1 + len(group) :]
            kept += [f"-{rest}"] if rest else []
        else:
            kept.append(argument)
    return kept


def refuse_elsewhere(arguments: Sequence[str]) -> None:
    """Refuse what would apply to another stack or project than the one that is recovered, compared and judged.

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
    """The switches in a group of short options, such as `-yf`: those before the first that takes a value."""
    group = argument[1:]
    return next((group[:at] for at, letter in enumerate(group) if letter in _SHORT_WITH_VALUE), group)
