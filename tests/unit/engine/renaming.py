"""States of stacks whose tenants have the types and names of the program, for tests of renaming."""

from __future__ import annotations

from typing import Any

from meltanodata.engine.resource_types import Type
from tests.unit.engine.stacks import TENANT, resources, urn
from tests.unit.engine.stacks import state as with_tenants


def state(*keys: str, **adopt: dict[str, str]) -> dict[str, Any]:
    """A stack with tenants, their types and names as the program has them."""
    made = with_tenants("a", dict.fromkeys(keys, "DBs 1"), "DBs 1")
    for key in keys:
        own = [it for it in resources(made) if it.get("parent", "").endswith(f"::{key}") or is_component(it, key)]
        found = {it["urn"].rpartition("::")[2]: it for it in own}
        found[key]["inputs"] |= {"adopt": adopt[key]} if key in adopt else {}
        found[f"{key}-droplet"]["type"] = Type.DROPLET
        found[f"{key}-database"] |= {"type": Type.CLUSTER, "inputs": {"name": f"db-postgresql-nyc3-12345-{key}"}}
        record = {**found[f"{key}-droplet"], "urn": urn("a", f"{TENANT}${Type.RECORD}", f"{key}-record")}
        made["deployment"]["resources"].append(
            {**record, "type": Type.RECORD, "dependencies": [found[f"{key}-droplet"]["urn"]]}
        )
    return made


def is_component(resource: dict[str, Any], key: str) -> bool:
    """Whether it is a tenant's component."""
    return bool(resource["urn"] == urn("a", TENANT, key))
