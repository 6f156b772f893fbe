"""What every command starts from: the project of the working directory, a stack of it, and how it was before."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from meltanodata.config import document, fleet, settings_loading
from meltanodata.config.stacks import Project
from meltanodata.errors import ProblemsError

if TYPE_CHECKING:
    from meltanodata.config.document import Document
    from meltanodata.config.fleet import Fleet
    from meltanodata.config.settings import Secrets, Settings
    from meltanodata.inventory.accounts import Inventory


class Here:
    """The project of the working directory, and a stack of it."""

    def __init__(self, stack: str) -> None:
        self.project = Project.around(Path.cwd())
        self.stacks = self.project.fleet(stack)
        self.settings = next(found for found in self.stacks if found.stack == stack)
        self.file = self.project.tenants_file(self.settings)


def located(stack: str | None, file: Path | None) -> tuple[tuple[Settings, ...], Path]:
    """The stacks of the fleet that is meant, and its file.

    Raises:
        ProblemsError: what is wrong in the stacks' settings, and in the file as far as it can be known without them.
    """
    project = Project.around(Path.cwd())
    try:
        stacks = project.fleet(stack)
    except ProblemsError as error:
        _, problems = fleet.load(file or project.program / "tenants.yaml")
        raise ProblemsError([*error.problems, *problems]) from None
    return stacks, file or project.tenants_file(stacks[0])


def read(path: Path) -> tuple[Document, Fleet]:
    """A fleet file that is well formed, for commands that edit or count; what its rules say does not matter.

    Raises:
        ProblemsError: it is not well formed.
    """
    source = document.read(path)
    loaded, problems = fleet.parse(source)
    if problems:
        raise ProblemsError(problems)
    return source, loaded


@dataclass(frozen=True)
class Account:
    """A stack's teams, as they are at DigitalOcean."""

    settings: Settings
    secrets: Secrets
    held: Inventory


def account(stack: str, project: Project) -> Account:
    """Ask the accounts of a stack's teams, with the tokens of its config.

    Raises:
        UserError: see `engine.config`, `settings_loading.from_config` and `accounts.read`.
    """
    from meltanodata.engine import pulumi_cli  # noqa: PLC0415 - requests, which most commands need not load
    from meltanodata.inventory import accounts  # noqa: PLC0415 - requests, which most commands need not load

    own, secrets = settings_loading.from_config(pulumi_cli.config(stack, project.root), stack, datetime.now(UTC))
    return Account(own, secrets, accounts.read(own, secrets.tokens))
