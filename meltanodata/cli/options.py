"""Arguments and options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from meltanodata.config import fleet
from meltanodata.config.stacks import Project


def _stack_names() -> list[str]:
    """For the shell's completion."""
    return sorted(Project.around(Path.cwd()).stack_names())


def tenant_names() -> list[str]:
    """For the shell's completion: those of the fleet files, since to ask the stacks would take seconds."""
    project = Project.around(Path.cwd())
    files = {project.tenants_file(stack) for stack in project.stacks()}
    return sorted({row.key for file in files for row in fleet.load(file)[0].rows})


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

Tenant = Annotated[str, typer.Argument(metavar="TENANT", autocompletion=tenant_names, help="The tenant's name.")]
