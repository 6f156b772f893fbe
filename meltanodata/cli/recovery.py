"""Finishes what a killed run left behind, before the next one begins."""

from __future__ import annotations

import socket
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from meltanodata.cli.context import account
from meltanodata.config import fleet, rules
from meltanodata.config.tenants import tenants_of
from meltanodata.engine import processes, pulumi_cli, recovery, state_folder, urns
from meltanodata.engine.resource_types import Type
from meltanodata.errors import ProblemsError, UserError
from meltanodata.inventory import unfinished, vanished

if TYPE_CHECKING:
    from pathlib import Path

    from meltanodata.config.stacks import Project
    from meltanodata.engine.stack_state import StackState


def recover(stack: str, project: Project) -> None:
    """Clear a killed run's pending operations, and say so; nothing otherwise.

    Call `unlock` first, which makes sure that no run is running.

    Raises:
        UserError: see `settle_creations` and `forget_vanished`.
        ProblemsError: see `settle_creations`.
    """
    folder = project.root
    state = pulumi_cli.state(stack, folder)
    if state.pending or state.awaiting_replacement:
        print("An earlier run was interrupted during:")
        for operation in state.pending:
            print(f"  {operation}")
        for resource in state.awaiting_replacement:
            print(f"  replacing {resource.name}")
        settle_creations(stack, project, state)
        pulumi_cli.replace_state(stack, folder, recovery.repaired(state))
        if uncertain := recovery.uncertain(state):
            pulumi_cli.refresh(stack, folder, uncertain)
        print("Cleared the pending operations; continuing.")
        state = pulumi_cli.state(stack, folder)  # the refresh may have removed more
    if doubtful := unfinished.doubtful_firewalls(state):
        pulumi_cli.refresh(stack, folder, doubtful)
        state = pulumi_cli.state(stack, folder)
    forget_vanished(stack, project, state)


def settle_creations(stack: str, project: Project, state: StackState) -> None:
    """Close the databases that a killed run was creating, and stop if no entry leads to what it created.

    Comes before the pending operations are cleared, which alone tell what the run was creating, and before there is a
    plan, which may be refused.

    Raises:
        UserError: an account does not answer, a database is online and cannot be closed, or there is no entry.
        ProblemsError: the fleet file has mistakes, so that nobody can know what it leads to.
    """
    if not state.creations:
        return
    from meltanodata.inventory import accounts

    own = account(stack)
    created = unfinished.created(state, own.inventory)
    clusters = [cluster for objects in created.values() for cluster in objects[Type.CLUSTER]]
    for cluster in clusters:
        called = f"the database {cluster.name} ({cluster.id}, {cluster.team})"
        accounts.close(own.settings, own.secrets.tokens, cluster, accounts.NOBODY, called)
    loaded, problems = fleet.load(project.tenants_file(own.settings))
    if problems := [*problems, *rules.problems(loaded, project.fleet(stack))]:
        raise ProblemsError(problems)
    if left := list(unfinished.abandoned(created, tenants_of(loaded, own.settings), own.settings.domain)):
        closed = ["The clusters among these are closed: nobody can connect to them."] if clusters else []
        raise UserError("\n".join([*left, *closed]))


def forget_vanished(stack: str, project: Project, state: StackState) -> None:
    """Remove from the state what the next run would delete and no account has any more, and say so.

    Raises:
        UserError: an inventory cannot be read.
    """
    settings = next((settings for settings in project.stacks() if settings.stack == stack), None)
    if settings is None:
        return
    loaded, problems = fleet.load(project.tenants_file(settings))
    going = [] if problems else vanished.going(state, {row.key for row in loaded.rows})
    if not going:
        return  # the usual case costs no request
    inventory = account(stack).inventory
    kept = vanished.without_replaced(state, inventory)
    if kept != state.exported:
        pulumi_cli.replace_state(stack, project.root, kept)
    if gone := vanished.vanished(going, inventory):
        print("Removing from the state what no longer exists, deleted by hand or by an interrupted run:")
        for urn in gone:
            print(f"  {urns.name_of(urn)}")
        pulumi_cli.refresh(stack, project.root, gone)


