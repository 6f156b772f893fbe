"""A database team with its tenants, moved from one stack's state into another's. Pure.

What is written are states as `pulumi stack export` prints them. Nothing here touches the world; why the order is target
first, and why not the engine's own `pulumi state move`, is in docs/decisions/moving-a-team.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meltanodata.engine import urns
from meltanodata.engine.resource_types import STACK, TEAM_PROVIDER
from meltanodata.engine.stack_state import Resource, StackState, rewritten
from meltanodata.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


def tenants(state: StackState, team: str) -> list[str]:
    """The tenants of a team that a state has."""
    return [tenant.name for tenant in state.tenants.values() if tenant.team == team]


def holds(state: StackState, team: str) -> bool:
    """Whether a state has anything of a team: tenants, or its provider alone."""
    return bool(_members(state, team))


def without(source: Mapping[str, Any], team: str) -> dict[str, Any]:
    """A state without a team's tenants, their outputs and the team's provider.

    Raises:
        UserError: something that stays refers to something that goes.
    """
    state = StackState(source)
    gone, moved = _members(state, team), tenants(state, team)
    left = [resource for resource in state.resources if resource.urn not in gone]
    if bound := sorted({resource.name for resource in left if not gone.isdisjoint(resource.references())}):
        raise UserError(f"{', '.join(bound)}: refers to what belongs to {team}, so the team cannot move alone")
    return state.with_resources(
        _with_outputs(resource.json, remove=moved) if resource.type == STACK else resource.json for resource in left
    )


def joined(
    source: Mapping[str, Any], target: Mapping[str, Any], team: str, stack: str, droplet_team: str
) -> dict[str, Any]:
    """The target's state with a team's tenants as the source has them, in place of what it has of the team already.

    Whatever the tenants use of other teams (the droplets') or of none (the plugins without settings) is the target's
    own, and is copied only where the target has nothing of that name yet. Each stack has a provider of the droplet
    team, with tenants or without. The source has its secrets decrypted: the engine encrypts them with the target's
    key when it takes the state in. The target's own secrets may be encrypted.

    Raises:
        UserError: what moves refers to something that stays, or the target has no key for secrets.
    """
    if not target["deployment"].get("secrets_providers"):
        raise UserError(f"the stack {stack} has no key for secrets yet; create it again: pulumi stack init {stack}")
    state = StackState(source)
    members, keys = _members(state, team), tenants(state, team)
    (root,) = (resource for resource in state.resources if resource.type == STACK)
    project, old, new = urns.project_of(root.urn), urns.prefix(urns.stack_of(root.urn)), urns.prefix(stack)
    # What becomes something else than its URN with the other stack's name.
    special = {root.urn: f"{new}{project}::{STACK}::{project}-{stack}"}

    def in_target(text: str) -> str:
        """As it stands in the target's state: URNs hold the stack's name."""
        return special.get(text) or (new + text.removeprefix(old) if text.startswith(old) else text)

    outputs = {key: value for key, value in _outputs(root.json).items() if key in keys}
    kept = StackState(without(target, team)).resources or (
        Resource.read({**rewritten(root.json, in_target), "outputs": {}}),
    )
    present = {resource.urn: resource for resource in kept}
    moving = [resource for resource in state.resources if resource.urn in members]
    used = {resource.json["provider"] for resource in moving if resource.provider}
    copied = []
    for provider in state.resources:
        needed = _reference(provider) in used or _is_provider_of(provider, droplet_team)
        if not needed or provider.urn in members:
            continue
        own = present.get(in_target(provider.urn))
        if own is None:
            copied.append(provider)
        else:
            special[_reference(provider)] = _reference(own)
    arrived = [Resource.read(rewritten(resource.json, in_target)) for resource in (*copied, *moving)]
    known = {*present, *(resource.urn for resource in arrived)}
    if bound := sorted({resource.name for resource in arrived if not known.issuperset(resource.references())}):
        raise UserError(f"{', '.join(bound)}: refers to what does not belong to {team}, so the team cannot move alone")
    if twice := sorted(resource.name for resource in arrived if resource.urn in present):
        raise UserError(f"{', '.join(twice)}: is already in the state of {stack}, as another team's")
    return StackState(target).with_resources(
        _with_outputs(resource.json, add=outputs) if resource.type == STACK else resource.json
        for resource in (*kept, *arrived)
    )


def _reference(provider: Resource) -> str:
    """How resources refer to their provider."""
    return f"{provider.urn}::{provider.id}"


def _is_provider_of(resource: Resource, team: str) -> bool:
    return resource.type == TEAM_PROVIDER and resource.name == team


def _members(state: StackState, team: str) -> set[str]:
    """The URNs of a team's tenants with all that is theirs, and of the team's provider if nobody else uses it."""
    moving = tenants(state, team)
    others = [resource for resource in state.resources if resource.tenant not in moving]
    used = {resource.provider for resource in others}
    return {
        resource.urn
        for resource in state.resources
        if resource.tenant in moving or (_is_provider_of(resource, team) and resource.urn not in used)
    }


def _outputs(root: Mapping[str, Any]) -> dict[str, Any]:
    """The stack's outputs about its tenants, see program/run.py."""
    return (root.get("outputs") or {}).get("tenants") or {}


def _with_outputs(
    root: Mapping[str, Any], *, add: Mapping[str, Any] | None = None, remove: Collection[str] = ()
) -> dict[str, Any]:
    outputs = {**{key: value for key, value in _outputs(root).items() if key not in remove}, **(add or {})}
    return {**root, "outputs": {**(root.get("outputs") or {}), "tenants": outputs}}
