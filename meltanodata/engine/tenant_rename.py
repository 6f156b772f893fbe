"""A tenant under another name: in the stack's state, and in its entry. Pure.

What is written is a state as `pulumi stack export` prints it. Nothing here touches the world: the objects keep their
names, which the entry states from then on. Why a command and not Pulumi's aliases: docs/decisions/renaming-a-tenant.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meltanodata.config.object_names import droplet_of, record_of, tenant_of_cluster
from meltanodata.engine import urns
from meltanodata.engine.resource_types import OBJECTS, ROLES, STACK, TENANT
from meltanodata.engine.stack_state import StackState, rewritten
from meltanodata.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meltanodata.config.options import Options
    from meltanodata.engine.stack_state import TenantState


def missing(tenant: TenantState) -> list[str]:
    """The roles of the objects that a state does not have of a tenant yet: only the tenant's name finds those."""
    return [ROLES[type_] for type_ in OBJECTS if ROLES[type_] not in tenant.resources]


def adopted(tenant: TenantState) -> dict[str, str]:
    """What `adopt` has to say of a tenant so that under any other name its objects keep their names."""
    options = tenant.options
    droplet = {"droplet": options.adopt.droplet} if options.adopt and options.adopt.droplet else {}
    cluster = tenant.cluster and tenant.cluster.inputs.get("name")
    database = {"database": str(cluster)} if cluster else {}
    return {**droplet, "record": record_of(tenant.name, options), **database}


def misnamed(tenant: TenantState, key: str, entry: Options, domain: str) -> list[str]:
    """The names, as `adopt` would have them, by which an entry does not find a tenant's objects in the state."""
    options, database = tenant.options, adopted(tenant).get("database", "")
    stated = entry.adopt.database if entry.adopt else None
    names = {
        "droplet": (droplet_of(key, entry, domain), droplet_of(tenant.name, options, domain)),
        "record": (record_of(key, entry), record_of(tenant.name, options)),
        "database": (stated or (database if tenant_of_cluster(database) == key else ""), database),
    }
    return [f"{role}: {actual}" for role, (wanted, actual) in names.items() if wanted != actual]


def renamed(exported: Mapping[str, Any], old: str, new: str) -> dict[str, Any]:
    """The state with a tenant under another name.

    Raises:
        UserError: the state has something of the new name, or something of the tenant's that is not named after it.
    """
    state = StackState(exported)
    replacements = _renamed_urns(state, old, new)
    if taken := sorted(it.name for it in state.resources if it.urn in replacements.values()):
        raise UserError(f"{', '.join(taken)}: is already in the state, so {old} cannot be renamed to {new}")
    changed = []
    for resource in state.resources:
        # Inputs and outputs hold other people's text: only what the engine keeps for itself is renamed.
        own = {field: value for field, value in resource.json.items() if field not in {"inputs", "outputs"}}
        now = {**resource.json, **rewritten(own, lambda text: replacements.get(text, text))}
        if resource.type == TENANT and resource.name == old:
            adopt = {"login": "new", **(resource.inputs.get("adopt") or {}), **adopted(state.tenants[old])}
            now["inputs"] = {**resource.inputs, "adopt": adopt}
        elif resource.type == STACK:
            tenants = resource.outputs.get("tenants") or {}
            outputs = {new if key == old else key: value for key, value in tenants.items()}
            now["outputs"] = {**resource.outputs, "tenants": outputs}
        changed.append(now)
    return state.with_resources(changed)


def _renamed_urns(state: StackState, old: str, new: str) -> dict[str, str]:
    """The URNs of a tenant's component and of its resources, and what they become."""
    renames = {}
    for resource in state.resources:
        if resource.tenant != old:
            continue
        if resource.type != TENANT and not resource.name.startswith(f"{old}-"):
            raise UserError(
                f"{resource.name}: is a child of {old} in the state, but not named after it; nothing is renamed"
            )
        renames[resource.urn] = urns.with_name(resource.urn, new + resource.name.removeprefix(old))
    return renames
