"""The reader of a stack's state, as `pulumi stack export` prints it. Pure.

Its form is Pulumi's own, version 3: https://www.pulumi.com/docs/iac/cli/commands/pulumi_stack_export/.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

from meltanodata.config.lifetime import Lifetime
from meltanodata.config.options import Options
from meltanodata.engine import urns
from meltanodata.engine.resource_types import OBJECTS, ROLES, STACK, TENANT, Type, resource_name, tenant_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

CREATING = "creating"
"""The kind of a pending operation whose object the state does not have."""

Ids: TypeAlias = "Mapping[tuple[str, Type], str]"
"""The ids of tenants' objects, by tenant and type."""


@dataclass(frozen=True)
class Resource:
    """A resource in a state."""

    json: Mapping[str, Any] = field(repr=False)
    """As it stands there; it may have secrets."""
    urn: str
    """Its own, which a resource that is replaced shares with its successor."""
    type: str
    id: str | None
    """The object's; None for a component."""
    parent: str | None
    """The parent's URN."""
    provider: str | None
    """The URN of its provider; a team's provider has the team's name."""
    inputs: Mapping[str, Any] = field(repr=False)
    """What it was declared with when it was last applied."""
    outputs: Mapping[str, Any] = field(repr=False)
    """What the provider answered; see `opened` for secrets."""
    deleted_with: str | None
    """The URN of the resource whose deletion deletes this one."""
    is_replaced: bool
    """Whether it has a successor, and is only still to be deleted."""
    awaits_replacement: bool
    """Whether it is deleted, and its successor is not created yet."""

    @classmethod
    def read(cls, json: Mapping[str, Any]) -> Resource:
        """A resource of an exported state."""
        return cls(
            json=json,
            urn=json["urn"],
            type=json["type"],
            id=json.get("id"),
            parent=json.get("parent"),
            provider=json["provider"].rsplit("::", 1)[0] if json.get("provider") else None,
            inputs=json.get("inputs") or {},
            outputs=json.get("outputs") or {},
            deleted_with=json.get("deletedWith"),
            is_replaced=bool(json.get("delete")),
            awaits_replacement=bool(json.get("pendingReplacement")),
        )

    @property
    def name(self) -> str:
        """Such as `acme-droplet`."""
        return urns.name_of(self.urn)

    @property
    def tenant(self) -> str | None:
        """The tenant whose component it is, or is a child of."""
        if self.type == TENANT:
            return self.name
        return urns.name_of(self.parent) if self.parent and urns.type_of(self.parent) == TENANT else None

    @property
    def role(self) -> str:
        """Its name without the tenant's: `host-key` of `acme-host-key`."""
        return self.name.removeprefix(f"{self.tenant}-")

    def references(self) -> Iterator[str]:
        """The URNs of all that has to be in a state with it."""
        yield from (urn for urn in (self.parent, self.provider, self.deleted_with) if urn)
        yield from self.json.get("dependencies") or []
        for dependencies in (self.json.get("propertyDependencies") or {}).values():
            yield from dependencies or []
        yield from self.json.get("replaceWith") or []


@dataclass(frozen=True)
class TenantState:
    """A tenant in a state."""

    name: str
    component: Resource | None
    """It stands before its resources; None only in a state that somebody edited."""
    resources: Mapping[str, Resource]
    """By role, without those that are replaced."""

    @property
    def droplet(self) -> Resource | None:
        """Its droplet."""
        return self.resources.get(ROLES[Type.DROPLET])

    @property
    def cluster(self) -> Resource | None:
        """Its database cluster."""
        return self.resources.get(ROLES[Type.CLUSTER])

    @property
    def firewall(self) -> Resource | None:
        """Its cluster's firewall."""
        return self.resources.get(ROLES[Type.FIREWALL])

    @property
    def inputs(self) -> Mapping[str, Any]:
        """Its component's: the entry, defaults filled in, and what the program notes beside it."""
        return self.component.inputs if self.component else {}

    @property
    def options(self) -> Options:
        """The entry's options as they were last applied."""
        return Options.model_validate(
            {name: value for name, value in self.inputs.items() if name in Options.model_fields}
        )

    @property
    def team(self) -> str | None:
        """The database team."""
        return self.inputs.get("database_team")

    @property
    def rebuild(self) -> object:
        """The `rebuild` that its droplet was made with; None where the state does not say."""
        return self.droplet and self.droplet.json.get("replacementTrigger")


@dataclass(frozen=True)
class Database:
    """A tenant's cluster as a state knows it."""

    cluster: str
    """Its id."""
    team: str
    trusted: frozenset[str]
    """The addresses that the state's firewall lets in; none where it has no firewall yet."""


@dataclass(frozen=True, order=True)
class Pending:
    """A pending operation: the engine recorded its begin, and a killed run did not record its end."""

    kind: str
    """`creating`, `updating`, `deleting`, `importing` or `reading`."""
    urn: str

    def __str__(self) -> str:
        return f"{self.kind} {urns.name_of(self.urn)}"


