"""What commands start from: the project of the working directory, its stacks, and the fleet file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from meltanodata.config import document, fleet, rules, settings_loading
from meltanodata.config.stacks import Project
from meltanodata.engine import pulumi_cli
from meltanodata.errors import ProblemsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meltanodata.config.document import Document
    from meltanodata.config.fleet import Fleet
    from meltanodata.config.settings import Secrets, Settings
    from meltanodata.inventory.accounts import Inventory


def project() -> Project:
    """The project that the working directory is in.

    Raises:
        UserError: it is in none.
    """
    return Project.around(Path.cwd())


class StackContext:
    """One stack of the project, with the fleet that it belongs to."""

    def __init__(self, stack: str) -> None:
        self.stack = stack
        self.project = project()
        self.root = self.project.root
        self.stacks = self.project.fleet(stack)
        self.settings = next(settings for settings in self.stacks if settings.stack == stack)
        self.file = self.project.tenants_file(self.settings)


def located(stack: str | None, file: Path | None = None) -> tuple[tuple[Settings, ...], Path]:
    """The stacks of the selected fleet, and its file.

    Raises:
        ProblemsError: what is wrong in the stacks' settings, and what is wrong in the file regardless of them.
        typer.BadParameter: the file does not exist, and its name is a tenant's.
    """
    root = project()
    if file is not None and not file.exists():
        _refuse_tenant(file, root)
    try:
        stacks = root.fleet(stack)
    except ProblemsError as error:
        _, problems = fleet.load(file or root.program / "tenants.yaml")
        raise ProblemsError([*error.problems, *problems]) from None
    return stacks, file or root.tenants_file(stacks[0])


def _refuse_tenant(file: Path, root: Project) -> None:
    """Explain the fleet file to somebody who names a tenant."""
    tenants = {row.key for stack in root.stacks_then() for row in fleet.load(root.tenants_file(stack))[0].rows}
    if str(file) in tenants:
        raise typer.BadParameter(
            f"{file} is a tenant. This command is about the whole fleet file and takes no tenant; leave {file} out."
            f" To examine the instance: meltanodata doctor {file}"
        )


def read(path: Path) -> tuple[Document, Fleet]:
    """A well-formed fleet file, whether or not it keeps the rules.

    Raises:
        ProblemsError: it is not well formed.
    """
    source = document.read(path)
    loaded, problems = fleet.parse(source)
    if problems:
        raise ProblemsError(problems)
    return source, loaded


def edited(source: Document, loaded: Fleet, text: str, stacks: Sequence[Settings]) -> Fleet:
    """A fleet file after an edit.

    Args:
        source: the file before.
        loaded: the fleet before.
        text: the file after.
        stacks: the fleet's.

    Raises:
        ProblemsError: the edit brings problems that the file did not have before.
    """
    after, _ = fleet.parse(document.parse(text.encode(), source.file))
    before = {problem.message for problem in rules.problems(loaded, stacks)}  # the edit moves lines
    if problems := [problem for problem in rules.problems(after, stacks) if problem.message not in before]:
        raise ProblemsError(problems)
    return after


@dataclass(frozen=True)
class Account:
    """A stack's settings and secrets, and the inventory of its teams."""

    settings: Settings
    secrets: Secrets
    inventory: Inventory


def account(stack: str) -> Account:
    """Read the inventory of a stack's teams, with the tokens of its config.

    Raises:
        UserError: see `pulumi_cli.config`, `settings_loading.from_config` and `accounts.read`.
    """
    from meltanodata.inventory import accounts

    parsed, secrets = settings_loading.from_config(pulumi_cli.config(stack, project().root), stack, datetime.now(UTC))
    return Account(parsed, secrets, accounts.read(parsed, secrets.tokens))
