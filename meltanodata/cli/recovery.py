"""What a killed run left behind, put in order before the next one."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from meltanodata.cli.context import account
from meltanodata.config import fleet, rules
from meltanodata.config.tenants import tenants_of
from meltanodata.engine import pulumi_cli, recovery, stack_state
from meltanodata.engine.recovery import Lock
from meltanodata.errors import ProblemsError, UserError
from meltanodata.inventory import unfinished, vanished

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meltanodata.config.stacks import Project


def put_in_order(stack: str, project: Project) -> None:
    """Finish with what a run that was killed left behind, and say what that was; nothing otherwise.

    Only after `unlock`, which tells whether a run is at work.

    Raises:
        UserError: see `forget_vanished`.
    """
    folder = project.root
    exported = pulumi_cli.export(stack, folder)
    noted, gone = recovery.pending(exported), recovery.awaiting_replacement(exported)
    if noted or gone:
        print("A run was ended in the middle of its work:")
        for operation in noted:
            print(f"  {operation}")
        for urn in gone:
            print(f"  replacing {stack_state.name(urn)}")
        settle_creations(stack, project, exported)
        pulumi_cli.replace_state(stack, folder, recovery.mended(exported))
        if uncertain := recovery.uncertain(exported):
            pulumi_cli.refresh(stack, folder, uncertain)
        print("Its notes are cleared; this run goes on with it.")
        exported = pulumi_cli.export(stack, folder)  # a refresh may have forgotten more
    if doubtful := unfinished.doubtful_firewalls(exported):
        pulumi_cli.refresh(stack, folder, doubtful)
        exported = pulumi_cli.export(stack, folder)
    forget_vanished(stack, project, exported)


def settle_creations(stack: str, project: Project, exported: Mapping[str, Any]) -> None:
    """Close the databases that a killed run was making, and stop where no entry leads to what it made.

    Before its notes are dropped, which are all that tells of it; and before there is a plan, since it may be refused.

    Raises:
        UserError: an account cannot be asked, a database is online and cannot be closed, or there is no entry.
        ProblemsError: what is wrong with the fleet file, so that nobody can know what it leads to.
    """
    if not unfinished.creations(exported):
        return
    from meltanodata.inventory import accounts  # noqa: PLC0415 - requests, which the other commands need not load

    known = account(stack, project)
    found = unfinished.made(exported, known.held)
    clusters = [cluster for its in found.values() for cluster in its.clusters]
    for cluster in clusters:
        called = f"the database {cluster.name} ({cluster.id}, {cluster.team})"
        accounts.close(known.settings, known.secrets.tokens, cluster, accounts.NOBODY, called)
    loaded, problems = fleet.load(project.tenants_file(known.settings))
    if problems := [*problems, *rules.problems(loaded, project.fleet(stack))]:
        raise ProblemsError(problems)
    if left := list(unfinished.abandoned(found, tenants_of(loaded, known.settings), known.settings.domain)):
        raise UserError("\n".join([*left, "The databases among these let in nobody now."] if clusters else left))


def forget_vanished(stack: str, project: Project, exported: Mapping[str, Any]) -> None:
    """Let the state forget what the next run would delete and an account has no more, and say what that is.

    Raises:
        UserError: an account cannot be asked.
    """
    own = next((it for it in project.stacks() if it.stack == stack), None)
    if own is None:
        return
    loaded, problems = fleet.load(project.tenants_file(own))
    going = [] if problems else vanished.going(exported, {row.key for row in loaded.rows})
    if not going:
        return  # the usual case costs no request
    held = account(stack, project).held
    kept = vanished.without_replaced(exported, held)
    if stack_state.resources(kept) != stack_state.resources(exported):
        pulumi_cli.replace_state(stack, project.root, kept)
    urns = vanished.vanished(going, held)
    if urns:
        print("Deleted already, by hand or by a run whose answer was lost; the state forgets it:")
        for urn in urns:
            print(f"  {stack_state.name(urn)}")
        pulumi_cli.refresh(stack, project.root, urns)


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
