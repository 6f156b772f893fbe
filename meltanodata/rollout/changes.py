"""What a branch changes against its base.

Both sides are read as data, from git or from the disk, and nothing of them is run, so the code of one side can judge
the other. In a workflow that is the base branch's code.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from meltanodata.config import document, fleet, influence, settings, settings_loading
from meltanodata.config.document import Document
from meltanodata.config.influence import Influences, Kind, SettingsChange
from meltanodata.config.revisions import Revision, Tree, Worktree
from meltanodata.config.settings import NAMESPACE, Guard, Settings
from meltanodata.config.stacks import fleet_among, in_order, project_option, settings_in, touched
from meltanodata.errors import Problem, ProblemsError
from meltanodata.rollout import guard
from meltanodata.text import count, first_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meltanodata.config.fleet import Fleet

_SHOWN_WITH_VALUES = ("api_url", "tenants_file", "guard")
"""The settings that decide which API a plan is about, which tenants count as named, and what the guard stops."""

_LINK = (
    "it is a symbolic link, and a review shows where a link leads, not what the file contains. Keep the file itself"
    " here; a fleet file may be elsewhere: set tenants_file"
)


@dataclass(frozen=True)
class Side:
    """The project on one side of a change."""

    tree: Tree
    root: Path
    """The folder with Pulumi.yaml."""

    @property
    def program(self) -> Path:
        """See `stacks.Project.program`."""
        return self.root / (project_option(self._document(self.root / "Pulumi.yaml"), "main") or "")

    def settings(self, stack: str) -> Settings | None:
        """A stack's settings; None for one that has none on this side.

        Raises:
            ProblemsError: what is wrong with them.
        """
        source = self.stack_document(stack)
        if source is None or not settings_loading.has_settings(source):
            return None
        return settings_loading.parse(source, stack)

    def stacks(self) -> tuple[Settings, ...]:
        """The stacks that have settings.

        Raises:
            ProblemsError: what is wrong in any of their files.
        """
        files = self.tree.stack_files(self.root)
        return settings_in({settings.stack_of(Path(file)): self._document(self.root / file) for file in files})

    def stacks_then(self) -> tuple[Settings, ...]:
        """The stacks whose settings today's program can read: an older program may have had other settings."""
        readable = []
        for file in self.tree.stack_files(self.root):
            with suppress(ProblemsError):
                readable.append(self.settings(settings.stack_of(Path(file))))
        return in_order(own for own in readable if own is not None)

    def stack_document(self, stack: str) -> Document | None:
        """A stack's file; None if there is none."""
        path = self.root / settings.file_of(stack)
        return None if self.tree.read(path) is None else self._document(path)

    def fleet_file(self, own: Settings) -> Path:
        """The fleet file of a stack."""
        return Path(os.path.normpath(self.program / own.tenants_file))

    def has(self, file: Path) -> bool:
        """Whether there is such a file."""
        return self.tree.read(file) is not None

    def fleet(self, file: Path) -> Fleet:
        """A fleet file.

        Raises:
            ProblemsError: it does not exist, or is not well formed.
        """
        loaded, problems = fleet.parse(self._document(file))
        if problems:
            raise ProblemsError(problems)
        return loaded

    def fleet_then(self, file: Path) -> Fleet:
        """What is readable of a fleet file; no tenants if it does not exist."""
        return fleet.parse(self._document(file))[0]

    def _document(self, path: Path) -> Document:
        raw = self.tree.read(path)
        name = f"{self.tree.name}:{path.name}" if self.tree.name else document.display(path)
        if raw is None:
            return Document(name, "", None, [Problem(name, 0, 0, "there is no such file")])
        if self.tree.is_link(path):
            return Document(name, "", None, [Problem(name, 0, 0, _LINK)])
        return document.parse(raw, name)


