"""Objects that a killed run created at DigitalOcean and that its stack's state does not have. Pure.

The engine records a creation as a pending operation before it begins. As long as the state has that operation, the
object can be found by the name in it, whatever the fleet file says now. Without it only an entry leads to the object.
So a pending operation stays while its object exists and no entry leads to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meltanodata.engine.resource_types import OBJECTS
from meltanodata.inventory import duplicates
from meltanodata.inventory.names import finder
from meltanodata.text import listing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from meltanodata.config.tenants import Tenant
    from meltanodata.engine.resource_types import Type
    from meltanodata.engine.stack_state import StackState
    from meltanodata.inventory.accounts import Inventory, Objects


def created(state: StackState, inventory: Inventory) -> dict[str, Objects]:
    """The objects of the pending creations that exist, by the key that their tenant had when the run began."""
    in_state = {(type_, id_) for (_, type_), id_ in state.ids.items()}
    objects: dict[str, dict[Type, list[Any]]] = {}
    for tenant, type_, name in state.creations:
        namesakes = [obj for obj in inventory.objects[type_] if obj.name == name]
        of_tenant = objects.setdefault(tenant, {type_: [] for type_ in OBJECTS})
        of_tenant[type_] += [obj for obj in namesakes if (type_, str(obj.id)) not in in_state]
    return dict(objects)


def abandoned(created: Mapping[str, Objects], tenants: Sequence[Tenant], domain: str) -> Iterator[str]:
    """A sentence for each tenant with created objects that no entry leads to, and what to do.

    Where an entry leads to several objects of a name, the plan says so: see `duplicates`.
    """
    find = finder({type_: [obj for objects in created.values() for obj in objects[type_]] for type_ in OBJECTS}, domain)
    led_to = {(type_, obj.id) for tenant in tenants for type_, objects in find(tenant).items() for obj in objects}
    for key, by_type in created.items():
        objects = [(type_, obj) for type_, of_type in by_type.items() for obj in of_type]
        left_over = [duplicates.one(type_, obj, domain) for type_, obj in objects if (type_, obj.id) not in led_to]
        if left_over:
            yield (
                f"{key}: a killed run created {listing(left_over, 'and')}. The state does not have it, and no entry"
                f" of the file leads to it, so no run would ever use it or delete it. Restore the entry of {key}"
                " and run this again; if the tenant is to go, remove the entry then. Otherwise delete it by hand, if"
                " nobody uses it"
            )


def doubtful_firewalls(state: StackState) -> list[str]:
    """The URNs of the firewalls that may differ from what the state has of them.

    A run closes a database before it deletes its droplet (program/trusted_sources.py). If the run is killed then, and
    the edit is reverted, the droplet stays, and the state shows no difference, except that the tenant's last Command,
    which is deleted before the droplet, is missing.
    """
    return sorted(
        tenant.firewall.urn for tenant in state.tenants.values() if tenant.firewall and "verify" not in tenant.resources
    )
