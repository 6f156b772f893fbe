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
    """What of the pending creations exists, by the tenant's name when the run began."""
    known = {(type_, id_) for (_, type_), id_ in state.ids.items()}
    objects: dict[str, dict[Type, list[Any]]] = {}
    for tenant, type_, name in state.creations:
        named = [it for it in inventory.objects[type_] if it.name == name and (type_, str(it.id)) not in known]
        objects.setdefault(tenant, {type_: [] for type_ in OBJECTS})[type_] += named
    return dict(objects)


def abandoned(created: Mapping[str, Objects], tenants: Sequence[Tenant], domain: str) -> Iterator[str]:
    """What of it no entry leads to, by tenant, and what to do.

    Where one leads to several objects of a name, the plan says so: see `duplicates`.
    """
    find = finder({type_: [it for its in created.values() for it in its[type_]] for type_ in OBJECTS}, domain)
    led_to = {(type_, it.id) for tenant in tenants for type_, named in find(tenant).items() for it in named}
    for key, its in created.items():
        left = [
            duplicates.one(type_, it, domain)
            for type_, objects in its.items()
            for it in objects
            if (type_, it.id) not in led_to
        ]
        if left:
            yield (
                f"{key}: a run that was killed made {listing(left, 'and')}. The state does not have it, and no entry"
                f" of the file leads to it, so no run would ever use it or delete it. Restore the entry of {key}"
                " and run this again; if the tenant is to go, remove the entry then. Otherwise delete it by hand, if"
                " nobody uses it"
            )


def doubtful_firewalls(state: StackState) -> list[str]:
    """The URNs of the firewalls that may differ from what the state has of them.

    A database trusts nobody from right before its droplet is deleted (program/trusted_sources.py). If a run is killed
    then, and the edit is reverted, the droplet stays, and the state knows of no difference. The tenant's last Command
    tells: it is deleted before the droplet is.
    """
    return sorted(
        tenant.firewall.urn for tenant in state.tenants.values() if tenant.firewall and "verify" not in tenant.resources
    )
