"""What `pulumi stack export` tells: the stack's state as the engine keeps it. Pure.

Its form is Pulumi's own, version 3: https://www.pulumi.com/docs/iac/cli/commands/pulumi_stack_export/.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meltanodata.engine.resource_types import Type

if TYPE_CHECKING:
    from collections.abc import Mapping


def resources(exported: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The state's resources, in its order; none for a stack that was never applied."""
    found: list[dict[str, Any]] = exported["deployment"].get("resources") or []
    return found


def name(urn: str) -> str:
    """A resource's name: https://www.pulumi.com/docs/iac/concepts/resources/names/#urns."""
    return urn.rsplit("::", 1)[1]


def tenant_of(resource: str) -> str:
    """The tenant in the name of one of its resources."""
    return resource.rpartition("-")[0]


def kind(urn: str) -> str:
    """A resource's own type, without its parents': the last of `$` in the third part of its URN."""
    return urn.split("::", 3)[2].rsplit("$", 1)[-1]


def ids(exported: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    """The ids that the state knows, by Pulumi's type and the resource's name; without what is only to be deleted."""
    return {
        (resource["type"], name(resource["urn"])): resource["id"]
        for resource in resources(exported)
        if resource.get("id") and not resource.get("delete")
    }


@dataclass(frozen=True)
class Database:
    """A tenant's cluster as the state knows it."""

    cluster: str
    """Its id."""
    team: str
    trusted: frozenset[str]
    """The addresses that the state's firewall lets in; none where it has no firewall yet."""


def databases(exported: Mapping[str, Any]) -> dict[str, Database]:
    """The clusters that the state knows, by the tenant's key; also of tenants that have no entry any more."""
    living = {(it["type"], name(it["urn"])): it for it in resources(exported) if not it.get("delete")}
    found = {}
    for (type_, title), resource in living.items():
        if type_ != Type.CLUSTER or not resource.get("id"):
            continue
        key = title.removesuffix("-database")
        rules = (living.get((Type.FIREWALL, f"{key}-firewall"), {}).get("inputs") or {}).get("rules") or ()
        # A provider is named after its team (teams.py), and referred to by its URN and its id.
        team = name(resource["provider"].rsplit("::", 1)[0])
        found[key] = Database(resource["id"], team, frozenset(rule["value"] for rule in rules))
    return found


def owner(resource: Mapping[str, Any]) -> str:
    """Whose a resource is: the name of what it is below, a tenant's component; its own where it is below nothing."""
    return name(resource.get("parent") or resource["urn"])


def inputs(exported: Mapping[str, Any], type_: str) -> dict[str, Mapping[str, Any]]:
    """What the resources of a type were declared with when they were last applied, by the resource's name."""
    return {
        name(resource["urn"]): resource.get("inputs") or {}
        for resource in resources(exported)
        if resource["type"] == type_ and not resource.get("delete")
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
