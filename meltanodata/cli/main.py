"""The command `meltanodata`: all groups of commands together, and how it starts and ends."""

from __future__ import annotations

import errno
import sys

import typer

from meltanodata import terminal
from meltanodata.cli import (
    accounts,
    certificate,
    credentials,
    deploying,
    droplets,
    exit_codes,
    fleet_file,
    page,
    planning,
    states,
    status,
)
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
for group in (fleet_file, planning, deploying, status, droplets, credentials, certificate, accounts, states, page):
    app.add_typer(group.app)


def main() -> None:
    """Run the command; a user's mistake is shown without a traceback."""
    terminal.guard()
    code = _ended()
    if lost := terminal.losses():
        print(*lost, sep="\n", file=sys.stderr)
        code = code or exit_codes.WRONG
    sys.exit(code)


def _ended() -> int | str | None:
    """Run the command to its end; returns what the process exits with."""
    try:
        app(prog_name="meltanodata")
    except SystemExit as ended:
        return ended.code
    except UserError as error:
        print(error, file=sys.stderr)
        return exit_codes.WRONG
    except OSError as error:
        # A file that cannot be read or written: no such folder, no permission, a full or read-only disk.
        if error.filename is None and error.errno not in _FULL:
            raise
        where = f"{error.filename}: " if error.filename is not None else ""
        print(f"{where}{error.strerror}", file=sys.stderr)
        return exit_codes.WRONG
    return 0


_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.ENOENT}
"""What a write says without the file's name: the disk, the quota or the file's limit is full, there is no folder for
temporary files."""