@dataclass(frozen=True)
class StackState:
    """A stack's state."""

    exported: Mapping[str, Any] = field(repr=False)
    """What `pulumi stack export` prints."""

    @cached_property
    def resources(self) -> tuple[Resource, ...]:
        """In the state's order, parents before their children; none for a stack that was never applied."""
        return tuple(map(Resource.read, self.exported["deployment"].get("resources") or ()))

    @cached_property
    def pending(self) -> tuple[Pending, ...]:
        """The pending operations."""
        noted = self.exported["deployment"].get("pending_operations") or ()
        return tuple(sorted(Pending(operation["type"], operation["resource"]["urn"]) for operation in noted))

    @property
    def creations(self) -> list[tuple[str, Type, str]]:
        """The pending creations of listed objects: the tenant, the type and the name at DigitalOcean."""
        creations = []
        for operation in self.exported["deployment"].get("pending_operations") or ():
            resource = operation["resource"]
            name = (resource.get("inputs") or {}).get("name")
            if operation["type"] == CREATING and resource.get("type") in OBJECTS and name:
                creations.append((tenant_of(urns.name_of(resource["urn"])), Type(resource["type"]), str(name)))
        return creations

    @property
    def awaiting_replacement(self) -> tuple[Resource, ...]:
        """What was deleted for a replacement that a killed run has not created."""
        return tuple(resource for resource in self.resources if resource.awaits_replacement)

    @property
    def unfinished(self) -> list[str]:
        """What a killed run has left to do, in words."""
        return [
            *map(str, self.pending),
            *(f"replacing {resource.name}" for resource in self.awaiting_replacement),
            *(f"deleting {resource.name}" for resource in self.resources if resource.is_replaced),
        ]

    @cached_property
    def tenants(self) -> Mapping[str, TenantState]:
        """By name; also those that have no entry any more."""
        components: dict[str, Resource] = {}
        resources: dict[str, dict[str, Resource]] = {}
        for resource in self.resources:
            if resource.tenant is None or resource.is_replaced:
                continue
            children = resources.setdefault(resource.tenant, {})
            if resource.type == TENANT:
                components[resource.tenant] = resource
            else:
                children[resource.role] = resource
        return {name: TenantState(name, components.get(name), children) for name, children in resources.items()}

    @cached_property
    def _exported_certificate(self) -> Mapping[str, str]:
        """What the program exports of the stack's certificate: `fingerprint`, `begins`, `ends`."""
        outputs = next((each.outputs for each in self.resources if each.type == STACK), {})
        certificate: Mapping[str, str] = outputs.get("certificate") or {}
        return certificate

    def certificate(self, tenant: TenantState) -> Lifetime | None:
        """How long a tenant's wildcard certificate is valid; None for a tenant without one.

        A certificate that is not the one exported last has only its last day in the state. Then this is as of one that
        begins when it ends, so it is due once it has expired.
        """
        last_day = tenant.inputs.get("certificate_expires")
        if tenant.inputs.get("tls") != "wildcard" or last_day is None:
            return None
        exported = self._exported_certificate
        if exported.get("fingerprint") == tenant.inputs.get("certificate"):
            return Lifetime(*(datetime.fromisoformat(exported[name]) for name in ("begins", "ends")))
        end = datetime.combine(date.fromisoformat(last_day), time.max, UTC)
        return Lifetime(end, end)

    @cached_property
    def ids(self) -> Ids:
        """The ids of the tenants' objects, by name whatever their parents; without those that are replaced."""
        ids = {}
        for resource in self.resources:
            if resource.type in OBJECTS and resource.id and not resource.is_replaced:
                tenant, type_ = tenant_of(resource.name), Type(resource.type)
                if resource.name == resource_name(tenant, type_):
                    ids[tenant, type_] = resource.id
        return ids

    @cached_property
    def objects(self) -> Mapping[tuple[str, str], Resource]:
        """Everything that has an id, by type and id; also what is replaced and still to be deleted."""
        return {(resource.type, str(resource.id)): resource for resource in self.resources if resource.id}

    @property
    def databases(self) -> Mapping[str, Database]:
        """The tenants' clusters, by tenant."""
        databases = {}
        for tenant in self.tenants.values():
            cluster, firewall = tenant.cluster, tenant.firewall
            if cluster and cluster.id and cluster.provider:
                rules = (firewall.inputs.get("rules") if firewall else None) or ()
                trusted = frozenset(rule["value"] for rule in rules)
                databases[tenant.name] = Database(cluster.id, urns.name_of(cluster.provider), trusted)
        return databases

    def with_resources(self, resources: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
        """The exported state with other resources."""
        return {**self.exported, "deployment": {**self.exported["deployment"], "resources": list(resources)}}


def rewritten(value: Any, word: Callable[[str], str]) -> Any:
    """A value of a state with what `word` makes of each text in it; the names of members stay."""
    match value:
        case str():
            return word(value)
        case dict():
            return {key: rewritten(inner, word) for key, inner in value.items()}
        case list():
            return [rewritten(inner, word) for inner in value]
        case _:
            return value


def opened(value: Any) -> Any:
    """A value of a state that was exported with its secrets decrypted, each secret replaced by its plain value."""
    match value:
        case {"plaintext": str(text)}:
            return json.loads(text)
        case dict():
            return {key: opened(inner) for key, inner in value.items()}
        case list():
            return [opened(inner) for inner in value]
        case _:
            return value
