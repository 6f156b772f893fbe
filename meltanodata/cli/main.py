"""The command `meltanodata`: all groups of commands together, and how it starts and ends."""

from __future__ import annotations

import sys

import typer

from meltanodata import terminal
from meltanodata.cli import accounts, credentials, deploying, droplets, exit_codes, fleet_file, page, planning, states
from meltanodata.cli.usage import OperatorCommands
from meltanodata.errors import UserError

_HELP = """Manage the tenants of meltanodata.com: edit tenants.yaml, then

\b
meltanodata check    finds mistakes in it,
meltanodata plan     shows what would happen to whom,
meltanodata up       applies it.

Each command works on the project that the working directory is in. PULUMI_STACK names the stack; --stack names another.
"""

app = typer.Typer(
    cls=OperatorCommands,
    help=_HELP,
    epilog=exit_codes.HELP,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for group in (fleet_file, planning, deploying, droplets, credentials, accounts, states, page):
    app.add_typer(group.app)


def main() -> None:
    """Run the command; a user's mistake is shown without a traceback."""
    terminal.guard()
    try:
        app(prog_name="meltanodata")
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(exit_codes.WRONG)
