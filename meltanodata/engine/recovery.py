"""What a killed run leaves in the stack's state, how to repair that state, and what its lock says. Pure.

The engine records each operation before it begins, as a pending operation. One that is still there has an unknown end:
something was created or not, deleted or not. The engine keeps pending creations for ever and acts on none.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from meltanodata.engine.stack_state import Resource, StackState


def repaired(state: StackState) -> dict[str, Any]:
    """The exported state without pending operations, and without what was deleted to be replaced.

    The next run creates what is missing, and imports what was created after all, since it bears its tenant's name.
    With the deleted resource still in the state it would do neither: the engine then creates, whatever there is.
    """
    deployment = dict(state.exported["deployment"])
    deployment.pop("pending_operations", None)
    kept = [resource for resource in state.resources if not resource.awaits_replacement]
    # A reference to a URN goes to the successor, if there is one.
    gone = {resource.urn for resource in state.awaiting_replacement}
    gone -= {resource.urn for resource in kept if not resource.is_replaced}
    if "resources" in deployment:
        deployment["resources"] = [_without_references(resource, gone) for resource in kept]
    return {**state.exported, "deployment": deployment}


def _without_references(resource: Resource, gone: Collection[str]) -> dict[str, Any]:
    """A resource that depends on none of what is gone; the next run states its dependencies anew."""
    changed = dict(resource.json)
    if "dependencies" in changed:
        changed["dependencies"] = [urn for urn in changed["dependencies"] if urn not in gone]
    if "propertyDependencies" in changed:
        changed["propertyDependencies"] = {
            key: urns and [urn for urn in urns if urn not in gone]
            for key, urns in changed["propertyDependencies"].items()
        }
    if resource.deleted_with in gone:
        del changed["deletedWith"]
    return changed


def uncertain(state: StackState) -> list[str]:
    """The URNs that a refresh has to look for: their deletion has begun, and to delete them twice would fail."""
    urns = {resource.urn for resource in state.resources}
    return sorted({pending.urn for pending in state.pending if pending.kind == "deleting" and pending.urn in urns})


@dataclass(frozen=True)
class Lock:
    """A stack's lock in a backend that is a folder."""

    user: str
    host: str
    pid: int
    since: str
    """RFC 3339."""

    def __str__(self) -> str:
        return f"{self.user}@{self.host} (process {self.pid}) since {self.since[:19].replace('T', ' ')}"


def lock(content: bytes) -> Lock:
    """A lock from its file.

    Raises:
        ValueError: it is empty, half-written or something else.
    """
    if not content.strip():
        raise ValueError("it is empty")
    try:
        noted = json.loads(content)
        read = Lock(noted["username"], noted["hostname"], noted["pid"], noted["timestamp"])
    except (ValueError, KeyError, TypeError):
        raise ValueError("it is not whole") from None
    texts = (read.user, read.host, read.since)
    if not all(isinstance(text, str) for text in texts) or type(read.pid) is not int or read.pid < 1:
        raise ValueError("it is not what Pulumi writes")
    return read


def unreadable_lock(stack: str, file: Path, error: Exception) -> str:
    """About a lock that says nothing about its holder."""
    return (
        f"the stack is locked by {file}, and {error}: a full disk or a killed run leaves such a file. Who took the lock"
        f" cannot be seen. {_look_and_cancel(stack)}"
    )


def why_kept(
    lock: Lock, stack: str, host: str, runs: Callable[[int], bool], hidden: Callable[[str], bool]
) -> str | None:
    """Why a lock has to stay; None for one that a killed run has left.

    Args:
        lock: it.
        stack: whose it is.
        host: this machine.
        runs: whether a process of this machine is a running Pulumi.
        hidden: whether a process that took a lock at that time may be running where it cannot be seen from here.
    """
    if lock.host != host:
        return (
            f"the stack is locked by {lock}. {host} cannot tell whether that run is still running: look there."
            " If its machine is gone, remove the lock (pulumi cancel) and run this again"
        )
    if runs(lock.pid):
        return f"the stack is locked by {lock}, which is still running. Wait until it ends"
    if hidden(lock.since):
        return (
            f"the stack is locked by {lock}. There is no such process here, but this is a container, and it may be in"
            f" another one or outside (another PID namespace): look there. {_look_and_cancel(stack)}"
        )
    return None


def _look_and_cancel(stack: str) -> str:
    return (
        f"If no run of {stack} is running anywhere, remove the lock, and run this again: pulumi cancel --yes --stack"
        f" {stack}"
    )
