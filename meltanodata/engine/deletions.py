"""The engine deletes a database only where its tenant is named, whichever command runs it.

`meltanodata up` and `deploy` name the tenants of the plan that passed the guard. An operator who runs `pulumi up` or
`pulumi destroy` names them in an environment variable for that run. See
docs/decisions/deleting-a-database-needs-permission.md.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from meltanodata.engine.resource_types import ROLES, Type, tenant_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from meltanodata.engine.stack_state import StackState


VARIABLE = "MELTANODATA_DELETE_DATABASES"
"""The environment variable that names the tenants whose databases may be deleted, separated by commas."""

HOOK = f"only-with-{VARIABLE}"
"""The hook's name in the state. `pulumi destroy` without the program shows it."""

_GUARDED = {
    ROLES[Type.CLUSTER]: Type.CLUSTER,
    ROLES[Type.RECORD]: Type.RECORD,
    "verify": Type.COMMAND,
    "wipe": Type.COMMAND,
}
"""The resources that have the hook, type by role. The engine deletes a resource before those that it depends on, and
keeps those where that fails. So with these it deletes nothing of a tenant whose database has to stay."""


def named(environment: Mapping[str, str]) -> frozenset[str]:
    """The tenants that an environment names."""
    return frozenset(re.split(r"[,\s]+", environment.get(VARIABLE, ""))) - {""}


def variable(tenants: Iterable[str]) -> dict[str, str]:
    """The environment that names these tenants and no others."""
    return {VARIABLE: ",".join(sorted(tenants))}


def with_database(state: StackState) -> frozenset[str]:
    """The tenants whose databases a state has; to create such a database is to replace it."""
    return frozenset(
        tenant_of(resource.name)
        for resource in state.resources
        if resource.type == Type.CLUSTER and not resource.is_replaced and not resource.awaits_replacement
    )


def unguarded(state: StackState, declared: Collection[str]) -> list[str]:
    """The tenants whose databases a run would delete without calling the hook, by name.

    An older version of the program wrote such a state. A run writes the hooks of whatever it declares, and declares
    nothing of a tenant whose entry is gone.
    """
    databases: set[str] = set()
    without_hook: set[str] = set()
    for resource in state.resources:
        tenant = tenant_of(resource.name)
        if _GUARDED.get(resource.name.removeprefix(f"{tenant}-")) != resource.type or resource.awaits_replacement:
            continue
        if tenant in declared and not resource.is_replaced:
            continue
        if resource.type == Type.CLUSTER:
            databases.add(tenant)
        if HOOK not in (resource.json.get("resourceHooks") or {}).get("BeforeDelete", ()):
            without_hook.add(tenant)
    return sorted(databases & without_hook)


def refusal(tenants: Iterable[str]) -> str:
    """Why databases are not deleted, and what to do."""
    names = sorted(tenants)
    lines = [
        f"{tenant}: this run would delete its database with all data and backups, without permission."
        " Nothing of the tenant is deleted."
        for tenant in names
    ]
    lines.append(
        "To keep a tenant, restore its entry in the fleet file. To delete it, run `meltanodata up --allow"
        " guard:data-loss`, which shows the plan first; or, with pulumi itself, name it for that run:"
        f" {VARIABLE}={','.join(names)}"
    )
    return "\n".join(lines)
