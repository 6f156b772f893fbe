"""A stack's exported state with finished tenants, in the engine's shape."""

from __future__ import annotations

from typing import Any

from tests import previews


def exported(*keys: str, **inputs: Any) -> dict[str, Any]:
    """A stack's state with finished tenants."""
    resources: list[dict[str, Any]] = [{"urn": previews.ROOT, "type": "pulumi:pulumi:Stack"}]
    for key in keys:
        resources.append(
            {
                "urn": previews.urn(key),
                "type": previews.COMPONENT,
                "parent": previews.ROOT,
                "inputs": previews.options(**inputs),
                "outputs": {"url": f"https://{key}.meltanodata.com"},
            }
        )
        outputs: dict[str, dict[str, Any]] = {
            "droplet": {"size": "s-2vcpu-2gb", "region": "nyc3", "ipv4Address": "198.51.100.7"},
            "database": {"version": "16"},
        }
        resources += [
            {
                "urn": previews.urn(key, role),
                "type": str(kind),
                "parent": previews.urn(key),
                "id": f"{key}-{role}-id",
                "modified": "2026-11-20T01:02:03.000000004Z",
                "outputs": outputs.get(role, {}),
            }
            for role, kind in previews.CHILDREN.items()
        ]
    return {"version": 3, "deployment": {"resources": resources}}
