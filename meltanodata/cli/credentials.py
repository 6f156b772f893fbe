"""`credentials`: the admins' logins, here and in 1Password."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from meltanodata import terminal
from meltanodata.config.stacks import Project
from meltanodata.credentials import logins
from meltanodata.credentials.logins import Action
from meltanodata.credentials.onepassword import Vault
from meltanodata.engine import pulumi_cli
from meltanodata.errors import UserError
from meltanodata.text import did_you_mean, listing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meltanodata.config.settings import Settings
    from meltanodata.credentials.logins import Login, Step

_STYLES = {Action.CREATE: "green", Action.UPDATE: "yellow", Action.REMOVE: "red", Action.REFUSED: "yellow"}
_DONE = {Action.CREATE: "created", Action.UPDATE: "updated", Action.REMOVE: "removed"}


def show(tenant: str, stack: str | None) -> None:
    """Print a tenant's login.

    Raises:
        UserError: there is no such tenant, or the stack does not know its password.
    """
    project = Project.around(Path.cwd())
    known: list[str] = []
    for settings in project.selected(stack):
        for login in _logins(project, settings):
            known.append(login.tenant)
            if login.tenant == tenant:
                print(f"URL       https://{login.host}\nuser      {login.user}\npassword  {_password(login)}")
                return
    raise UserError(_nobody([tenant], known))


def keep(tenants: Sequence[str], stack: str | None, *, yes: bool) -> None:
    """Make a vault match the logins of the stacks that are meant.

    Raises:
        UserError: see `engine` and `onepassword`.
        typer.Exit: 1 something has to be mended first, and was left as it is.
        typer.BadParameter: nobody can be asked whether to do it.
    """
    project = Project.around(Path.cwd())
    meant = project.selected(stack)
    of_all = {settings.stack: _logins(project, settings) for settings in meant}
    found: dict[str, list[Step]] = {}
    vaults: dict[str, Vault] = {}
    for settings in meant:
        mine, tag = of_all[settings.stack], _tag(settings)
        vault = Vault.from_environment(settings.onepassword_vault or settings.domain)
        with Progress(transient=True, disable=not sys.stderr.isatty(), console=terminal.console(err=True)) as progress:
            task = progress.add_task(f"looking into the vault {escape(vault.name)}", total=len(mine))
            passed = {login.host for login in mine if not login.password or (tenants and login.tenant not in tenants)}
            items = vault.items(tag, passed, lambda task=task, progress=progress: progress.advance(task))  # type: ignore[misc]
        found[settings.stack] = logins.steps(mine, items, tag, tenants, settings.domain)
        vaults[settings.stack] = vault
    everybody = [login for mine in of_all.values() for login in mine]
    steps = [step for mine in found.values() for step in mine]
    if missing := logins.unknown(tenants, everybody, steps, meant[0].domain):
        raise UserError(_nobody(missing, [login.tenant for login in everybody]))
    todo = sum(step.action in _DONE for step in steps)
    _print(steps)
    if todo and _agreed(todo, yes=yes):
        for settings in meant:
            _apply(vaults[settings.stack], found[settings.stack], _tag(settings))
    if any(step.action is Action.REFUSED for step in steps):
        raise typer.Exit(1)


def _logins(project: Project, settings: Settings) -> list[Login]:
    state = pulumi_cli.state(settings.stack, project.root)
    if not state.resources:
        # Not a stack without tenants: one that never was. A vault must not be emptied because of another backend.
        raise UserError(
            f"{settings.stack}: nothing was ever applied to this stack. Is it the right backend (pulumi whoami"
            " --verbose)? If it is, the first tenants come by: meltanodata up"
        )
    return logins.logins(state, pulumi_cli.outputs(settings.stack, project.root), settings.domain)


def _tag(settings: Settings) -> str:
    """What marks a stack's items; the stacks of a fleet may share a vault."""
    return f"meltanodata/{settings.stack}"


def _password(login: Login) -> str:
    if login.kept:
        raise UserError(
            f"{login.tenant}: it was taken over with the login that it had; the password is where it was noted then."
            " For a new one write admin_password_generation: 2, and run meltanodata up"
        )
    if login.password is None:
        raise UserError(f"{login.tenant}: the last run did not get as far as its login; meltanodata up goes on with it")
    return login.password.get_secret_value()


def _nobody(missing: Sequence[str], known: Sequence[str]) -> str:
    guess = did_you_mean(missing[0], known) if len(missing) == 1 else ""
    return f"there is no tenant {listing(missing)} in the stack's state.{guess}"


def _print(steps: Sequence[Step]) -> None:
    console = terminal.console()
    shown = [step for step in steps if step.why]
    if shown:
        table = Table("item", "what happens", "why", box=None, pad_edge=False)
        for step in shown:
            table.add_row(step.title, step.action.value, step.why, style=_STYLES.get(step.action, ""))
        console.print(table)
    unchanged = sum(step.action is Action.NONE for step in steps)
    if unchanged == len(steps):
        print(f"{unchanged} {'login is' if unchanged == 1 else 'logins are'} as they should be: nothing to do")


def _agreed(todo: int, *, yes: bool) -> bool:
    if yes:
        return True
    if not sys.stdin.isatty():
        raise typer.BadParameter(f"nothing was changed; to have {todo} items changed without being asked, say --yes")
    return typer.confirm("Do it?")


def _apply(vault: Vault, steps: Sequence[Step], tag: str) -> None:
    todo = [step for step in steps if step.action in _DONE]
    for number, step in enumerate(todo):
        try:
            if step.action is Action.CREATE and step.login:
                vault.create(step.login, tag)
            elif step.action is Action.UPDATE and step.login and step.item:
                vault.update(step.item, step.login)
            elif step.item:
                vault.remove(step.item)
        except UserError as error:
            left = f"{number} of {len(todo)} changes are made. Run it again: it goes on with the rest"
            raise UserError(f"{step.title}: {error}\n{left}") from None
        print(f"{step.title}: {_DONE[step.action]}", flush=True)
    if todo and not vault.shows_what_was_written():
        print(
            "1Password Connect does not show all of it yet. Wait a minute before you run this again.", file=sys.stderr
        )
