"""`move`, `rename`: a tenant in a stack's state is known otherwise, and what exists at DigitalOcean stays as it is.

Interrupted at any moment, either command is finished by running it again.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from meltanodata.cli import recovery
from meltanodata.cli.context import edited, located, project, read
from meltanodata.cli.options import FleetStack, tenant_names
from meltanodata.config import (
    config_commands,
    document,
    edit,
    object_names,
    rules,
    settings,
    settings_loading,
    stack_file,
)
from meltanodata.config.options import name_problem
from meltanodata.engine import pulumi_cli, team_move, tenant_rename
from meltanodata.engine.stack_state import StackState
from meltanodata.errors import Problem, ProblemsError, UserError
from meltanodata.text import count, did_you_mean, listing, show

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from meltanodata.config.fleet import Fleet, Row
    from meltanodata.config.settings import Settings
    from meltanodata.config.stacks import Project
    from meltanodata.engine.stack_state import TenantState

app = typer.Typer()


@app.command()
def move(
    team: Annotated[str, typer.Argument(metavar="TEAM", help="A database team. Its tenants move with it.")],
    to: Annotated[str, typer.Option(metavar="STACK", help="The stack that will own the team.")],
    to_passphrase_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="That stack's passphrase, if it differs from the one in the environment.", exists=True
        ),
    ] = None,
) -> None:
    """Move a database team with its tenants to another stack.

    Edits both stacks' states and settings. Nothing changes at DigitalOcean. If it is interrupted, run it again. A new
    stack gets the settings of the stack that the team comes from.

    \b
    pulumi stack init prod-2
    meltanodata move "MeltanoData DBs 2" --to prod-2
    """
    root = project()
    stacks = root.stacks()
    _refuse_unknown_team(team, root, stacks)
    if not (root.root / settings.file_of(to)).is_file():
        raise UserError(f"there is no stack {show(to)} yet. Create it, then run this again: pulumi stack init {to}")
    source = _source(team, to, stacks, root)
    if source is None:
        print(f"{team} belongs to {to}, and no other stack's state has any of it: there is nothing to move.")
        return
    _Move(root, team, source, to, to_passphrase_file).run(stacks)


def _refuse_unknown_team(team: str, root: Project, stacks: Sequence[Settings]) -> None:
    """Stop unless there is such a team."""
    names = [name for stack in stacks for name in stack.team_names]
    if team in names:
        return
    for stack in stacks:
        for row in read(root.tenants_file(stack))[1].rows:
            if row.key == team:
                raise UserError(
                    f"{team} is a tenant. A stack owns whole database teams, and a tenant's team never changes, so a"
                    f" tenant moves only with its team: meltanodata move {show(row.options.database_team)} --to STACK"
                )
    raise UserError(f"there is no team {show(team)}.{did_you_mean(team, names)} The teams are: {listing(names, 'and')}")


def _source(team: str, to: str, stacks: Sequence[Settings], root: Project) -> str | None:
    """The stack that a team comes from: its settings still list the team, or its state has some of it."""
    urls = {stack.stack: stack.api_url for stack in stacks}
    others = [stack for stack in stacks if stack.stack != to and stack.api_url == urls.get(to, stack.api_url)]
    for stack in others:
        if team in stack.team_names:
            return stack.stack
    for stack in others:
        if team_move.holds(pulumi_cli.state(stack.stack, root.root), team):
            return stack.stack
    return None


@dataclass(frozen=True)
class _Move:
    """A team on its way.

    The target's state gets the tenants before the source's loses them, so that at each moment a state has them. The
    files come last. What the programs of both stacks do meanwhile: see inventory/ownership.py.
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
        texts = self._texts(stacks)  # finds mistakes in files and passphrases before anything is written
        before = pulumi_cli.export(self.source, root, show_secrets=True)
        target = pulumi_cli.export(self.to, root)
        state = StackState(before)
        _refuse_unfinished(self.source, state)
        _refuse_unfinished(self.to, StackState(target))
        if team_move.holds(state, self.team):
            (droplet_team,) = {stack.droplet_team.name for stack in stacks if stack.stack == self.source}
            joined = team_move.joined(before, target, self.team, self.to, droplet_team)
            left = team_move.without(before, self.team)
            keys = team_move.tenants(state, self.team)
            names = ", ".join(keys) or "none"
            print(f"{self.team}: moving {count(len(keys), 'tenant')} from {self.source} to {self.to} ({names})")
            pulumi_cli.replace_state(self.to, root, joined, self.passphrase_file)
            print(f"  added to the state of {self.to}", flush=True)
            _refuse_changed(self.source, pulumi_cli.export(self.source, root, show_secrets=True), before)
            pulumi_cli.replace_state(self.source, root, left)
            print(f"  removed from the state of {self.source}", flush=True)
        for stack, text in texts.items():
            path = root / settings.file_of(stack)
            edit.write(path, text)
            print(f"  edited {document.display(path)}", flush=True)
        print(
            "Commit and merge both stacks' files now: deployments with the old ones are refused. These plans must show"
            " no changes:\n"
            f"  meltanodata plan --stack {self.to}\n"
            f"  meltanodata plan --stack {self.source}"
        )

    def _texts(self, stacks: Sequence[Settings]) -> dict[str, str]:
        """The new texts of the stacks' files, the target's first; without those that are right already.

        Raises:
            ProblemsError: a file cannot be edited, or the stacks would not form one fleet afterwards.
            UserError: a passphrase is missing or wrong, or the source would be left without a team.
        """
        before = {stack.stack: stack for stack in stacks}
        source = document.read(self.project.root / settings.file_of(self.source))
        target = document.read(self.project.root / settings.file_of(self.to))
        texts: dict[str, str] = {}
        if self.to not in before:
            texts[self.to] = stack_file.new_stack(source, target, stack_file.team_entry(source, self.team))
        elif self.team not in before[self.to].team_names:
            texts[self.to] = stack_file.with_team(target, stack_file.team_entry(source, self.team))
        if self.team in before[self.source].team_names:
            if len(before[self.source].team_names) == 1:
                raise UserError(f"{self.team} is the last team of {self.source}, and a stack needs at least one")
            texts[self.source] = stack_file.without_team(source, self.team)
        after = before | {stack: self._parsed(stack, text) for stack, text in texts.items()}
        same_api = [stack for stack in after.values() if stack.api_url == before[self.source].api_url]
        if problems := list(rules.stacks_agree(same_api)):
            raise ProblemsError(problems)
        if self.to in texts:
            secrets = self._secrets(after[self.to], new=self.to not in before)
            texts[self.to] = self._encrypted(texts[self.to], secrets)
        return texts

    def _secrets(self, target: Settings, *, new: bool) -> dict[str, str]:
        """The source's secrets that the target's file needs, by Pulumi's notation."""
        config = pulumi_cli.config(self.source, self.project.root)
        key = config_commands.key
        tokens = json.loads(config.get(key(("tokens",)), "{}"))
        teams, others = (target.teams, config_commands.SECRET_FILES) if new else ([self.team], ())
        secrets = {key(("tokens", team)): tokens[team] for team in teams if team in tokens}
        names = [key((name,)) for name in others]
        return secrets | {name: config[name] for name in names if name in config}

    @staticmethod
    def _parsed(stack: str, text: str) -> Settings:
        return settings_loading.parse(document.parse(text.encode(), settings.file_of(stack)), stack)

    def _encrypted(self, text: str, secrets: dict[str, str]) -> str:
        """A text of the target's file, with the secrets in it."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, settings.file_of(self.to))
            file.write_text(text, encoding="utf-8")
            pulumi_cli.set_secrets(self.to, self.project.root, file, secrets, self.passphrase_file)
            return file.read_text(encoding="utf-8")


@app.command()
def rename(
    old: Annotated[str, typer.Argument(metavar="OLD", help="The tenant's name.", autocompletion=tenant_names)],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The tenant's new name.")],
    stack: FleetStack = None,
) -> None:
    """Rename a tenant.

    Edits its stack's state and the fleet file. Nothing changes at DigitalOcean: host name, droplet and database keep
    their names, which the entry's `adopt` states from then on. If it is interrupted, run it again.

    \b
    meltanodata rename acme acme2
    """
    # The state comes first. From a state with the new name and a file with the old one, or the other way round, the
    # program adopts nothing and destroys nothing: see `ownership.taken`.
    if problem := name_problem(new):
        raise UserError(f"{show(new)}: {problem}")
    stacks, path = located(stack)
    if new in object_names.names_of_no_tenant(stacks):
        raise UserError(f"{new}: the setting no_tenants lists this name for another purpose. Choose another one")
    source, loaded = read(path)
    root, row = project(), _row(loaded, old, new)
    own = _owner(row, stacks)
    recovery.unlock(own.stack, root)
    exported = pulumi_cli.export(own.stack, root.root)
    state = StackState(exported)
    tenant = _tenant_in(state, old, new, own)
    _refuse_unfinished(own.stack, state)
    if missing := tenant_rename.missing(tenant):
        raise UserError(
            f"{tenant.name} is not finished: the state of {own.stack} does not have its {listing(missing, 'and')}."
            f" {_finish(own.stack)}"
        )
    if row.key != tenant.name:
        _refuse_others(tenant, row, own)
    text = None
    if row.key == old:
        # Finds mistakes in the file before anything is written.
        text = edit.rename(source, old, new, tenant_rename.adopted(tenant))
        edited(source, loaded, text, stacks)
    if tenant.name == new and text is None:
        print(f"{old} is already called {new}, in {document.display(path)} and in the state of {own.stack}.")
        return
    print(f"Renaming {old} to {new}, in {own.stack}")
    if tenant.name == old:
        renamed = tenant_rename.renamed(exported, old, new)
        _refuse_changed(own.stack, pulumi_cli.export(own.stack, root.root), exported)
        pulumi_cli.replace_state(own.stack, root.root, renamed)
        print(f"  renamed in the state of {own.stack}", flush=True)
    if text is not None:
        edit.write(path, text)
        print(f"  edited {document.display(path)}", flush=True)
    _print_next(own, row, path, old, new)


def _print_next(own: Settings, row: Row, path: Path, old: str, new: str) -> None:
    if old in own.rollout.canaries:
        setting = "rollout", "canaries", own.rollout.canaries.index(old)
        print(
            f"{settings.file_of(own.stack)} lists {old} as a canary. Set the new name:\n"
            f"  {config_commands.set_plain(own.stack, setting, new)}"
        )
    host = f"{object_names.record_of(row.key, row.options)}.{own.domain}"
    print(
        f"The instance stays at https://{host}. Commit and merge {document.display(path)} now: deployments with the old"
        " name are refused. This plan must show no changes:\n"
        f"  meltanodata plan --stack {own.stack}"
    )


def _row(loaded: Fleet, old: str, new: str) -> Row:
    """The tenant's entry, under its old name or, if already edited, under its new one."""
    rows = {row.key: row for row in loaded.rows}
    if old == new:
        raise UserError(f"{old} is already its name")
    if old in rows and new in rows:
        raise ProblemsError([Problem(loaded.file, *rows[new].place, f"{new} exists already; {old} needs another name")])
    if (row := rows.get(old) or rows.get(new)) is None:
        raise UserError(f"{loaded.file}: there is no tenant {show(old)}.{did_you_mean(old, rows)}")
    return row


