"""The commands about instances and accounts as they are, as the shell sees them.

Each imports what it does when it does it, so that the others start fast.
"""

from __future__ import annotations

from typing import Annotated

import typer

from meltanodata.cli.options import File, OneStack, Stack, Tenant, tenant_names

app = typer.Typer()


@app.command()
def credentials(
    tenants: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TENANT...",
            autocompletion=tenant_names,
            help="Whose login; with --onepassword several, and left out all of them.",
        ),
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
    from meltanodata.cli import credentials as logins

    if onepassword:
        logins.keep(tenants or [], stack, yes=yes)
    elif len(tenants or []) != 1 or yes:
        raise typer.BadParameter("name one tenant, or say --onepassword")
    else:
        logins.show((tenants or [])[0], stack)


@app.command()
def doctor(
    tenants: Annotated[
        list[str] | None,
        typer.Argument(metavar="TENANT", autocompletion=tenant_names, help="Tenants; left out, all of them."),
    ] = None,
    stack: OneStack = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all that was found as JSON.")] = False,
) -> None:
    """Find out what is wrong with instances, and what to do about it.

    Ping, DNS, SSH and its host key, systemd, Meltano's logs, .env, FTP, the database from the droplet and from here,
    certificate and page; nothing is changed. Warnings aside, exit code 1 if anything is wrong.

    \b
    meltanodata doctor
    meltanodata doctor acme
    meltanodata doctor --stack prod --json | jq 'map_values(.well)'
    """
    from meltanodata.cli import droplets

    droplets.doctor(tenants or [], stack, as_json=as_json)


@app.command()
def ssh(
    tenant: Tenant,
    command: Annotated[
        list[str] | None, typer.Argument(metavar="[-- COMMAND...]", help="What to run; left out, a shell.")
    ] = None,
    stack: OneStack = None,
) -> None:
    """Sign in to a tenant's droplet as root.

    By OpenSSH's client, with the host key that the stack has pinned and the stack's own key. A command is taken, and
    its exit code given back, as ssh does.

    \b
    meltanodata ssh acme
    meltanodata ssh acme -- systemctl status
    meltanodata ssh acme -- cat /etc/caddy/Caddyfile > Caddyfile
    """
    from meltanodata.cli import droplets

    droplets.ssh(tenant, stack, command or [])


@app.command()
def logs(
    tenant: Tenant,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines are added, until Ctrl-C.")] = False,
    stack: OneStack = None,
) -> None:
    """Show the last lines of an instance's logs.

    Meltano's UI log, and the journal of Meltano and Caddy, as they are: unlike doctor's they may hold secrets.

    \b
    meltanodata logs acme
    meltanodata logs acme -f
    """
    from meltanodata.cli import droplets

    droplets.logs(tenant, stack, follow=follow)


@app.command()
def capacity(
    file: File = None,
    stack: Stack = None,
    accounts: Annotated[
        bool, typer.Option("--accounts", help="Ask DigitalOcean as well: what was made by hand takes a place too.")
    ] = False,
) -> None:
    """Show how many more tenants fit.

    Counts the tenants in the fleet file, and with --accounts (it needs the stacks' passphrase) what the teams really
    have. Warns from 80 %, says what to ask DigitalOcean for when the teams run out, and which team is marked full and
    has room again.

    \b
    meltanodata capacity
    meltanodata capacity --accounts
    """
    from meltanodata.cli import capacity as figures

    figures.capacity(file, stack, accounts=accounts)


@app.command()
def adopt(
    file: File = None,
    stack: Stack = None,
    write: Annotated[
        bool, typer.Option("--write", help="Add the entries to the file instead of printing them.")
    ] = False,
    new_logins: Annotated[
        bool, typer.Option("--new-logins", help="Give each admin a new password, instead of leaving the one there is.")
    ] = False,
) -> None:
    """Print or add entries for the instances that were made by hand.

    Reads the accounts of the fleet's teams (it needs the stacks' passphrase), and matches droplet, A record and
    database by their names, and a database of another name by the address that it lets in. What cannot be matched is
    listed with the reason. Names in the setting no_tenants are left alone.

    \b
    meltanodata adopt
    meltanodata adopt --write
    """
    from meltanodata.cli import adopt

    adopt.adopt(file, stack, write=write, new_logins=new_logins)