@dataclass(frozen=True)
class Changes:
    """What differs between two revisions, or between one and the working tree."""

    files: frozenset[str]
    """Relative to the project's folder."""
    base: Side
    """The base branch."""
    before: Side
    """What the change is compared with: without what happened on the base besides."""
    after: Side
    links: Mapping[str, str]
    """The repository's symbolic links on both sides, see `influence.linked`."""

    @classmethod
    def since(cls, base: str, root: Path, head: str | None = None) -> Changes:
        """What a branch changes.

        Args:
            base: the base branch's revision.
            root: the project's folder.
            head: the branch, of which the merge into the base is judged; None for what is checked out, uncommitted
                changes included.

        Raises:
            UserError: git has no such revision, or the two conflict.
        """
        goal = Revision.of(base, root)
        if head is None:
            fork, here = goal.fork(), Revision.of("HEAD", root)
            links = {**fork.links(), **here.links()}
            return cls(fork.changed(), Side(goal, root), Side(fork, root), Side(Worktree(), root), links)
        merged = goal.with_merged(Revision.of(head, root))
        links = {**goal.links(), **merged.links()}
        return cls(goal.changed(merged), Side(goal, root), Side(goal, root), Side(merged, root), links)

    def thresholds(self, stack: str) -> Guard:
        """The guard's thresholds on the base branch; for a new stack the defaults."""
        own = self.base.settings(stack)
        return Guard() if own is None else own.guard

    def renamed(self, stack: str) -> str | None:
        """How the stack's fleet file was replaced by another, in words; None if it is the same file."""
        old, new = self.before.settings(stack), self.after.settings(stack)
        if old is None or new is None:
            return None
        file, now = self.before.fleet_file(old), self.after.fleet_file(new)
        if file == now and (self.after.has(file) or not self.before.has(file)):
            return None
        names = influence.name(self._relative(file)), influence.name(self._relative(now))
        return f"{names[0]} is removed" if file == now else f"{names[1]} instead of {names[0]}"

    def named(self, stack: str) -> frozenset[str]:
        """The tenants that the change names: those whose entries differ. None if the fleet file was replaced.

        Raises:
            ProblemsError: the fleet file is not well formed.
        """
        own = self.after.settings(stack)
        if own is None or self.renamed(stack) is not None:
            return frozenset()
        file = self.after.fleet_file(own)
        return guard.named(_entries(self.before.fleet_then(file)), _entries(self.after.fleet(file)))

    def demos(self, stack: str) -> frozenset[str]:
        """The tenants that are demos on the base branch."""
        own = self.base.settings(stack)
        rows = () if own is None else self.base.fleet_then(self.base.fleet_file(own)).rows
        return frozenset(row.key for row in rows if row.options.demo)

    def stacks(self, stack: str | None = None) -> tuple[Settings, ...]:
        """The stacks of the fleet after the change, and those from before that now have another API.

        Args:
            stack: see `stacks.Project.fleet`.

        Raises:
            UserError: see there.
        """
        now = {own.stack: own for own in self.after.stacks()}
        then = {own.stack for own in self._fleet_then(stack)}
        fleet_now = fleet_among(list(now.values()), stack) if now else ()
        return in_order({own.stack: own for own in [*fleet_now, *(now[it] for it in then if it in now)]}.values())

    def touched(self, stack: str | None = None) -> list[str]:
        """The stacks whose plan the change can alter.

        Raises:
            ProblemsError: the fleet file is not well formed.
        """
        stacks = self.stacks(stack)
        if not stacks:
            return []
        if any(self.renamed(own.stack) for own in stacks):
            return [own.stack for own in stacks]
        file = self.after.fleet_file(stacks[0])
        return touched(stacks, self.before.fleet_then(file), self.after.fleet(file), self._kinds())

    def dropped(self, stack: str | None = None) -> dict[str, tuple[str, ...]]:
        """The stacks whose file is removed, with the tenants that they had."""
        now = {own.stack for own in self.after.stacks()}
        return {
            own.stack: tuple(
                row.key
                for row in self.before.fleet_then(self.before.fleet_file(own)).rows
                if row.options.database_team in {team.name for team in own.database_teams}
            )
            for own in self._fleet_then(stack)
            if own.stack not in now
        }

    def influences(self) -> Influences:
        """What the change edits in the program, settings and workflows."""
        kinds = self._kinds()
        by_kind = {kind: tuple(sorted(file for file, its in kinds.items() if its is kind)) for kind in Kind}
        return Influences(
            program=by_kind[Kind.PROGRAM],
            settings=tuple(self._settings_change(file) for file in by_kind[Kind.SETTINGS]),
            workflows=by_kind[Kind.WORKFLOW],
        )

    def _fleet_then(self, stack: str | None) -> tuple[Settings, ...]:
        then = self.before.stacks_then()
        if stack is not None and stack not in {own.stack for own in then}:
            return ()
        return fleet_among(then, stack) if then else ()

    def _kinds(self) -> Mapping[str, Kind]:
        """Each file that differs, with its kind. Only the fleet file from before the change counts as one."""
        side = self.before if self.before.tree.stack_files(self.base.root) else self.after
        files = {self._relative(side.fleet_file(own)) for own in side.stacks_then()}
        program = self._relative(side.program)
        linked = influence.linked(self.links, files, program)
        return {file: influence.kind(file, files, program, linked) for file in self.files}

    def _relative(self, path: Path) -> str:
        return os.path.relpath(path, self.base.root)

    def _settings_change(self, file: str) -> SettingsChange:
        stack = settings.stack_of(Path(file))
        then, now = (_config(side.stack_document(stack)) for side in (self.before, self.after))
        if now is None:
            return SettingsChange(file, ("removed",))
        if then is None:
            return SettingsChange(file, ("new",))
        differing = [name for name in sorted({*then, *now}) if then.get(name) != now.get(name)]
        differing.sort(key=lambda name: name not in _SHOWN_WITH_VALUES)  # what matters most is not left out
        return SettingsChange(file, tuple(_described(name, then.get(name), now.get(name)) for name in differing))


def _described(name: str, then: object, now: object) -> str:
    if name not in _SHOWN_WITH_VALUES:
        return influence.name(name)
    words = ("its default" if value is None else influence.name(str(value)) for value in (then, now))
    return f"{name}: {' → '.join(words)}"


def _config(source: Document | None) -> dict[str, object] | None:
    """A stack file's settings as written; None without a file, and nothing for a malformed one."""
    if source is None:
        return None
    config = settings_loading.config_of(source)
    return {key.removeprefix(f"{NAMESPACE}:"): value.plain() for key, value in config.items()}


def _entries(loaded: Fleet) -> dict[str, object]:
    return {row.key: row.options for row in loaded.rows}


def summary_of_dropped(dropped: Mapping[str, tuple[str, ...]]) -> list[str]:
    """The consequences of a removed stack file, a line for each."""
    return [
        f"{stack}: its settings are removed, so it has no plan. Its resources stay, cost money and are no longer"
        f" maintained: {_tenants(tenants)} by the previous fleet file. To keep them, restore the settings. To delete"
        " them, restore the settings and remove only the tenants' entries; once that is deployed, remove the settings."
        for stack, tenants in dropped.items()
    ]


def _tenants(tenants: tuple[str, ...]) -> str:
    return f"{count(len(tenants), 'tenant')} ({first_of(tenants, 10)})" if tenants else "no tenant"
