"""A tenant that cannot be planned is declared as the state has it: the engine neither changes nor deletes it.

See docs/decisions/tenants-left-alone.md.
"""

from __future__ import annotations

from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, Any

import pulumi

from meltanodata.engine import urns
from meltanodata.engine.resource_types import TENANT, Type

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meltanodata.engine.stack_state import Resource, TenantState
    from meltanodata.program.context import Hooks, StackContext

_PACKAGES = {"digitalocean": "pulumi-digitalocean", "random": "pulumi-random", "command": "pulumi-command"}
"""The distribution with a type's SDK, whose version names the provider that the engine uses by default."""


def is_declarable(tenant: TenantState) -> bool:
    """Whether a tenant can be declared as its state has it.

    A killed run may have deleted what it had to replace: whoever declares that creates its successor.
    """
    resources = tenant.resources.values()
    return tenant.component is not None and not any(resource.awaits_replacement for resource in resources)


def declare(tenant: TenantState, stack: StackContext) -> Mapping[str, Any]:
    """Declare all that a state has of a tenant, and return the stack's outputs for it."""
    parent = pulumi.ComponentResource(TENANT, tenant.name, dict(tenant.inputs))
    declared: dict[str, pulumi.Resource] = {}
    for resource in tenant.resources.values():
        made = _resource(resource, parent, declared, stack)
        declared[resource.urn] = made
        if stack.hooks.deletion.guards(resource.type, resource.role):
            stack.hooks.deletion.declares(made)
    outputs = dict(tenant.component.outputs) if tenant.component else {}
    password = next((it for urn, it in declared.items() if urn.endswith("-admin-password")), None)
    if outputs.get("admin_password") is not None and password is not None:
        # The exported state has it encrypted.
        outputs["admin_password"] = getattr(password, "result")  # noqa: B009 - declared by its name
    return outputs


def _resource(
    resource: Resource, parent: pulumi.Resource, declared: Mapping[str, pulumi.Resource], stack: StackContext
) -> pulumi.CustomResource:
    """A resource with everything beside its inputs as in the state; the engine puts the state's in their place."""
    json = resource.json
    dependencies = {
        name: [declared[urn] for urn in urns_ if urn in declared]
        for name, urns_ in (json.get("propertyDependencies") or {}).items()
        if urns_
    }
    inputs: dict[str, Any] = {name: _known_after(resources) for name, resources in dependencies.items()}
    outputs = {"result": None} if resource.type == Type.PASSWORD else {}
    package = resource.type.partition(":")[0]
    team = stack.providers.get(urns.name_of(resource.provider)) if resource.provider else None
    options = pulumi.ResourceOptions(
        parent=parent,
        provider=team,
        version=None if team is not None else _version(package),
        ignore_changes=["*"],
        replacement_trigger=json.get("replacementTrigger"),
        depends_on=[declared[urn] for urn in json.get("dependencies") or () if urn in declared],
        deleted_with=declared.get(resource.deleted_with or ""),
        additional_secret_outputs=json.get("additionalSecretOutputs"),
        custom_timeouts=_timeouts(json.get("customTimeouts") or {}),
        hooks=_hooks(json.get("resourceHooks") or {}, stack.hooks),
    )
    return pulumi.CustomResource(resource.type, resource.name, inputs | outputs, options)


def _known_after(resources: list[pulumi.Resource]) -> pulumi.Output[str]:
    """A value that depends on these resources, and that nobody reads."""
    return pulumi.Output.all(*(resource.urn for resource in resources)).apply(lambda _: "")


@cache
def _version(package: str) -> str:
    return metadata.version(_PACKAGES[package])


def _timeouts(seconds: Mapping[str, float]) -> pulumi.CustomTimeouts | None:
    given = {kind: f"{seconds[kind]:g}s" for kind in ("create", "update", "delete") if seconds.get(kind)}
    return pulumi.CustomTimeouts(**given) if given else None


_HOOKS = {
    "BeforeCreate": "before_create",
    "AfterCreate": "after_create",
    "BeforeUpdate": "before_update",
    "AfterUpdate": "after_update",
    "BeforeDelete": "before_delete",
    "AfterDelete": "after_delete",
    "OnError": "on_error",
}


def _hooks(names: Mapping[str, list[str]], hooks: Hooks) -> pulumi.ResourceHookBinding:
    """The hooks that a state names, without those of an older version that nobody registers any more."""
    known = hooks.by_name
    bound: dict[str, Any] = {
        _HOOKS[moment]: [known[name] for name in named if name in known]
        for moment, named in names.items()
        if moment in _HOOKS
    }
    return pulumi.ResourceHookBinding(**bound)
