"""`python -m sandbox fault …`: inject faults into requests or light droplets."""

from __future__ import annotations

import sys
from typing import Annotated, Literal

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from meltanodata.cli.usage import Commands
from meltanodata.errors import UserError
from sandbox.api.faults import Fault
from sandbox.api.messages import DropletFault, Misbehaviour
from sandbox.control import Control
from sandbox.home import Home
from sandbox.running import Running

app = typer.Typer(
    cls=Commands,
    help="Inject faults into requests to the API or into light droplets.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Effect = Literal["status", "hang", "reset", "stuck", "delay"]


@app.command()
def add(  # noqa: PLR0917 (typer's: all but the first are options)
    effect: Annotated[
        Effect,
        typer.Argument(
            metavar="EFFECT",
            help="status: an error; hang: no answer; reset: the connection is reset; delay: a late answer; "
            "stuck: what the request creates never becomes active.",
        ),
    ],
    method: Annotated[str, typer.Option(metavar="METHOD", help="Only requests with this method, such as POST.")] = "*",
    path: Annotated[
        str,
        typer.Option(metavar="PATH", help="Only requests to this path, such as '/v2/droplets/*'; * matches any text."),
    ] = "*",
    team: Annotated[str, typer.Option(metavar="TEAM", help="Only requests with this team's token.")] = "*",
    times: Annotated[
        int, typer.Option(metavar="NUMBER", help="How many requests it affects; 0: all until it is cleared.", min=0)
    ] = 1,
    after_work: Annotated[
        bool, typer.Option("--after-work", help="The request takes effect, then the fault occurs.")
    ] = False,
    status: Annotated[int, typer.Option(metavar="STATUS", help="The HTTP status, for the effect status.")] = 500,
    message: Annotated[str, typer.Option(metavar="TEXT", help="The message of that answer.")] = "an injected fault",
    retry_after: Annotated[
        int | None, typer.Option(metavar="SECONDS", help="Seconds, sent as the answer's Retry-After header.")
    ] = None,
    delay: Annotated[float, typer.Option(metavar="SECONDS", help="Seconds until the request is handled.")] = 0.0,
) -> None:
    """Inject a fault into requests to the API.

    \b
    python -m sandbox fault add status --status 429 --retry-after 3 --method POST --path /v2/droplets --times 2
    """
    try:
        fault = Fault(
            effect=effect,
            method=method,
            path=path,
            team=team,
            times=times or None,
            after_work=after_work,
            status=status,
            message=message,
            retry_after=retry_after,
            delay=delay,
        )
    except ValidationError as error:
        raise typer.BadParameter("; ".join(f"{e['loc'][0]}: {e['msg']}" for e in error.errors())) from None
    print(f"fault {_control().add_fault(fault)}")


@app.command("list")
def list_() -> None:
    """List the active faults."""
    table = Table("number", "effect", "method", "path", "team", "times", "details", box=None, pad_edge=False)
    for number, fault in _control().faults().items():
        given = fault.model_dump(exclude_defaults=True, exclude={"effect", "method", "path", "team", "times"})
        details = ", ".join(f"{name} {value}" for name, value in given.items())
        times = str(fault.times) if fault.times else "all"
        table.add_row(str(number), fault.effect, fault.method, fault.path, fault.team, times, details)
    Console(width=None if sys.stdout.isatty() else 200).print(table)


@app.command()
def clear(
    number: Annotated[int | None, typer.Argument(metavar="NUMBER", help="The fault's number. Default: all.")] = None,
) -> None:
    """Clear one fault, or all."""
    if number is None:
        _control().clear_faults()
    else:
        _control().remove_fault(number)


@app.command()
def droplet(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A light droplet's name, such as acme.meltanodata.com.")],
    kind: Annotated[
        Misbehaviour | None,
        typer.Argument(
            metavar="KIND",
            help="The fault of its SSH server: refuse, silent, hang, break or exit. Without it the fault is cleared.",
        ),
    ] = None,
    status: Annotated[int, typer.Option(metavar="CODE", help="The exit code, for exit.")] = 1,
    text: Annotated[str, typer.Option(metavar="TEXT", help="The text on standard error, for exit.")] = "",
    command: Annotated[str, typer.Option(metavar="TEXT", help="Only commands that contain this text.")] = "",
) -> None:
    """Inject a fault into a light droplet's SSH server, or clear it."""
    fault = None if kind is None else DropletFault(kind=kind, status=status, text=text, command=command)
    control = _control()
    numbers = [droplet.id for droplet in control.droplets() if droplet.name == name]
    if not numbers:
        raise UserError(f"no droplet {name!r}")
    for number in numbers:
        control.set_droplet_fault(number, fault)


def _control() -> Control:
    return Control(Running.load(Home.default()))
