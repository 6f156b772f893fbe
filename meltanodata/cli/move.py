"""`move`: a database team with its tenants from one stack to another."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from meltanodata.cli import recovery
from meltanodata.config import document, edit, rules, settings, settings_loading, stack_file
from meltanodata.config.config_commands import SECRET_FILES, key
from meltanodata.config.stacks import Project
from meltanodata.engine import pulumi_cli, team_move
from meltanodata.engine.stack_state import StackState
from meltanodata.errors import ProblemsError, UserError
from meltanodata.text import did_you_mean, listing, show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meltanodata.config.settings import Settings


def move(team: str, to: str, *, passphrase_file: Path | None) -> None:
    """See `cli.move`."""
    project = Project.around(Path.cwd())
    stacks = project.stacks()
    _known(team, project, stacks)
    if not (project.root / settings.file_of(to)).is_file():
        raise UserError(f"there is no stack {show(to)} yet; make it, then run this again: pulumi stack init {to}")
    source = _source(team, to, stacks, project)
    if source is None:
        print(f"{team} belongs to {to}, and no other stack holds anything of it: there is nothing to move.")
        return
    _Move(project, team, source, to, passphrase_file).run(stacks)


def _known(team: str, project: Project, stacks: Sequence[Settings]) -> None:
    """Whether there is such a team.

    Raises:
        UserError: there is none; a tenant, say.
    """
    names = [it.name for stack in stacks for it in stack.database_teams]
    if team in names:
        return
    for stack in stacks:
        for row in project.tenants(project.tenants_file(stack)).rows:
            if row.key == team:
                raise UserError(
                    f"{team} is a tenant. A stack owns whole database teams, and a tenant's team never changes, so a"
                    f" tenant moves with its team alone: meltanodata move {show(row.options.database_team)} --to STACK"
                )
    raise UserError(f"there is no team {show(team)}.{did_you_mean(team, names)} There are: {listing(names, 'and')}")


def _source(team: str, to: str, stacks: Sequence[Settings], project: Project) -> str | None:
    """The stack that a team comes from: it lists the team still, or its state holds something of it."""
    urls = {stack.stack: stack.api_url for stack in stacks}
    others = [stack for stack in stacks if stack.stack != to and stack.api_url == urls.get(to, stack.api_url)]
    for stack in others:
        if team in stack.team_names:
            return stack.stack
    for stack in others:
        if team_move.holds(pulumi_cli.state(stack.stack, project.root), team):
            return stack.stack
    return None


@dataclass(frozen=True)
class _Move:
    """A team on its way. Broken off at any moment, it is finished by running it again.

    The target's state takes the tenants in before the source's lets go of them, so that at no moment nobody knows them;
    the files come last. What the programs of both stacks do meanwhile: see owners.py.
    """

    project: Project
    team: str
    source: str
    to: str
    passphrase_file: Path | None

    def run(self, stacks: Sequence[Settings]) -> None:
        """Move what has not been moved yet."""
        root = self.project.root
        for stack in (self.source, self.to):
            recovery.unlock(stack, self.project)
        texts = self._texts(stacks)  # whatever is wrong with files or passphrases is found before anything is written
        before = pulumi_cli.export(self.source, root, show_secrets=True)
        target = pulumi_cli.export(self.to, root)
        state = StackState(before)
        self._refuse_unfinished({self.source: state, self.to: StackState(target)})
        if team_move.holds(state, self.team):
            (droplet_team,) = {stack.droplet_team.name for stack in stacks if stack.stack == self.source}
            joined = team_move.joined(before, target, self.team, self.to, droplet_team)
            left = team_move.without(before, self.team)
            keys = team_move.tenants(state, self.team)
            print(f"{self.team}: {len(keys)} tenants go from {self.source} to {self.to} ({', '.join(keys) or 'none'})")
            pulumi_cli.replace_state(self.to, root, joined, self.passphrase_file)
            print(f"  the state of {self.to} has them", flush=True)
            if pulumi_cli.export(self.source, root, show_secrets=True) != before:
                raise UserError(f"{self.source} has changed meanwhile: somebody deploys. Run this again afterwards.")
            pulumi_cli.replace_state(self.source, root, left)
            print(f"  the state of {self.source} has let go of them", flush=True)
        for stack, text in texts.items():
            path = root / settings.file_of(stack)
            edit.write(path, text)
            print(f"  {document.display(path)} is edited", flush=True)
        print(
            "Commit the files of both stacks and merge them now: from the older ones a deployment refuses to work."
            " Nothing must change:\n"
            f"  meltanodata plan --stack {self.to}\n"
            f"  meltanodata plan --stack {self.source}"
        )

    def _refuse_unfinished(self, states: dict[str, StackState]) -> None:
        for stack, state in states.items():
            if left := state.unfinished:
                raise UserError(
                    f"a run of the stack {stack} was ended in the middle of its work ({', '.join(left)}). Finish it"
                    f" first: meltanodata up --stack {stack}"
                )

    def _texts(self, stacks: Sequence[Settings]) -> dict[str, str]:
        """The new texts of the stacks' files, the target's first; without those that are right already.

        Raises:
            ProblemsError: a file cannot be edited, or the stacks would not be one fleet afterwards.
            UserError: a passphrase is missing or wrong, or the source would be left without a team.
        """
        known = {stack.stack: stack for stack in stacks}
        source = document.read(self.project.root / settings.file_of(self.source))
        target = document.read(self.project.root / settings.file_of(self.to))
        texts: dict[str, str] = {}
        if self.to not in known:
            texts[self.to] = stack_file.new_stack(source, target, stack_file.team_entry(source, self.team))
        elif self.team not in known[self.to].team_names:
            texts[self.to] = stack_file.with_team(target, stack_file.team_entry(source, self.team))
        if self.team in known[self.source].team_names:
            if len(known[self.source].team_names) == 1:
                raise UserError(f"{self.team} is the last team of {self.source}, and a stack has at least one")
            texts[self.source] = stack_file.without_team(source, self.team)
        after = known | {stack: self._parsed(stack, text) for stack, text in texts.items()}
        fleet = [stack for stack in after.values() if stack.api_url == known[self.source].api_url]
        if problems := list(rules.stacks_agree(fleet)):
            raise ProblemsError(problems)
        if self.to in texts:
            secrets = self._secrets(after[self.to], new=self.to not in known)
            texts[self.to] = self._encrypted(texts[self.to], secrets)
        return texts

    def _secrets(self, target: Settings, *, new: bool) -> dict[str, str]:
        """What the target's file needs of the source's secrets, by Pulumi's notation."""
        config = pulumi_cli.config(self.source, self.project.root)
        tokens = json.loads(config.get(key(("tokens",)), "{}"))
        teams, others = (target.teams, SECRET_FILES) if new else ([self.team], ())
        found = {key(("tokens", team)): tokens[team] for team in teams if team in tokens}
        names = [key((name,)) for name in others]
        return found | {name: config[name] for name in names if name in config}

    @staticmethod
    def _parsed(stack: str, text: str) -> Settings:
        return settings_loading.parse(document.parse(text.encode(), settings.file_of(stack)), stack)

    def _encrypted(self, text: str, secrets: dict[str, str]) -> str:
        """A text of the target's file with the secrets in it."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, settings.file_of(self.to))
            file.write_text(text, encoding="utf-8")
            pulumi_cli.set_secrets(self.to, self.project.root, file, secrets, self.passphrase_file)
            return file.read_text(encoding="utf-8")
