"""A database team with its tenants, moved from one stack's state into another's. Pure.

States are as `pulumi stack export` prints them (deployment.py). Nothing here touches the world; why the order is target
first, and why not the engine's own `pulumi state move`, is in docs/decisions/moving-a-team.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meltanodata.engine import recovery
from meltanodata.engine.resource_types import STACK, TEAM_PROVIDER, TENANT
from meltanodata.engine.stack_state import name, resources
from meltanodata.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


def tenants(exported: Mapping[str, Any], team: str) -> list[str]:
    """The tenants of a team that a state holds."""
    return [name(resource["urn"]) for resource in resources(exported) if _is_tenant_of(resource, team)]


def holds(exported: Mapping[str, Any], team: str) -> bool:
    """Whether a state holds anything of a team: tenants, or the connection alone."""
    return bool(_members(exported, team))


def unfinished(exported: Mapping[str, Any]) -> list[str]:
    """What a run that was ended in the middle has left to do, in words."""
    return [
        *map(str, recovery.pending(exported)),
        *(f"replacing {name(urn)}" for urn in recovery.awaiting_replacement(exported)),
        *(f"deleting {name(resource['urn'])}" for resource in resources(exported) if resource.get("delete")),
    ]


def without(source: Mapping[str, Any], team: str) -> dict[str, Any]:
    """A state without a team's tenants, their outputs and the connection to the team.

    Raises:
        UserError: something that stays refers to something that goes.
    """
    gone = _members(source, team)
    left = [resource for resource in resources(source) if resource["urn"] not in gone]
    if bound := sorted({name(resource["urn"]) for resource in left if gone.intersection(_references(resource))}):
        raise UserError(f"{', '.join(bound)}: refers to what belongs to {team}, so the team cannot be taken out alone")
    keys = tenants(source, team)
    return _with(source, [_with_outputs(it, remove=keys) if it["type"] == STACK else it for it in left])


def joined(
    source: Mapping[str, Any], target: Mapping[str, Any], team: str, stack: str, droplet_team: str
) -> dict[str, Any]:
    """The target's state with a team's tenants as the source has them, in place of what it has of the team already.

    Whatever the tenants use of other teams (the droplets') or of none (the plugins without settings) is the target's
    own, and is copied only where the target has nothing of that name yet.

    Args:
        source: with its secrets in the open; the engine encrypts them with the target's key when it takes the state in.
        target: its own secrets may be encrypted.
        team: the team's name.
        stack: the target's name.
        droplet_team: the team's name that each stack has a connection to, with tenants or without.

    Raises:
        UserError: what moves refers to something that stays, or the target has no key for secrets.
    """
    if not target["deployment"].get("secrets_providers"):
        raise UserError(f"the stack {stack} has no key for secrets yet; make it anew: pulumi stack init {stack}")
    mine = _members(source, team)
    (root,) = (resource for resource in resources(source) if resource["type"] == STACK)
    renamed = _Renamed(root["urn"], stack)
    keys = tenants(source, team)
    outputs = {key: value for key, value in _outputs(root).items() if key in keys}

    kept = resources(without(target, team)) or [{**renamed.of(root), "outputs": {}}]
    there = {resource["urn"]: resource for resource in kept}
    moving = [resource for resource in resources(source) if resource["urn"] in mine]
    used = {resource["provider"] for resource in moving if resource.get("provider")}
    copied = []
    for provider in resources(source):
        reference = f"{provider['urn']}::{provider.get('id')}"
        needed = reference in used or _connects(provider, droplet_team)
        if not needed or provider["urn"] in mine:
            continue
        own = there.get(renamed.of(provider["urn"]))
        if own is None:
            copied.append(renamed.of(provider))
        else:
            renamed.known[reference] = f"{own['urn']}::{own['id']}"
    arrived = [*copied, *map(renamed.of, moving)]
    known = {*there, *(resource["urn"] for resource in arrived)}
    if bound := sorted({name(it["urn"]) for it in arrived if not known.issuperset(_references(it))}):
        raise UserError(f"{', '.join(bound)}: refers to what does not belong to {team}, so the team cannot move alone")
    if twice := sorted(name(it["urn"]) for it in arrived if it["urn"] in there):
        raise UserError(f"{', '.join(twice)}: is in the state of {stack} already, as another team's")
    kept = [_with_outputs(it, add=outputs) if it["type"] == STACK else it for it in kept]
    return _with(target, [*kept, *arrived])


class _Renamed:
    """Whatever stands in a stack's state, as it stands in another stack's: URNs hold the stack's name."""

    def __init__(self, root: str, stack: str) -> None:
        # https://www.pulumi.com/docs/iac/concepts/resources/names/#urns
        old, project, *_ = root.split("::")
        self._old, self._new = f"{old}::", f"urn:pulumi:{stack}::"
        self.known = {root: f"urn:pulumi:{stack}::{project}::{STACK}::{project}-{stack}"}
        """What becomes something else than its URN with the other stack's name."""

    def of(self, value: Any) -> Any:
        match value:
            case str() if value in self.known:
                return self.known[value]
            case str() if value.startswith(self._old):
                return self._new + value.removeprefix(self._old)
            case dict():
                return {key: self.of(inner) for key, inner in value.items()}
            case list():
                return [self.of(inner) for inner in value]
            case _:
                return value


def _is_tenant_of(resource: Mapping[str, Any], team: str) -> bool:
    return resource["type"] == TENANT and (resource.get("inputs") or {}).get("database_team") == team


def _connects(resource: Mapping[str, Any], team: str) -> bool:
    """Whether it is the connection to a team, see teams.py."""
    return resource["type"] == TEAM_PROVIDER and name(resource["urn"]) == team


def _members(exported: Mapping[str, Any], team: str) -> set[str]:
    """The URNs of a team's tenants with all that is theirs, and of the connection to the team if it is theirs alone."""
    found: set[str] = set()
    for resource in resources(exported):  # parents stand before their children
        if _is_tenant_of(resource, team) or resource.get("parent") in found:
            found.add(resource["urn"])
    others = [it for it in resources(exported) if it["urn"] not in found and it.get("provider")]
    shared = {it["provider"].rsplit("::", 1)[0] for it in others}
    for resource in resources(exported):
        if _connects(resource, team) and resource["urn"] not in shared:
            found.add(resource["urn"])
    return found


def _references(resource: Mapping[str, Any]) -> Iterator[str]:
    """The URNs of all that a resource needs to be in its own state."""
    if resource.get("parent"):
        yield resource["parent"]
    if resource.get("provider"):
        yield resource["provider"].rsplit("::", 1)[0]
    yield from resource.get("dependencies") or []
    for urns in (resource.get("propertyDependencies") or {}).values():
        yield from urns or []
    if resource.get("deletedWith"):
        yield resource["deletedWith"]
    yield from resource.get("replaceWith") or []


def _outputs(root: Mapping[str, Any]) -> dict[str, Any]:
    """What the stack says of its tenants, see program/run.py."""
    found: dict[str, Any] = (root.get("outputs") or {}).get("tenants") or {}
    return found


def _with_outputs(
    root: Mapping[str, Any], *, add: Mapping[str, Any] | None = None, remove: Sequence[str] = ()
) -> dict[str, Any]:
    said = {**{key: value for key, value in _outputs(root).items() if key not in remove}, **(add or {})}
    return {**root, "outputs": {**(root.get("outputs") or {}), "tenants": said}}


def _with(exported: Mapping[str, Any], found: list[dict[str, Any]]) -> dict[str, Any]:
    return {**exported, "deployment": {**exported["deployment"], "resources": found}}
