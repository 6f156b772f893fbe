"""The project's folder, and which stacks form one fleet."""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from meltanodata.config import fleet, settings, settings_loading
from meltanodata.config.influence import Kind
from meltanodata.config.revisions import Tree, Worktree
from meltanodata.config.settings import DIGITALOCEAN, Settings
from meltanodata.errors import Problem, ProblemsError, UserError
from meltanodata.text import did_you_mean, listing, show

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from meltanodata.config.document import Document
    from meltanodata.config.fleet import Fleet

_SANDBOX = "sandbox"
"""The sandbox's folder in the checkout, and its stack."""


@dataclass(frozen=True)
class Project:
    """A folder with Pulumi.yaml and the stacks' files, on the disk or at a revision."""

    root: Path
    tree: Tree = field(default_factory=Worktree)

    @classmethod
    def around(cls, folder: Path) -> Project:
        """The project that a folder is in.

        Raises:
            UserError: neither the folder nor one above it has a Pulumi.yaml.
        """
        for candidate in (folder.absolute(), *folder.absolute().parents):
            if (candidate / "Pulumi.yaml").is_file():
                return cls(candidate)
        raise UserError(f"there is no Pulumi.yaml in {folder.absolute()} or above it; change into the project's folder")

    @property
    def name(self) -> str:
        """Pulumi's name for the project (`name` in Pulumi.yaml)."""
        return self._option("name")

    @property
    def program(self) -> Path:
        """The folder of the program, which relative paths in settings start from (`main` in Pulumi.yaml)."""
        return self.root / self._option("main")

    def _option(self, key: str) -> str:
        value = self.tree.document(self.root / "Pulumi.yaml").entries.get(key)
        return value.text if value is not None else ""

    def tenants_file(self, stack: Settings) -> Path:
        """The fleet file of a stack."""
        return self.program / stack.tenants_file

    def tenants(self, file: Path) -> Fleet:
        """A fleet file.

        Raises:
            ProblemsError: it does not exist, or is not well formed.
        """
        loaded, problems = fleet.parse(self.tree.document(file))
        if problems:
            raise ProblemsError(problems)
        return loaded

    def tenants_then(self, file: Path) -> Fleet:
        """What could be read of a fleet file; without tenants where it does not exist."""
        return fleet.parse(self.tree.document(file))[0]

    def stack_names(self) -> list[str]:
        """The stacks that have a file here."""
        return [settings.stack_of(Path(name)) for name in self.tree.stack_files(self.root)]

    def stack_document(self, stack: str) -> Document | None:
        """A stack's file; None where it has none."""
        path = self.root / settings.file_of(stack)
        return self.tree.document(path) if self.tree.has(path) else None

    def settings(self, stack: str) -> Settings | None:
        """A stack's settings; None for one that has none yet.

        Raises:
            ProblemsError: what is wrong with them.
        """
        source = self.stack_document(stack)
        if source is None or not settings_loading.has_settings(source):
            return None
        return settings_loading.parse(source, stack)

    def stacks(self) -> tuple[Settings, ...]:
        """Every stack of the program's that has settings here, `prod-2` before `prod-10`.

        Raises:
            ProblemsError: what is wrong in any of their files.
        """
        stacks, problems = self._read()
        if problems:
            raise ProblemsError(problems)
        return stacks

    def stacks_then(self) -> tuple[Settings, ...]:
        """The stacks whose settings this version of the program can read; an older version may have had other ones."""
        return self._read()[0]

    def _read(self) -> tuple[tuple[Settings, ...], list[Problem]]:
        stacks: list[Settings] = []
        problems: list[Problem] = []
        for file in self.tree.stack_files(self.root):
            source = self.tree.document(self.root / file)
            try:
                if settings_loading.has_settings(source):
                    stacks.append(settings_loading.parse(source, settings.stack_of(Path(file))))
            except ProblemsError as error:
                problems += error.problems
        return in_order(stacks), problems

    def fleet(self, stack: str | None) -> tuple[Settings, ...]:
        """The stacks that form one fleet with the named one; without a name, those on DigitalOcean itself.

        Raises:
            ProblemsError: see `stacks`.
            UserError: there is no such stack, or the name is needed.
        """
        stacks = self.stacks()
        self.refuse_checkout(stack)
        if not stacks:
            raise UserError(f"no stack has settings yet: there is no Pulumi.<stack>.yaml with them in {self.root}")
        return fleet_among(stacks, stack)

    def refuse_checkout(self, stack: str | None) -> None:
        """Say where the sandbox's stack is, to somebody who looks for it among the program's own.

        Raises:
            UserError: it is the sandbox's, and this is the checkout with the sandbox's program.
        """
        template = self.root / _SANDBOX / settings.file_of(_SANDBOX)
        if stack == _SANDBOX and template.is_file() and self.settings(stack) is None:
            folder = Path(os.environ.get("SANDBOX_HOME", self.root / ".sandbox")) / "project"
            raise UserError(
                f"The stack {stack} has no settings here: you are in the checkout. The sandbox has a project folder of"
                f" its own, with its tenants.yaml. Start it (make sandbox), then: cd {shlex.quote(str(folder))}"
            )

    def selected(self, stack: str | None) -> tuple[Settings, ...]:
        """The named stack alone; without a name, all stacks of the fleet on DigitalOcean itself.

        Raises:
            ProblemsError: see `stacks`.
            UserError: see `fleet`.
        """
        return tuple(settings for settings in self.fleet(stack) if stack is None or settings.stack == stack)


