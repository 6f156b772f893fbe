"""What a run of Pulumi that was killed leaves in the stack's state, and that state mended. Pure.

The engine notes each operation before it begins it. A note that is still there is of an operation whose end nobody
saw: something was created or not, deleted or not. The engine keeps notes of creations for ever and acts on none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meltanodata.engine.stack_state import name, resources

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

CREATING, DELETING = "creating", "deleting"


@dataclass(frozen=True, order=True)
class Pending:
    """An operation whose end nobody saw."""

    kind: str
    """`creating`, `updating`, `deleting`, `importing` or `reading`."""
    urn: str

    def __str__(self) -> str:
        return f"{self.kind} {name(self.urn)}"


def pending(exported: Mapping[str, Any]) -> list[Pending]:
    """The operations noted in an exported state."""
    noted = exported["deployment"].get("pending_operations") or []
    return sorted(Pending(note["type"], note["resource"]["urn"]) for note in noted)


def awaiting_replacement(exported: Mapping[str, Any]) -> list[str]:
    """The URNs of what was deleted for a replacement that had not been made when the run ended."""
    return [resource["urn"] for resource in resources(exported) if resource.get("pendingReplacement")]


def mended(exported: Mapping[str, Any]) -> dict[str, Any]:
    """The state without notes, and without what was deleted to be replaced.

    The next run creates what is missing, and takes over what was created after all, since it bears its tenant's name.
    With the deleted one still in the state it would do neither: the engine then creates, whatever there is.
    """
    deployment = dict(exported["deployment"])
    deployment.pop("pending_operations", None)
    gone = set(awaiting_replacement(exported))
    kept = [resource for resource in resources(exported) if not resource.get("pendingReplacement")]
    # A URN stands for the successor too, if there is one: to it what refers to the URN refers.
    gone -= {resource["urn"] for resource in kept if not resource.get("delete")}
    if "resources" in deployment:
        deployment["resources"] = [_without_references(resource, gone) for resource in kept]
    return {**exported, "deployment": deployment}


def _without_references(resource: Mapping[str, Any], gone: Collection[str]) -> dict[str, Any]:
    """A resource that depends on none of what is gone; the next run states its dependencies anew."""
    changed = dict(resource)
    if "dependencies" in resource:
        changed["dependencies"] = [urn for urn in resource["dependencies"] if urn not in gone]
    if "propertyDependencies" in resource:
        changed["propertyDependencies"] = {
            key: urns and [urn for urn in urns if urn not in gone]
            for key, urns in resource["propertyDependencies"].items()
        }
    if resource.get("deletedWith") in gone:
        del changed["deletedWith"]
    return changed


def uncertain(exported: Mapping[str, Any]) -> list[str]:
    """The URNs that a refresh has to look for: their deletion had begun, and to delete them twice would fail."""
    known = {resource["urn"] for resource in resources(exported)}
    return sorted({it.urn for it in pending(exported) if it.kind == DELETING and it.urn in known})


@dataclass(frozen=True)
class Lock:
    """A stack's lock as a self-managed backend keeps it."""

    user: str
    host: str
    pid: int
    since: str
    """RFC 3339."""

    def __str__(self) -> str:
        return f"{self.user}@{self.host} (process {self.pid}) since {self.since[:19].replace('T', ' ')}"


def why_kept(lock: Lock, host: str, runs: Callable[[int], bool]) -> str | None:
    """Why a lock must not be removed by us; None if its holder is gone.

    Args:
        lock: the stack's.
        host: this machine's name.
        runs: whether a process of this machine is a Pulumi at work.
    """
    if lock.host != host:
        return (
            f"the stack is locked by {lock}, which cannot be judged from {host}. Look there whether it is at work; if"
            " its machine is gone, remove the lock (pulumi cancel) and run this again"
        )
    if runs(lock.pid):
        return f"the stack is locked by {lock}, which is at work. Wait until it has ended"
    return None
