"""`credentials`: the admin logins, on the terminal and in 1Password."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from meltanodata import terminal
from meltanodata.cli.context import project
from meltanodata.cli.exit_codes import WRONG
from meltanodata.cli.options import SomeStacks, tenant_names
from meltanodata.credentials import logins
from meltanodata.credentials.logins import Action
from meltanodata.engine import pulumi_cli
from meltanodata.errors import UserError
from meltanodata.text import count, did_you_mean, listing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meltanodata.config.settings import Settings
    from meltanodata.credentials.logins import Login, Step
    from meltanodata.credentials.onepassword import Vault

app = typer.Typer()

_STYLES = {Action.CREATE: "green", Action.UPDATE: "yellow", Action.REMOVE: "red", Action.REFUSED: "yellow"}
_DONE = {Action.CREATE: "created", Action.UPDATE: "updated", Action.REMOVE: "removed"}


@app.command()
def credentials(
    tenants: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TENANT",
            autocompletion=tenant_names,
            help="The tenant. With --onepassword several are possible. Default: all of them.",
        ),
    ] = None,
    stack: SomeStacks = None,
    onepassword: Annotated[
        bool, typer.Option("--onepassword", help="Keep the logins in a vault of 1Password instead of showing one.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="With --onepassword: do not ask.")] = False,
) -> None:
    """Show a tenant's admin login, or keep the logins in 1Password.

    Reads the stack's outputs, which needs its passphrase. --onepassword creates or updates a login item for each tenant
    in a vault, and removes the items of removed tenants, after showing the changes and asking. The setting
    onepassword_vault names the vault, by default the domain does. Only items with the tag meltanodata/STACK are
    changed. OP_CONNECT_HOST and OP_CONNECT_TOKEN name the 1Password Connect server.

    \b
    meltanodata credentials acme
    meltanodata credentials --onepassword
    meltanodata credentials --onepassword --yes --stack prod acme bolt
    """
    if onepassword:
        _keep(tenants or [], stack, yes=yes)
    elif tenants is None or len(tenants) != 1 or yes:
        raise typer.BadParameter("name one tenant, or add --onepassword")
    else:
        _show(tenants[0], stack)


def _show(tenant: str, stack: str | None) -> None:
    """Print a tenant's login. Stop if there is no such tenant, or the stack does not have its password."""
    known: list[str] = []
    for settings in project().selected(stack):
        for login in _logins(settings):
            known.append(login.tenant)
            if login.tenant == tenant:
                print(f"URL       https://{login.host}\nuser      {login.user}\npassword  {_password(login)}")
                return
    raise UserError(_unknown([tenant], known, stack))


def _keep(tenants: Sequence[str], stack: str | None, *, yes: bool) -> None:
    """Make a vault match the logins of the selected stacks; exit code 1 if an item needs to be fixed first."""
    from meltanodata.credentials.onepassword import Vault

    selected = project().selected(stack)
    logins_of = [(settings, _tag(settings), _logins(settings)) for settings in selected]
    work: list[tuple[Vault, list[Step], str]] = []
    for settings, tag, own in logins_of:
        vault = Vault.from_environment(settings.onepassword_vault or settings.domain)
        skipped = {login.host for login in own if not login.password or (tenants and login.tenant not in tenants)}
        with terminal.progress(f"reading the vault {vault.name}", len(own)) as advance:
            items = vault.items(tag, skipped, advance)
        work.append((vault, logins.steps(own, items, tag, tenants, settings.domain), tag))
    every_login = [login for _, _, own in logins_of for login in own]
    steps = [step for _, own, _ in work for step in own]
    if missing := logins.unknown(tenants, every_login, steps, selected[0].domain):
        raise UserError(_unknown(missing, [login.tenant for login in every_login], stack))
    changes = sum(step.action in _DONE for step in steps)
    _print(steps)
    if changes and _confirmed(changes, yes=yes):
        for vault, own_steps, tag in work:
            _apply(vault, own_steps, tag)
    if any(step.action is Action.REFUSED for step in steps):
        raise typer.Exit(WRONG)


def _logins(settings: Settings) -> list[Login]:
    root = project().root
    state = pulumi_cli.state(settings.stack, root)
    if not state.resources:
        # Not a stack without tenants, but one that was never applied: another backend must not empty a vault.
        raise UserError(
            f"{settings.stack}: nothing was ever applied to this stack. Check that the backend is the right one: pulumi"
            " whoami --verbose. If it is, create the first tenants with: meltanodata up"
        )
    return logins.logins(state, pulumi_cli.outputs(settings.stack, root), settings.domain)


def _tag(settings: Settings) -> str:
    """What marks a stack's items; the stacks of a fleet may share a vault."""
    return f"meltanodata/{settings.stack}"


def _password(login: Login) -> str:
    if login.kept:
        raise UserError(
            f"{login.tenant} was adopted with its existing login, so the stack does not have the password. To set a new"
            " one, write admin_password_generation: 2 into its entry, and run meltanodata up"
        )
    if login.password is None:
        raise UserError(
            f"{login.tenant}: the last run ended before it created the login. Run meltanodata up, which continues"
        )
    return login.password.get_secret_value()


def _unknown(missing: Sequence[str], known: Sequence[str], stack: str | None) -> str:
    searched = [settings.stack for settings in project().selected(stack)]
    others = [settings.stack for settings in project().stacks() if settings.stack not in searched]
    elsewhere = f" It may be in {listing(others)}: add --stack" if others else ""
    guess = did_you_mean(missing[0], known) if len(missing) == 1 else ""
    return f"there is no tenant {listing(missing)} in the state of {listing(searched, 'and')}.{guess}{elsewhere}"


def _print(steps: Sequence[Step]) -> None:
    from rich.table import Table

    table = Table("item", "change", "reason", box=None, pad_edge=False)
    for step in steps:
        if step.why:
            table.add_row(step.title, step.action.value, step.why, style=_STYLES.get(step.action, ""))
    if table.row_count:
        terminal.console().print(table)
    if all(step.action is Action.NONE for step in steps):
        print(f"{count(len(steps), 'login')} up to date, nothing to do")


def _confirmed(changes: int, *, yes: bool) -> bool:
    if yes:
        return True
    if not sys.stdin.isatty():
        raise typer.BadParameter(
            f"there is no terminal to ask on, so nothing was changed. To change {count(changes, 'item')}, add --yes"
        )
    return typer.confirm("Apply these changes?")


def _apply(vault: Vault, steps: Sequence[Step], tag: str) -> None:
    changes = [step for step in steps if step.action in _DONE]
    for number, step in enumerate(changes):
        try:
            if step.action is Action.CREATE and step.login:
                vault.create(step.login, tag)
            elif step.action is Action.UPDATE and step.login and step.item:
                vault.update(step.item, step.login)
            elif step.item:
                vault.remove(step.item)
        except UserError as error:
            left = f"{number} of {len(changes)} changes were made. Run this again, which continues with the rest"
            raise UserError(f"{step.title}: {error}\n{left}") from None
        print(f"{step.title}: {_DONE[step.action]}", flush=True)
    if changes and not vault.shows_what_was_written():
        print(
            "1Password Connect does not show every change yet. Wait a minute before you run this again.",
            file=sys.stderr,
        )
