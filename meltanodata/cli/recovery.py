"""Finishes what a killed run left behind, before the next one begins."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from meltanodata.cli.context import account
from meltanodata.config import fleet, rules
from meltanodata.config.tenants import tenants_of
from meltanodata.engine import pulumi_cli, recovery, urns
from meltanodata.engine.recovery import Lock
from meltanodata.engine.resource_types import Type
from meltanodata.errors import ProblemsError, UserError
from meltanodata.inventory import unfinished, vanished

if TYPE_CHECKING:
    from meltanodata.config.stacks import Project
    from meltanodata.engine.stack_state import StackState


def recover(stack: str, project: Project) -> None:
    """Clear a killed run's pending operations, and say so; nothing otherwise.

    Call `unlock` first, which makes sure that no run is at work.

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


def unlock(stack: str, project: Project) -> None:
    """Remove stranded locks, and what else keeps the state from being read.

    Does nothing on a backend that is no folder, where Pulumi itself reports its locks.

    Raises:
        UserError: a lock's holder is still running, or its host cannot be checked from here.
    """
    url = urlsplit(pulumi_cli.backend(project.root))
    if url.scheme != "file":
        return
    backend = Path(unquote(url.netloc + url.path)).expanduser() / ".pulumi"
    folder = backend / "locks" / "organization" / project.name / stack
    locks = [_lock(path) for path in sorted(folder.glob("*.json"))]
    reasons = [reason for lock in locks if (reason := recovery.why_kept(lock, socket.gethostname(), _runs))]
    if reasons:
        raise UserError("\n".join(reasons))
    # Beside each file the backend keeps a file with its type, and truncates it before writing it. It works without that
    # file, but not with an empty one: https://github.com/google/go-cloud/blob/master/blob/fileblob/attrs.go.
    for attributes in (*folder.glob("*.attrs"), *(backend / "stacks" / project.name).glob(f"{stack}.[jp]*.attrs")):
        if attributes.stat().st_size == 0:
            attributes.unlink()
    for lock in locks:
        print(f"Removed the lock of {lock}, which has ended.")
    if locks:
        pulumi_cli.cancel(stack, project.root)


def _lock(path: Path) -> Lock:
    content = json.loads(path.read_text(encoding="utf-8"))
    return Lock(content["username"], content["hostname"], content["pid"], content["timestamp"])


def _runs(pid: int) -> bool:
    """Whether a process of this machine is a running Pulumi; any process counts if its name cannot be read."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    try:
        # proc(5): number, (name), state. An ended process stays a zombie until its parent reaps it.
        name, state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").split("(", 1)[1].rsplit(")", 1)
    except FileNotFoundError:
        return not Path("/proc/self/stat").exists()
    return name.startswith("pulumi") and state.split()[0] not in {"Z", "X"}
