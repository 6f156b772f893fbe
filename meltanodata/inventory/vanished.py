"""What a stack is about to delete although it is gone: deleted by hand, or by a request whose answer was lost.

Pure. DigitalOcean answers a second DELETE with 404, which its provider takes for a failure, so that every run would
fail. A refresh of these resources removes them from the state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meltanodata.engine.resource_types import TENANT, Type

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from meltanodata.engine.stack_state import Resource, StackState
    from meltanodata.inventory.accounts import Inventory

_DEPENDENT = (Type.FIREWALL, Type.MEMBERSHIP)
"""What DigitalOcean deletes with the object that it belongs to."""


def going(state: StackState, entries: Collection[str]) -> list[Resource]:
    """The resources that the next run deletes: of tenants without an entry, and those that are replaced."""
    removed = state.tenants.keys() - entries
    return [it for it in state.resources if it.is_replaced or (it.tenant in removed and it.type != TENANT)]


def vanished(going: Iterable[Resource], inventory: Inventory) -> list[str]:
    """The URNs of those whose objects are in no account any more, and of what was deleted with them."""
    current, ids = [resource for resource in going if not resource.is_replaced], _ids(inventory)
    lost = {resource.urn for resource in current if _is_lost(resource, ids)}
    along = {resource.urn for resource in current if resource.type in _DEPENDENT and resource.deleted_with in lost}
    return sorted(lost | along)


def without_replaced(state: StackState, inventory: Inventory) -> dict[str, Any]:
    """The exported state without the replaced resources that are in no account any more.

    A refresh does not look at it: its URN is its successor's.
    """
    ids = _ids(inventory)
    return state.with_resources(it.json for it in state.resources if not (it.is_replaced and _is_lost(it, ids)))


def _ids(inventory: Inventory) -> Mapping[str, Collection[str]]:
    """The ids of what the accounts have, by Pulumi's type."""
    return {type_: {str(it.id) for it in objects} for type_, objects in inventory.objects.items()}


def _is_lost(resource: Resource, ids: Mapping[str, Collection[str]]) -> bool:
    return resource.type in ids and str(resource.id) not in ids[resource.type]