def fleet_among(stacks: Sequence[Settings], stack: str | None) -> tuple[Settings, ...]:
    """The stacks that form one fleet with the named one; without a name, those on DigitalOcean itself.

    Raises:
        UserError: there is no such stack, or the name is needed.
    """
    names = [settings.stack for settings in stacks]
    if stack is not None and stack not in names:
        raise UserError(
            f"there is no stack {show(stack)}.{did_you_mean(stack, names)} The stacks are: {listing(names)}"
        )
    urls = {settings.stack: settings.api_url for settings in stacks}
    if len(set(urls.values())) > 1 or stack is not None:
        url = urls[stack] if stack is not None else DIGITALOCEAN
        stacks = [settings for settings in stacks if settings.api_url == url]
    if not stacks:
        raise UserError(f"name the stack: --stack {listing(names)}")
    return tuple(stacks)


def touched(stacks: Sequence[Settings], before: Fleet, after: Fleet, files: Mapping[str, Kind]) -> list[str]:
    """The stacks whose plan a change can alter, in the fleet's order.

    `files` has all files that differ, relative to the project's folder, and what each is.
    """
    if Kind.PROGRAM in files.values():
        return [stack.stack for stack in stacks]
    old, new = before.options, after.options
    teams = {
        options.database_team
        for key in {*old, *new}
        if old.get(key) != new.get(key)
        for options in (old.get(key), new.get(key))
        if options is not None
    }
    return [
        stack.stack
        for stack in stacks
        if settings.file_of(stack.stack) in files or teams.intersection(stack.team_names)
    ]


def fleet_of(own: Settings, root: Path) -> tuple[Settings, ...]:
    """The fleet of a running program's stack: its own settings as given, those of the others from their files.

    `root` is the folder with Pulumi.yaml (pulumi.get_root_directory()).

    Raises:
        ProblemsError: what is wrong in another stack's file.
    """
    others = [other for other in Project(root).stacks() if other.stack != own.stack and other.api_url == own.api_url]
    return in_order([own, *others])


def in_order(stacks: Iterable[Settings]) -> tuple[Settings, ...]:
    """Sorted by name, numbers in it by their value."""
    return tuple(sorted(stacks, key=lambda stack: [_part(part) for part in re.split(r"(\d+)", stack.stack)]))


def _part(text: str) -> tuple[int, str]:
    return (int(text), "") if text.isdecimal() else (0, text)
