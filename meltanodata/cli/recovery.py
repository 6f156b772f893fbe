"""What a killed run left behind, put in order before the next one."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from meltanodata.cli.context import account
from meltanodata.config import fleet
from meltanodata.engine import pulumi_cli, recovery, urns
from meltanodata.engine.recovery import Lock
from meltanodata.errors import UserError
from meltanodata.inventory import vanished

if TYPE_CHECKING:
    from meltanodata.config.stacks import Project
    from meltanodata.engine.stack_state import StackState


def put_in_order(stack: str, project: Project) -> None:
    """Finish with what a run that was killed left behind, and say what that was; nothing otherwise.

    Raises:
        UserError: the stack is locked by a run that is at work, or that cannot be judged from here.
    """
    folder = project.root
    unlock(stack, project)
    state = pulumi_cli.state(stack, folder)
    if state.pending or state.awaiting_replacement:
        print("A run was ended in the middle of its work:")
        for operation in state.pending:
            print(f"  {operation}")
        for resource in state.awaiting_replacement:
            print(f"  replacing {resource.name}")
        pulumi_cli.replace_state(stack, folder, recovery.mended(state))
        if uncertain := recovery.uncertain(state):
            pulumi_cli.refresh(stack, folder, uncertain)
        print("Its notes are cleared; this run goes on with it.")
        state = pulumi_cli.state(stack, folder)  # a refresh may have forgotten more
    forget_vanished(stack, project, state)


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
