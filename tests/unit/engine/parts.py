"""The parts of a tenant in an exported state, with the outputs that a test says."""

from __future__ import annotations

import json
from typing import Any

ROOT = "urn:pulumi:prod::meltanodata::"
SECRET = "1b47061264138c4ac30d75fd1eb44270"


def secret(value: object) -> dict[str, str]:
    """As `pulumi stack export --show-secrets` has it."""
    return {"4dabf18193072939515e22adb298388d": SECRET, "plaintext": json.dumps(value)}


def part(tenant: str, type_: str, role: str, /, **outputs: Any) -> dict[str, Any]:
    return {
        "urn": f"{ROOT}meltanodata:index:Tenant${type_}::{tenant}-{role}",
        "type": type_,
        "parent": f"{ROOT}meltanodata:index:Tenant::{tenant}",
        "outputs": outputs,
    }


def component(tenant: str, **inputs: Any) -> dict[str, Any]:
    urn = f"{ROOT}meltanodata:index:Tenant::{tenant}"
    # What an up for some of the tenant's resources leaves as it was.
    return {"urn": urn, "type": "meltanodata:index:Tenant", "inputs": inputs, "outputs": {"address": "192.0.2.1"}}


def state(*resources: dict[str, Any]) -> dict[str, Any]:
    return {"deployment": {"resources": list(resources)}}
