"""A tenant under another name: in the stack's state, and in its entry. Pure.

States are as `pulumi stack export` prints them (deployment.py). Nothing here touches the world: the objects keep their
names, which the entry states from then on. Why a command and not Pulumi's aliases: docs/decisions/renaming-a-tenant.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meltanodata.config.object_names import droplet_of, record_of, tenant_of_cluster
from meltanodata.config.options import Options
from meltanodata.engine import stack_state
from meltanodata.engine.resource_types import CLUSTER, DROPLET, RECORD, STACK, TENANT
from meltanodata.engine.stack_state import name, resources
from meltanodata.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping


def unmade(exported: Mapping[str, Any], tenant: str) -> list[str]:
    """What a state does not have of a tenant's yet: whatever there is of it goes by the tenant's name alone."""
    known = stack_state.ids(exported)
    return [kind for type_, kind in (DROPLET, RECORD, CLUSTER) if (type_, f"{tenant}-{kind}") not in known]


def holds(exported: Mapping[str, Any], tenant: str) -> bool:
    """Whether a state holds a tenant."""
    return tenant in stack_state.inputs(exported, TENANT)


def adopted(exported: Mapping[str, Any], tenant: str) -> dict[str, str]:
    """What `adopt` has to say of a tenant so that under any other name its objects are called as they are.

    Args:
        exported: the state.
        tenant: its name there.
    """
    options = _options(exported, tenant)
    droplet = {"droplet": options.adopt.droplet} if options.adopt and options.adopt.droplet else {}
    cluster = stack_state.inputs(exported, CLUSTER[0]).get(f"{tenant}-{CLUSTER[1]}", {}).get("name")
    database = {"database": str(cluster)} if cluster else {}
    return {**droplet, "record": record_of(tenant, options), **database}


def misnamed(exported: Mapping[str, Any], tenant: str, key: str, entry: Options, domain: str) -> list[str]:
    """The names by which an entry does not find the objects that a state has of a tenant, as `adopt` would have them.

    Args:
        exported: the state.
        tenant: the tenant's name there.
        key: the entry's name.
        entry: the entry.
        domain: the tenants'.
    """
    options, database = _options(exported, tenant), adopted(exported, tenant).get("database", "")
    stated = entry.adopt.database if entry.adopt else None
    named = {
        "droplet": (droplet_of(key, entry, domain), droplet_of(tenant, options, domain)),
        "record": (record_of(key, entry), record_of(tenant, options)),
        "database": (stated or (database if tenant_of_cluster(database) == key else ""), database),
    }
    return [f"{kind}: {held}" for kind, (wanted, held) in named.items() if wanted != held]


def _options(exported: Mapping[str, Any], tenant: str) -> Options:
    """A tenant's options as they were last applied."""
    inputs = stack_state.inputs(exported, TENANT)[tenant]
    return Options.model_validate({option: it for option, it in inputs.items() if option in Options.model_fields})


def renamed(exported: Mapping[str, Any], old: str, new: str) -> dict[str, Any]:
    """The state with a tenant under another name.

    Raises:
        UserError: the state has something of the new name, or something of the tenant's that is not called after it.
    """
    urns = _urns(exported, old, new)
    if taken := sorted(name(it["urn"]) for it in resources(exported) if it["urn"] in urns.values()):
        raise UserError(f"{', '.join(taken)}: is in the state already, so {old} cannot be called {new}")
    found = []
    for resource in resources(exported):
        # What was asked for and came of it are other people's words: only what the engine keeps for itself is renamed.
        own = {field: value for field, value in resource.items() if field not in {"inputs", "outputs"}}
        changed = {**resource, **_replaced(own, urns)}
        if resource["type"] == TENANT and name(resource["urn"]) == old:
            inputs = resource.get("inputs") or {}
            adopt = {"login": "new", **(inputs.get("adopt") or {}), **adopted(exported, old)}
            changed["inputs"] = {**inputs, "adopt": adopt}
        elif resource["type"] == STACK:
            changed["outputs"] = _outputs(resource.get("outputs") or {}, old, new)
        found.append(changed)
    return {**exported, "deployment": {**exported["deployment"], "resources": found}}


def _urns(exported: Mapping[str, Any], old: str, new: str) -> dict[str, str]:
    """The URNs of a tenant's component and of all that is below it, and what they become."""
    urns: dict[str, str] = {}
    for resource in resources(exported):  # parents stand before their children
        urn = resource["urn"]
        component = resource["type"] == TENANT and name(urn) == old
        if not component and resource.get("parent") not in urns:
            continue
        if not component and not name(urn).startswith(f"{old}-"):
            raise UserError(f"{name(urn)}: is below {old} in the state and is not called after it; nothing is renamed")
        urns[urn] = urn.rpartition("::")[0] + "::" + new + name(urn).removeprefix(old)
    return urns


def _replaced(value: Any, urns: Mapping[str, str]) -> Any:
    match value:
        case str():
            return urns.get(value, value)
        case dict():
            return {key: _replaced(inner, urns) for key, inner in value.items()}
        case list():
            return [_replaced(inner, urns) for inner in value]
        case _:
            return value


def _outputs(outputs: Mapping[str, Any], old: str, new: str) -> dict[str, Any]:
    """What the stack says of its tenants, see program/run.py."""
    said = outputs.get("tenants") or {}
    return {**outputs, "tenants": {new if key == old else key: value for key, value in said.items()}}
