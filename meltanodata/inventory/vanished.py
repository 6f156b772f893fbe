"""What a stack is about to delete and an account has no more: deleted by hand, or by a request whose answer was lost.

Pure. DigitalOcean answers a second DELETE with 404, and its provider takes that for a failure, so that every run would
end with it. A refresh of these resources lets the state forget them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meltanodata.engine.resource_types import TENANT, Type
from meltanodata.engine.stack_state import name, resources

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from meltanodata.inventory.accounts import Accounts

_DEPENDENT = (Type.FIREWALL, Type.MEMBERSHIP)
"""What DigitalOcean deletes with the object that it belongs to."""


def going(exported: Mapping[str, Any], entries: Collection[str]) -> list[dict[str, Any]]:
    """The resources that the next run deletes: those of tenants without an entry, and those that were replaced.

    Args:
        exported: the stack's state.
        entries: the names of the tenants in the fleet file.
    """
    removed = {it["urn"] for it in resources(exported) if it["type"] == TENANT and name(it["urn"]) not in entries}
    return [it for it in resources(exported) if it.get("parent") in removed or it.get("delete")]


def vanished(going: Collection[Mapping[str, Any]], accounts: Accounts) -> list[str]:
    """The URNs among these whose objects are in no account any more, with what goes along with them.

    Args:
        going: see there.
        accounts: what the stack's teams hold.
    """
    current = [it for it in going if not it.get("delete")]
    held = _held(accounts)
    lost = {it["urn"] for it in current if _is_lost(it, held)}
    along = {it["urn"] for it in current if it["type"] in _DEPENDENT and it.get("deletedWith") in lost}
    return sorted(lost | along)


def without_replaced(exported: Mapping[str, Any], accounts: Accounts) -> dict[str, Any]:
    """The state without what was replaced and is in no account any more; the same where there is nothing of the kind.

    A refresh does not look at it: its URN is its successor's.
    """
    held = _held(accounts)
    kept = [it for it in resources(exported) if not (it.get("delete") and _is_lost(it, held))]
    return {**exported, "deployment": {**exported["deployment"], "resources": kept}}


def _held(accounts: Accounts) -> dict[str, Collection[str]]:
    """The ids of what the accounts hold, by Pulumi's type."""
    return {
        Type.DROPLET: {str(droplet.id) for droplet in accounts.droplets},
        Type.RECORD: {str(record.id) for record in accounts.records},
        Type.CLUSTER: {cluster.id for cluster in accounts.clusters},
    }


def _is_lost(resource: Mapping[str, Any], held: Mapping[str, Collection[str]]) -> bool:
    return resource["type"] in held and str(resource.get("id")) not in held[resource["type"]]
