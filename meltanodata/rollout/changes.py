"""What a branch changes against its base.

Both sides are read as data, from git or from the disk, and nothing of them is run, so the code of one side can judge
the other. In a workflow that is the base branch's code.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from meltanodata.config import influence, settings, settings_loading
from meltanodata.config.influence import Influences, Kind, SettingsChange
from meltanodata.config.revisions import Revision
from meltanodata.config.settings import NAMESPACE, Guard
from meltanodata.config.stacks import Project, fleet_among, in_order, touched
from meltanodata.rollout import guard
from meltanodata.text import count, first_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meltanodata.config.document import Document
    from meltanodata.config.settings import Settings

_SHOWN_WITH_VALUES = ("api_url", "tenants_file", "guard")
"""The settings that decide which API a plan is about, which tenants count as named, and what the guard stops."""


@dataclass(frozen=True)
class Changes:
    """What differs between two revisions, or between one and the working tree."""

    files: frozenset[str]
    """Relative to the project's folder."""
    base: Project
    """The base branch."""
    before: Project
    """What the change is compared with: without what happened on the base besides."""
    after: Project
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
            return cls(fork.changed(), Project(root, goal), Project(root, fork), Project(root), links)
        merged = goal.with_merged(Revision.of(head, root))
        links = {**goal.links(), **merged.links()}
        return cls(goal.changed(merged), Project(root, goal), Project(root, goal), Project(root, merged), links)

    def thresholds(self, stack: str) -> Guard:
        """The guard's thresholds on the base branch; for a new stack the defaults."""
        own = self.base.settings(stack)
        return Guard() if own is None else own.guard

    def renamed(self, stack: str) -> str | None:
        """How the stack's fleet file was replaced by another, in words; None if it is the same file."""
        old, new = self.before.settings(stack), self.after.settings(stack)
        if old is None or new is None:
            return None
        file, now = self.before.tenants_file(old), self.after.tenants_file(new)
        then_name, name = self._relative(file), self._relative(now)
        if then_name != name:
            return f"{influence.name(name)} instead of {influence.name(then_name)}"
        is_gone = self.before.tree.has(file) and not self.after.tree.has(now)
        return f"{influence.name(name)} is removed" if is_gone else None

    def named(self, stack: str) -> frozenset[str]:
        """The tenants that the change names: those whose entries differ. None if the fleet file was replaced.

        Raises:
            ProblemsError: the fleet file is not well formed.
        """
        own = self.after.settings(stack)
        if own is None or self.renamed(stack) is not None:
            return frozenset()
        file = self.after.tenants_file(own)
        return guard.named(self.before.tenants_then(file).options, self.after.tenants(file).options)

    def demos(self, stack: str) -> frozenset[str]:
        """The tenants that are demos on the base branch."""
        own = self.base.settings(stack)
        rows = () if own is None else self.base.tenants_then(self.base.tenants_file(own)).rows
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
        file = self.after.tenants_file(stacks[0])
        return touched(stacks, self.before.tenants_then(file), self.after.tenants(file), self._kinds())

    def dropped(self, stack: str | None = None) -> dict[str, tuple[str, ...]]:
        """The stacks whose file is removed, with the tenants that they had."""
        now = {own.stack for own in self.after.stacks()}
        return {
            own.stack: tuple(
                row.key
                for row in self.before.tenants_then(self.before.tenants_file(own)).rows
                if row.options.database_team in own.team_names
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
        files = {self._relative(side.tenants_file(own)) for own in side.stacks_then()}
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