def say_unfinished(stack: str, folder: Path, command: str, *, interrupted: bool = False) -> None:
    """Say what was under way when the engine ended, and how to go on.

    An interrupt that the engine reads from the terminal itself looks like a failure from here.
    """
    lines = ["Interrupted."] if interrupted else ["Not all of the plan is applied."]
    try:
        under_way = pulumi_cli.state(stack, folder).unfinished
    except UserError as error:
        under_way = []
        lines.append(str(error))
    if under_way:
        lines += ["Under way at the end, and perhaps done at DigitalOcean:", *(f"  {each}" for each in under_way)]
    lines.append(f"What existed before still exists. This continues: meltanodata {command} --stack {stack}")
    print(*lines, sep="\n", file=sys.stderr)


def unlock(stack: str, project: Project) -> None:
    """Remove stranded locks, and what else keeps the state from being read.

    Does nothing on a backend that is no folder, where Pulumi itself reports its locks.

    Raises:
        UserError: a lock's holder is still running, or cannot be known or checked from here; or the state's folder
            cannot be written.
    """
    backend = state_folder.path(pulumi_cli.backend(project.root))
    if backend is None:
        return
    folder = _lock_folder(backend, stack, project)
    locks = _locks(folder, stack)
    if kept := [*locks.held, *locks.unreadable]:
        raise UserError("\n".join(kept))
    if problem := state_folder.unwritable(backend, project.name, stack):
        raise UserError(problem)
    # Beside each file the backend keeps a file with its type, and truncates it before writing it. It works without that
    # file, but not with an empty or half-written one: https://github.com/google/go-cloud/blob/master/blob/fileblob/attrs.go.
    for attributes in (*folder.glob("*.attrs"), *(backend / "stacks" / project.name).glob(f"{stack}.[jp]*.attrs")):
        if not state_folder.is_json(attributes):
            attributes.unlink()
    for lock in locks.stranded:
        print(f"Removed the lock of {lock}, which has ended.")
    if locks.stranded:
        pulumi_cli.cancel(stack, project.root)


def locked_by(stack: str, project: Project) -> list[str]:
    """The runs that have the stack's lock and are running, or may be on another machine; a sentence each.

    Leaves out stranded locks and those that cannot be read, which `unlock` settles. Empty on a backend that is not a
    folder.
    """
    backend = state_folder.path(pulumi_cli.backend(project.root))
    return [] if backend is None else _locks(_lock_folder(backend, stack, project), stack).held


def refuse_locked(stack: str, project: Project, otherwise: str = "") -> None:
    """Stop if a run is changing the stack: its state has half of each tenant that is being created.

    `otherwise` says how to go on anyway.

    Raises:
        UserError: who has the lock.
    """
    if holders := locked_by(stack, project):
        changing = f"{stack} cannot be compared with its state, which a run is changing"
        raise UserError("\n".join([*(f"{changing}: {holder}" for holder in holders), *filter(None, [otherwise])]))


@dataclass
class _Locks:
    """A stack's locks, and about each that has to stay a sentence that says why."""

    stranded: list[recovery.Lock] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    """Their runs are running, or may be on another machine."""
    unreadable: list[str] = field(default_factory=list)
    """Just removed, or half-written."""


def _locks(folder: Path, stack: str) -> _Locks:
    locks = _Locks()
    for path in sorted(folder.glob("*.json")):
        try:
            lock = recovery.lock(path.read_bytes())
        except (OSError, ValueError) as error:
            locks.unreadable.append(recovery.unreadable_lock(stack, path, error))
            continue
        reason = recovery.why_kept(lock, stack, socket.gethostname(), processes.runs, processes.may_be_hidden)
        if reason is None:
            locks.stranded.append(lock)
        else:
            locks.held.append(reason)
    return locks


def _lock_folder(backend: Path, stack: str, project: Project) -> Path:
    return backend / "locks" / "organization" / project.name / stack
