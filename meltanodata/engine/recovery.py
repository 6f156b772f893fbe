"""What a killed run leaves in the stack's state, and how to repair that state. Pure.

The engine records each operation before it begins, as a pending operation. One that is still there has an unknown end:
something was created or not, deleted or not. The engine keeps pending creations for ever and acts on none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

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


def why_kept(lock: Lock, host: str, runs: Callable[[int], bool]) -> str | None:
    """Why a lock has to stay; None for one that a killed run has left.

    `host` is this machine, and `runs` tells whether one of its processes is a running Pulumi.
    """
    if lock.host != host:
        return (
            f"the stack is locked by {lock}. {host} cannot tell whether that run is still running: look there."
            " If its machine is gone, remove the lock (pulumi cancel) and run this again"
        )
    if runs(lock.pid):
        return f"the stack is locked by {lock}, which is still running. Wait until it ends"
    return None
