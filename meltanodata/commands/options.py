"""Arguments and options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from meltanodata.settings import stack_of
from meltanodata.stacks import Project


def _stack_names() -> list[str]:
    """For the shell's completion."""
    return sorted(stack_of(path) for path in Project.around(Path.cwd()).files())


File = Annotated[Path | None, typer.Argument(help="The fleet file; left out, the one that the stack's settings name.")]

Stack = Annotated[
    str | None,
    typer.Option(
        help="A stack of the fleet that is meant; left out, the fleet on DigitalOcean itself.",
        autocompletion=_stack_names,
    ),
]

OneStack = Annotated[
    str | None,
    typer.Option(
        envvar="PULUMI_STACK",
        help="The stack; left out, all those of the fleet on DigitalOcean itself.",
        autocompletion=_stack_names,
    ),
]
