"""`rename`: a tenant under another name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from meltanodata.cli import recovery
from meltanodata.cli.context import located, read
from meltanodata.config import config_commands, document, edit, fleet, object_names, rules, settings
from meltanodata.config.options import name_problem
from meltanodata.config.stacks import Project
from meltanodata.engine import pulumi_cli, tenant_rename
from meltanodata.engine.stack_state import StackState
from meltanodata.errors import Problem, ProblemsError, UserError
from meltanodata.text import did_you_mean, listing, show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meltanodata.config.document import Document
    from meltanodata.config.fleet import Fleet, Row
    from meltanodata.config.settings import Settings
    from meltanodata.engine.stack_state import TenantState


def rename(old: str, new: str, stack: str | None) -> None:
    """See `cli.rename`. The state comes first: broken off at any moment, it is finished by running it again.

    From a state with the new name and a file with the old one, or the other way round, the program takes over nothing
    and destroys nothing: see `owners.taken`.

    Raises:
        UserError: there is no such tenant, its new name is taken, or its stack is at work.
        ProblemsError: the file is not well formed, or would not be right.
    """
    if problem := name_problem(new):
        raise UserError(f"{show(new)}: {problem}")
    stacks, path = located(stack, None)
    source, loaded = read(path)
    project, row = Project.around(Path.cwd()), _row(loaded, old, new)
    own = _stack(row, stacks)
    recovery.unlock(own.stack, project)
    exported = pulumi_cli.export(own.stack, project.root)
    state = StackState(exported)
    tenant = _known(state, old, new, own)
    _refuse_unfinished(state, tenant, own)
    if row.key != tenant.name:
        _refuse_others(tenant, row, own)
    text = None
    if row.key == old:
        # Whatever is wrong with the file is found before anything is written.
        text = edit.rename(source, old, new, tenant_rename.adopted(tenant))
        _right(source, loaded, text, stacks)
    if tenant.name == new and text is None:
        print(f"{old} is called {new} already, in {document.display(path)} and in the state of {own.stack}.")
        return
    print(f"{old} becomes {new}, in {own.stack}")
    if tenant.name == old:
        changed = tenant_rename.renamed(exported, old, new)
        if pulumi_cli.export(own.stack, project.root) != exported:
            raise UserError(f"{own.stack} has changed meanwhile: somebody deploys. Run this again afterwards.")
        pulumi_cli.replace_state(own.stack, project.root, changed)
        print(f"  the state of {own.stack} has it under the new name", flush=True)
    if text is not None:
        edit.write(path, text)
        print(f"  {document.display(path)} is edited", flush=True)
    _tell(own, row, path, old, new)


def _tell(own: Settings, row: Row, path: Path, old: str, new: str) -> None:
    """What there is to do besides."""
    if old in own.rollout.canaries:
        setting = "rollout", "canaries", own.rollout.canaries.index(old)
        print(
            f"{settings.file_of(own.stack)} has {old} as a canary; give it the new name:\n"
            f"  {config_commands.set_plain(own.stack, setting, new)}"
        )
    host = f"{object_names.record_of(row.key, row.options)}.{own.domain}"
    print(
        f"The instance stays at https://{host}. Commit {document.display(path)} and merge it now: with the old name a"
        " deployment refuses to work. Nothing must change:\n"
        f"  meltanodata plan --stack {own.stack}"
    )


def _row(loaded: Fleet, old: str, new: str) -> Row:
    """The tenant's entry, under its old name or, edited already, under its new one."""
    rows = {row.key: row for row in loaded.rows}
    if old == new:
        raise UserError(f"{old} is called so already")
    if old in rows and new in rows:
        raise ProblemsError(
            [Problem(loaded.file, *rows[new].place, f"{new} is there already; {old} needs another name")]
        )
    if (row := rows.get(old) or rows.get(new)) is None:
        raise UserError(f"{loaded.file}: there is no tenant {show(old)}.{did_you_mean(old, rows)}")
    return row


def _stack(row: Row, stacks: Sequence[Settings]) -> Settings:
    """The stack whose tenant it is."""
    for stack in stacks:
        if row.options.database_team in stack.team_names:
            return stack
    raise UserError(f"{row.key}: no stack has its database team; meltanodata check says more")


def _known(state: StackState, old: str, new: str, own: Settings) -> TenantState:
    """The tenant as the state has it, under either name."""
    tenants = [state.tenants[key] for key in (old, new) if key in state.tenants]
    if len(tenants) == 1:
        return tenants[0]
    if tenants:
        raise UserError(
            f"the state of {own.stack} has both {old} and {new}: they are two tenants, and {old} needs a name that is"
            " nobody's"
        )
    raise UserError(
        f"the state of {own.stack} does not have {old}: it is not made yet, or not taken over yet. A new tenant that is"
        " not made yet is renamed by an edit of its entry alone"
    )


def _refuse_unfinished(state: StackState, tenant: TenantState, own: Settings) -> None:
    finish = f"Finish it first: meltanodata up --stack {own.stack}"
    if left := state.unfinished:
        raise UserError(
            f"a run of the stack {own.stack} was ended in the middle of its work ({', '.join(left)}). {finish}"
        )
    if lacking := tenant_rename.missing(tenant):
        raise UserError(
            f"{tenant.name} is not finished: the state of {own.stack} does not have its {listing(lacking, 'and')}."
            f" {finish}"
        )


def _refuse_others(tenant: TenantState, row: Row, own: Settings) -> None:
    """Whatever has the names in question: it has to be this tenant."""
    if wrong := tenant_rename.misnamed(tenant, row.key, row.options, own.domain):
        raise UserError(
            f"the entry of {row.key} does not name what the state of {own.stack} has of {tenant.name}, so it may be"
            f" another tenant. If it is the same, write into its adopt: {', '.join(wrong)}; then run this again"
        )


def _right(source: Document, loaded: Fleet, text: str, stacks: Sequence[Settings]) -> None:
    """Refuse an edit that brings a problem along."""
    edited, _ = fleet.parse(document.parse(text.encode(), source.file))
    before = {problem.message for problem in rules.problems(loaded, stacks)}
    if problems := [it for it in rules.problems(edited, stacks) if it.message not in before]:
        raise ProblemsError(problems)
