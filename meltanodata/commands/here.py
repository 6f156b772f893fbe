"""What every command starts from: the project of the working directory, a stack of it, and how it was before."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from meltanodata import document, fleet, settings
from meltanodata.errors import ProblemsError
from meltanodata.stacks import Project

if TYPE_CHECKING:
    from meltanodata.fleet import Fleet
    from meltanodata.revisions import Revision
    from meltanodata.settings import Settings


class Here:
    """The project of the working directory, and a stack of it."""

    def __init__(self, stack: str) -> None:
        self.project = Project.around(Path.cwd())
        self.stacks = self.project.fleet(stack)
        self.settings = next(found for found in self.stacks if found.stack == stack)
        self.file = self.project.tenants_file(self.settings)

    def settings_before(self, revision: Revision) -> Settings:
        """The stack's settings at a revision; those of now where it had none."""
        file = self.project.root / settings.file_of(self.settings.stack)
        raw = revision.read(file)
        if raw is None:
            return self.settings
        return settings.parse(document.parse(raw, f"{revision.name}:{file.name}"), self.settings.stack)


def tenants(file: Path) -> Fleet:
    """A fleet file.

    Raises:
        ProblemsError: it is not well formed.
    """
    loaded, problems = fleet.load(file)
    if problems:
        raise ProblemsError(problems)
    return loaded


def tenants_before(revision: Revision, file: Path) -> Fleet:
    """What could be read of a fleet file at a revision; without tenants where it did not exist yet."""
    raw, name = revision.read(file), f"{revision.name}:{file.name}"
    return fleet.Fleet(name, ()) if raw is None else fleet.parse(document.parse(raw, name))[0]


def width() -> int | None:
    """Columns for tables: a log has no width of its own, and the usual 80 break most lines."""
    return None if sys.stdout.isatty() else 160
