"""Finishes what a killed run left behind, before the next one begins."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from meltanodata.cli.context import account
from meltanodata.config import fleet
from meltanodata.engine import pulumi_cli, recovery, stack_state
from meltanodata.engine.recovery import Lock
from meltanodata.errors import UserError
from meltanodata.inventory import vanished

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meltanodata.config.stacks import Project


def recover(stack: str, project: Project) -> None:
    """Remove a killed run's lock and clear its pending operations, and say so; nothing otherwise.

    Raises:
        UserError: the stack is locked by a run that is still running, or whose host cannot be checked from here.
    """
    folder = project.root
    unlock(stack, project)
    exported = pulumi_cli.export(stack, folder)
    pending, replaced = recovery.pending(exported), recovery.awaiting_replacement(exported)
    if pending or replaced:
        print("An earlier run was interrupted during:")
        for operation in pending:
            print(f"  {operation}")
        for urn in replaced:
            print(f"  replacing {stack_state.name(urn)}")
        pulumi_cli.replace_state(stack, folder, recovery.mended(exported))
        if uncertain := recovery.uncertain(exported):
            pulumi_cli.refresh(stack, folder, uncertain)
        print("Cleared the pending operations; continuing.")
        exported = pulumi_cli.export(stack, folder)  # the refresh may have removed more
    forget_vanished(stack, project, exported)


def forget_vanished(stack: str, project: Project, exported: Mapping[str, Any]) -> None:
    """Remove from the state what the next run would delete and no account has any more, and say so.

    Raises:
        UserError: an inventory cannot be read.
    """
    settings = next((settings for settings in project.stacks() if settings.stack == stack), None)
    if settings is None:
        return
    loaded, problems = fleet.load(project.tenants_file(settings))
    going = [] if problems else vanished.going(exported, {row.key for row in loaded.rows})
    if not going:
        return  # the usual case costs no request
    inventory = account(stack).inventory
    kept = vanished.without_replaced(exported, inventory)
    if stack_state.resources(kept) != stack_state.resources(exported):
        pulumi_cli.replace_state(stack, project.root, kept)
    urns = vanished.vanished(going, inventory)
    if urns:
        print("Removing from the state what no longer exists, deleted by hand or by an interrupted run:")
        for urn in urns:
            print(f"  {stack_state.name(urn)}")
        pulumi_cli.refresh(stack, project.root, urns)


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
