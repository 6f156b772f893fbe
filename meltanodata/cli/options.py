"""Arguments and options that several commands have. Placeholders: STACK, TENANT, TEAM, FILE, REV, COMMIT, LABEL."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from meltanodata.cli.context import project
from meltanodata.config import fleet
from meltanodata.rollout import guard


def _stack_names() -> list[str]:
    """For the shell's completion."""
    return sorted(project().stack_names())


def tenant_names() -> list[str]:
    """For the shell's completion: the tenants of the fleet files, since reading the states would take seconds."""
    files = {project().tenants_file(stack) for stack in project().stacks()}
    return sorted({row.key for file in files for row in fleet.load(file)[0].rows})


FleetFile = Annotated[
    Path | None,
    typer.Argument(metavar="FILE", help="The fleet file. Default: the file that the stacks' settings name."),
]
Tenant = Annotated[str, typer.Argument(metavar="TENANT", autocompletion=tenant_names, help="The tenant's name.")]
Tenants = Annotated[
    list[str] | None,
    typer.Argument(metavar="TENANT", autocompletion=tenant_names, help="The tenants. Default: all of them."),
]

Stack = Annotated[
    str,
    typer.Option(
        "--stack", "-s", metavar="STACK", envvar="PULUMI_STACK", help="The stack.", autocompletion=_stack_names
    ),
]
FleetStack = Annotated[
    str | None,
    typer.Option(
        "--stack",
        "-s",
        metavar="STACK",
        envvar="PULUMI_STACK",
        help="A stack, whose whole fleet it is about. Default: the fleet at DigitalOcean.",
        autocompletion=_stack_names,
    ),
]
SomeStacks = Annotated[
    str | None,
    typer.Option(
        "--stack",
        "-s",
        metavar="STACK",
        envvar="PULUMI_STACK",
        help="The stack. Default: every stack of the fleet at DigitalOcean.",
        autocompletion=_stack_names,
    ),
]

Base = Annotated[
    str | None,
    typer.Option(
        envvar="MELTANODATA_BASE",
        metavar="REV",
        help="The revision that the pull request goes to. Without it the unnamed-tenants check is skipped.",
    ),
]
Allow = Annotated[
    list[str] | None,
    typer.Option(
        metavar="LABEL", help="A label of the pull request. Only those of the guard have an effect. Repeatable."
    ),
]
Labels = Annotated[
    str | None,
    typer.Option(
        envvar="MELTANODATA_LABELS",
        metavar="JSON",
        help="The labels as JSON: a pull request's labels as a list, or labels that somebody typed as a string.",
    ),
]
Expect = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="The reviewed plan, from `plan --json`. Stop with exit code 4 if the plan does more."
    ),
]


def labels_of(allow: list[str] | None, labels: str | None) -> list[str]:
    """The labels of both options, see `guard.labels_in`."""
    return [*(allow or []), *(guard.labels_in(labels) if labels else [])]