def _owner(row: Row, stacks: Sequence[Settings]) -> Settings:
    """The stack that owns a tenant's database team."""
    for stack in stacks:
        if row.options.database_team in stack.team_names:
            return stack
    raise UserError(f"{row.key}: no stack has its database team. Run: meltanodata check")


def _tenant_in(state: StackState, old: str, new: str, own: Settings) -> TenantState:
    """The tenant as the state has it, under either name."""
    tenants = [state.tenants[key] for key in (old, new) if key in state.tenants]
    if len(tenants) == 1:
        return tenants[0]
    if tenants:
        raise UserError(
            f"the state of {own.stack} has both {old} and {new}, so they are two tenants. Choose a name for {old} that"
            " no tenant has"
        )
    raise UserError(
        f"the state of {own.stack} does not have {old}: it is not deployed or adopted yet. Rename a tenant that is not"
        " deployed by editing its entry"
    )


def _refuse_others(tenant: TenantState, row: Row, own: Settings) -> None:
    """Stop if the entry does not name this tenant's objects, since it may be another tenant's."""
    if names := tenant_rename.misnamed(tenant, row.key, row.options, own.domain):
        raise UserError(
            f"the entry of {row.key} does not name the objects that the state of {own.stack} has for {tenant.name}, so"
            f" it may be another tenant. If it is the same, add to its adopt: {', '.join(names)}. Then run this again"
        )


def _refuse_unfinished(stack: str, state: StackState) -> None:
    if left := state.unfinished:
        raise UserError(f"a run of the stack {stack} was interrupted ({', '.join(left)}). {_finish(stack)}")


def _finish(stack: str) -> str:
    return f"Finish it first: meltanodata up --stack {stack}"


def _refuse_changed(stack: str, now: Mapping[str, Any], before: Mapping[str, Any]) -> None:
    if now != before:
        raise UserError(f"the state of {stack} changed meanwhile: a deployment is running. Run this again afterwards.")
