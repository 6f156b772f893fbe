"""What `pulumi stack export` tells: the stack's state as the engine keeps it. Pure.

Its form is Pulumi's own, version 3: https://www.pulumi.com/docs/iac/cli/commands/pulumi_stack_export/.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def resources(exported: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The state's resources, in its order; none for a stack that was never applied."""
    found: list[dict[str, Any]] = exported["deployment"].get("resources") or []
    return found


def name(urn: str) -> str:
    """A resource's name: https://www.pulumi.com/docs/iac/concepts/resources/names/#urns."""
    return urn.rsplit("::", 1)[1]


def ids(exported: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    """The ids that the state knows, by Pulumi's type and the resource's name; without what is only to be deleted."""
    return {
        (resource["type"], name(resource["urn"])): resource["id"]
        for resource in resources(exported)
        if resource.get("id") and not resource.get("delete")
    }


def opened(value: Any) -> Any:
    """A value of a state that was exported with its secrets in the open, with what they hide in their place."""
    match value:
        case {"plaintext": str(text)}:
            return json.loads(text)
        case dict():
            return {key: opened(inner) for key, inner in value.items()}
        case list():
            return [opened(inner) for inner in value]
        case _:
            return value


def replacement_triggers(exported: Mapping[str, Any]) -> dict[str, Any]:
    """By the resource's name, the value whose change replaces it, as it was when it was made."""
    return {
        name(resource["urn"]): resource["replacementTrigger"]
        for resource in resources(exported)
        if "replacementTrigger" in resource and not resource.get("delete")
    }
