"""What a killed run left behind, put in order before the next one."""

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


def put_in_order(stack: str, project: Project) -> None:
    """Finish with what a run that was killed left behind, and say what that was; nothing otherwise.

    Only after `unlock`, which tells whether a run is at work.

    Raises:
        UserError: see `forget_vanished`.
    """
    folder = project.root
    state = pulumi_cli.state(stack, folder)
    if state.pending or state.awaiting_replacement:
        print("A run was ended in the middle of its work:")
        for operation in state.pending:
            print(f"  {operation}")
        for resource in state.awaiting_replacement:
            print(f"  replacing {resource.name}")
        settle_creations(stack, project, state)
        pulumi_cli.replace_state(stack, folder, recovery.mended(state))
        if uncertain := recovery.uncertain(state):
            pulumi_cli.refresh(stack, folder, uncertain)
        print("Cleared the pending operations; continuing.")
        state = pulumi_cli.state(stack, folder)  # a refresh may have forgotten more
    if doubtful := unfinished.doubtful_firewalls(state):
        pulumi_cli.refresh(stack, folder, doubtful)
        state = pulumi_cli.state(stack, folder)
    forget_vanished(stack, project, state)


def settle_creations(stack: str, project: Project, state: StackState) -> None:
    """Close the databases that a killed run was creating, and stop if no entry leads to what it created.

    Before its pending operations are cleared, which alone tell of it; and before there is a plan, which may be refused.

    Raises:
        UserError: an account does not answer, a database is online and cannot be closed, or there is no entry.
        ProblemsError: the fleet file has mistakes, so that nobody can know what it leads to.
    """
    if not state.creations:
        return
    from meltanodata.inventory import accounts  # noqa: PLC0415 - requests, which the other commands need not load

    asked = account(stack, project)
    created = unfinished.created(state, asked.held)
    clusters = [cluster for objects in created.values() for cluster in objects[Type.CLUSTER]]
    for cluster in clusters:
        called = f"the database {cluster.name} ({cluster.id}, {cluster.team})"
        accounts.close(asked.settings, asked.secrets.tokens, cluster, accounts.NOBODY, called)
    loaded, problems = fleet.load(project.tenants_file(asked.settings))
    if problems := [*problems, *rules.problems(loaded, project.fleet(stack))]:
        raise ProblemsError(problems)
    if left := list(unfinished.abandoned(created, tenants_of(loaded, asked.settings), asked.settings.domain)):
        raise UserError("\n".join([*left, "The databases among these let in nobody now."] if clusters else left))


def forget_vanished(stack: str, project: Project, state: StackState) -> None:
    """Let the state forget what the next run would delete and an account has no more, and say what that is.

    Raises:
        UserError: an account cannot be asked.
    """
    own = next((it for it in project.stacks() if it.stack == stack), None)
    if own is None:
        return
    loaded, problems = fleet.load(project.tenants_file(own))
    going = [] if problems else vanished.going(state, {row.key for row in loaded.rows})
    if not going:
        return  # the usual case costs no request
    held = account(stack, project).held
    kept = vanished.without_replaced(state, held)
    if kept != state.exported:
        pulumi_cli.replace_state(stack, project.root, kept)
    if gone := vanished.vanished(going, held):
        print("Deleted already, by hand or by a run whose answer was lost; the state forgets it:")
        for urn in gone:
            print(f"  {urns.name_of(urn)}")
        pulumi_cli.refresh(stack, project.root, gone)


def unlock(stack: str, project: Project) -> None:
    """Remove the locks that nobody holds any more, and what else keeps the state from being read.

    Nothing on a backend that is no folder, where Pulumi itself tells of its locks.

    Raises:
        UserError: a lock's holder is at work, or cannot be judged from here.
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
    # Beside each file the backend keeps a note of its type, and truncates it to write it anew. It does without one, but
    # not with an empty one: https://github.com/google/go-cloud/blob/master/blob/fileblob/attrs.go.
    for note in (*folder.glob("*.attrs"), *(backend / "stacks" / project.name).glob(f"{stack}.[jp]*.attrs")):
        if note.stat().st_size == 0:
            note.unlink()
    for lock in locks:
        print(f"The stack is locked by {lock}, which is gone; the lock is removed.")
    if locks:
        pulumi_cli.cancel(stack, project.root)


def _lock(path: Path) -> Lock:
    content = json.loads(path.read_text(encoding="utf-8"))
    return Lock(content["username"], content["hostname"], content["pid"], content["timestamp"])


def _runs(pid: int) -> bool:
    """Whether a process of this machine is a Pulumi at work; where its name cannot be known, any process is."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    try:
        # proc(5): number, (name), state. One that has ended stays a while as a zombie, until its parent has noticed.
        name, state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").split("(", 1)[1].rsplit(")", 1)
    except FileNotFoundError:
        return not Path("/proc/self/stat").exists()
    return name.startswith("pulumi") and state.split()[0] not in {"Z", "X"}
