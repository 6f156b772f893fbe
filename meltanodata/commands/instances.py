"""The commands about instances and accounts as they are, as the shell sees them.

Each imports what it does when it does it, so that the others start fast.
"""

from __future__ import annotations

from typing import Annotated

import typer

from meltanodata.commands.options import OneStack  # noqa: TC001 - typer looks at it

app = typer.Typer()


@app.command()
def credentials(
    tenants: Annotated[
        list[str] | None,
        typer.Argument(metavar="TENANT...", help="Whose login; with --onepassword all that are named."),
    ] = None,
    stack: OneStack = None,
    onepassword: Annotated[
        bool, typer.Option("--onepassword", help="Keep the logins in a vault of 1Password, instead of showing one.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="With --onepassword: do not ask, do it.")] = False,
) -> None:
    """Show a tenant's admin login, or keep the logins in 1Password.

    From the stack's outputs: needs its passphrase. With --onepassword a login item for each tenant is made or brought
    up to date in the vault (the setting onepassword_vault, else the one called like the domain), and those of tenants
    that are gone are removed. Only items with the tag meltanodata/STACK are ever changed. OP_CONNECT_HOST and
    OP_CONNECT_TOKEN say which 1Password Connect server. It shows first what it will do, and asks.

    \b
    meltanodata credentials acme
    meltanodata credentials --onepassword
    meltanodata credentials --onepassword --yes --stack prod acme bolt
    """
    from meltanodata.commands import credentials as logins

    if onepassword:
        logins.keep(tenants or [], stack, yes=yes)
    elif len(tenants or []) != 1 or yes:
        raise typer.BadParameter("name one tenant, or say --onepassword")
    else:
        logins.show((tenants or [])[0], stack)
