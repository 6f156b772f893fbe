"""The plan: what an `up` would do, one row a tenant, read from the JSON of `pulumi preview --json`.

Pure. The JSON's shape is the engine's `display.PreviewDigest` (pkg/v3/display/json.go) with `apitype.ResourceV3`
states; its text output is never read. A resource belongs to the tenant whose component is its parent, whatever the
resource's name.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

from meltanodata.engine import left_alone, urns
from meltanodata.engine.resource_types import OBJECTS, PROVIDER, ROLES, STACK, TENANT, Type, tenant_of
from meltanodata.errors import UserError
from meltanodata.inventory import kept_logins
from meltanodata.rollout import impact, prices
from meltanodata.rollout.impact import Effect, Frozen, LoginOutcome, Operation, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pydantic import JsonValue

    from meltanodata.config.placement import Use
    from meltanodata.engine.stack_state import Ids, StackState


_Value = TypeVar("_Value")

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""How the engine writes a value that is known only after the apply (plugin.UnknownStringValue)."""

SECRET = "[secret]"  # noqa: S105  a placeholder, no secret
"""How the engine writes a secret value in a preview."""

OPERATIONS = {
    "create": "create",
    "update": "update",
    "delete": "delete",
    "import": "import",
    "replace": "replace",
    "create-replacement": "replace",
    "delete-replaced": "replace",
    "import-replacement": "replace",
    "remove-pending-replace": "replace",
}
"""The engine's operations (pkg/v3/resource/deploy/step.go) that change an object or the state, and our names."""


class Change(StrEnum):
    """What happens to a tenant."""

    CREATED = "created"
    ADOPTED = "adopted"
    CHANGED = "changed"
    REPLACED = "replaced"
    DESTROYED = "destroyed"


class Reason(Frozen):
    """Something of the tenant that differs, as a reason for its row."""

    what: str
    """An option of tenants.yaml, or a property such as `droplet tags`; alone if there is no value to show."""
    before: str | None = None
    after: str | None = None
    option: bool = False
    """Whether it is an option of the tenant's entry or a setting, not a property of a resource."""


class Cost(Frozen):
    """US dollars a month; None where a size's price is unknown."""

    before: Decimal | None
    after: Decimal | None


class Row(Frozen):
    """What happens to one tenant."""

    tenant: str
    change: Change
    reasons: tuple[Reason, ...]
    effects: tuple[Effect, ...]
    cost: Cost | None
    """None if the plan touches no size."""
    team: str | None
    """The database team, if the plan has it."""
    operations: tuple[Operation, ...]
    objects: tuple[tuple[str, str], ...] | None = None
    """Role and id of each droplet, record and cluster that the state had of the tenant before; None if the state was
    not read, as in plans of an older version."""

    @property
    def severity(self) -> Severity:
        """The worst of its effects."""
        return max((effect.severity for effect in self.effects), default=Severity.NONE)

    def option(self, name: str) -> bool:
        """Whether this option of the entry changes."""
        return any(reason.option and reason.what == name for reason in self.reasons)


class Team(Frozen):
    """A team that the plan fills or empties: droplets in the droplet team, clusters in a database team."""

    name: str
    kind: str
    """`droplets` or `databases`."""
    before: int
    after: int
    limit: int
    full: bool = False


class LeftAlone(Frozen):
    """A tenant that cannot be planned: nothing of it is changed, and nothing deleted."""

    tenant: str
    reasons: tuple[str, ...]
    """With what to do, for a person."""


class Plan(Frozen):
    """Everything that an `up` would do in one stack."""

    stack: str
    tenants: int
    """How many tenants the stack had before, without those whose outputs a targeted `up` left unknown."""
    rows: tuple[Row, ...]
    """By the tenant's key."""
    others: tuple[Operation, ...]
    """Operations on what belongs to no tenant."""
    providers: tuple[str, ...] = ()
    """The URNs of connections to teams that are created, removed or get another token, which changes no object."""
    teams: tuple[Team, ...] = ()
    left_alone: tuple[LeftAlone, ...] = ()
    """The tenants that cannot be planned, by key; no part of the digest, since nothing is done to them."""

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that change whenever the planned operations or their reasons do."""
        facts = [
            [[row.tenant, row.change, [reason.model_dump() for reason in row.reasons]] for row in self.rows],
            [_fact(operation) for row in self.rows for operation in row.operations],
            [_fact(operation) for operation in self.others],
        ]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def empty(self) -> bool:
        """Whether the plan changes nothing."""
        return not self.rows and not self.others

    @property
    def deleted_databases(self) -> frozenset[str]:
        """The tenants whose databases it deletes or replaces."""
        operations = (*(operation for row in self.rows for operation in row.operations), *self.others)
        return frozenset(
            tenant_of(urns.name_of(operation.urn))
            for operation in operations
            if operation.type == Type.CLUSTER and operation.op in {"delete", "replace"}
        )

    def of(self, *changes: Change) -> tuple[Row, ...]:
        """The rows with one of these changes."""
        return tuple(row for row in self.rows if row.change in changes)


def read(preview: Mapping[str, Any], before: StackState | None = None) -> Plan:
    """The plan from a preview.

    Args:
        preview: the parsed output of `pulumi preview --json`, which omits unchanged resources.
        before: the stack's state before the preview, for `Row.objects`.

    Raises:
        UserError: the preview failed, with the engine's own errors; or it is no preview.
    """
    if errors := [message for line in preview.get("diagnostics") or [] if (message := error(line))]:
        raise UserError("The preview failed, so there is no plan:\n" + "\n".join(errors))
    steps: list[Mapping[str, Any]] = preview.get("steps") or []
    root = next((step for step in steps if urns.type_of(step["urn"]) == STACK), None)
    if root is None:
        raise UserError("This is not an output of `pulumi preview --json`: it does not contain the stack.")
    by_tenant: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    others: list[Mapping[str, Any]] = []
    parents = {step["urn"]: _parent(step) for step in steps}
    providers: list[str] = []
    for step in steps:
        if step["op"] not in OPERATIONS:
            continue
        if urns.type_of(step["urn"]).startswith(PROVIDER):
            providers.append(step["urn"])
            continue
        tenant = _tenant(step["urn"], parents)
        (others if tenant is None else by_tenant[tenant]).append(step)
    outputs = (root.get("oldState") or {}).get("outputs") or {}
    ids = None if before is None else before.ids
    return Plan(
        stack=urns.stack_of(root["urn"]),
        tenants=sum(UNKNOWN not in of_tenant.values() for of_tenant in (outputs.get("tenants") or {}).values()),
        rows=tuple(
            _row(tenant, by_tenant[tenant]).model_copy(update={"objects": _objects(tenant, ids)})
            for tenant in sorted(by_tenant)
        ),
        others=_operations(others, ""),
        providers=tuple(sorted(set(providers))),
        left_alone=_left_alone(preview.get("diagnostics") or ()),
    )


def _left_alone(diagnostics: Iterable[Mapping[str, Any]]) -> tuple[LeftAlone, ...]:
    reasons: dict[str, list[str]] = defaultdict(list)
    for diagnostic in diagnostics:
        found = left_alone.read(str(diagnostic.get("message") or ""))
        if found is not None and diagnostic.get("severity") == "warning":
            tenant, reason = found
            reasons[tenant].append(reason)
    return tuple(LeftAlone(tenant=tenant, reasons=tuple(reasons[tenant])) for tenant in sorted(reasons))


def error(diagnostic: Mapping[str, Any]) -> str | None:
    """The error in one of the engine's diagnostics; None for other lines.

    The digitalocean plugin logs an error under the name of its source file, before the engine reports the same.
    """
    message = str(diagnostic.get("message") or "").strip()
    is_error = diagnostic.get("severity") == "error" and not message.startswith("sdk-v2/")
    return message if message and is_error else None


def with_capacity(plan: Plan, droplets: Use, databases: Iterable[Use]) -> Plan:
    """The same plan with the teams that it fills or empties.

    Args:
        plan: as read.
        droplets: the droplet team as the new fleet file uses it.
        databases: the database teams likewise.
    """
    gains: Counter[str] = Counter()
    for row in plan.rows:
        if row.team:
            gains[row.team] += {Change.CREATED: 1, Change.ADOPTED: 1, Change.DESTROYED: -1}.get(row.change, 0)
    total = sum(gains.values())
    teams = [_gained("droplets", droplets, total)] if total else []
    teams += [_gained("databases", use, gains[use.team]) for use in databases if gains[use.team]]
    return plan.model_copy(update={"teams": tuple(teams)})


def _gained(kind: str, use: Use, gain: int) -> Team:
    return Team(name=use.team, kind=kind, before=use.used - gain, after=use.used, limit=use.limit, full=use.full)


def unreviewed(reviewed: Plan, now: Plan, *, begun: bool) -> list[str]:
    """What a plan does beyond the reviewed one, in words; empty if it is the same or a rest of it.

    A missing operation is no difference: an interrupted run has done it already. What an approval covers, and why:
    docs/decisions/reviewed-plans.md.

    Args:
        reviewed: the plan that was reviewed.
        now: the plan to apply.
        begun: whether a run has begun to apply the reviewed one. If so, imports of what it created are covered.
    """
    news: list[str] = []
    if reviewed.stack != now.stack:
        return [f"the reviewed plan is for the stack {reviewed.stack}, this one for {now.stack}"]
    reviewed_rows = {row.tenant: row for row in reviewed.rows}
    for row in now.rows:
        old = reviewed_rows.get(row.tenant)
        if old is None:
            news.append(f"{row.tenant}: {row.change}, and the reviewed plan does not touch it ({_because(row)})")
            continue
        added = _added(old.operations, row.operations, begun=begun)
        why = [describe(reason) for reason in row.reasons if reason.option and reason not in old.reasons]
        if added and row.change is not old.change:
            news.append(f"{row.tenant}: {row.change} instead of {old.change} ({', '.join(why or added)})")
        elif added or why:
            news.append(f"{row.tenant}: not reviewed: {', '.join(why or added)}")
        elif others := list(_other_objects(old, row)):
            news.append(f"{row.tenant}: another tenant was reviewed: {', '.join(others)}")
    news.extend(
        f"{operation}, which was not reviewed" for operation in _added(reviewed.others, now.others, begun=begun)
    )
    return news


def union(plans: Sequence[Plan]) -> Plan:
    """What one or more reviewed plans of one stack allow together.

    If two of them touch the same resource, the operation that does more counts as reviewed.
    """
    first, *rest = plans
    rows = {row.tenant: row for row in first.rows}
    others = {operation.urn: operation for operation in first.others}
    for plan in rest:
        for row in plan.rows:
            rows[row.tenant] = _both(rows[row.tenant], row) if row.tenant in rows else row
        others = _more(others, plan.others)
    return first.model_copy(update={"rows": _in_order(rows), "others": _in_order(others)})


_DOES_MORE = ("update", "import", "create", "replace", "delete")


def _both(one: Row, other: Row) -> Row:
    operations = _more({operation.urn: operation for operation in one.operations}, other.operations)
    changes = list(Change)
    reasons = tuple(dict.fromkeys([*one.reasons, *other.reasons]))
    most = max(one, other, key=lambda row: changes.index(row.change))
    return most.model_copy(update={"operations": _in_order(operations), "reasons": reasons})


def _in_order(by_key: Mapping[str, _Value]) -> tuple[_Value, ...]:
    return tuple(by_key[key] for key in sorted(by_key))


def _more(known: Mapping[str, Operation], others: Iterable[Operation]) -> dict[str, Operation]:
    joined = dict(known)
    for operation in others:
        old = joined.get(operation.urn, operation)
        most = max(old, operation, key=lambda each: _DOES_MORE.index(each.op))
        properties = tuple(sorted({*old.properties, *operation.properties}))
        # The one that was merged last decides, also where it did not know the value yet.
        values = {name: value for name, value in old.values if name not in operation.properties}
        values |= dict(operation.values)
        both = {"properties": properties, "values": tuple(sorted(values.items()))}
        joined[operation.urn] = most.model_copy(update=both)
    return joined


def describe(reason: Reason) -> str:
    """A reason in words."""
    if reason.before is None and reason.after is None:
        return reason.what
    return f"{reason.what}: {reason.before or 'none'} → {reason.after or 'none'}"


def _because(row: Row) -> str:
    return ", ".join(map(describe, row.reasons)) or ", ".join(map(str, row.operations))


def _added(reviewed: Iterable[Operation], now: Iterable[Operation], *, begun: bool) -> list[str]:
    """The operations that no reviewed one covers, in words."""
    known = {operation.urn: operation for operation in reviewed}
    news = []
    for operation in now:
        seen = known.get(operation.urn)
        if seen is None:
            news.append(str(operation))
        elif (other := _beyond(seen, operation, begun=begun)) is not None:
            news.append(f"{operation}{other}")
    return news


def _beyond(seen: Operation, now: Operation, *, begun: bool) -> str | None:
    """What an operation does beyond the reviewed one on the same resource; None if that covers it.

    An interrupted run may leave half of a replacement, the update of an import, or a created object that is not in the
    state.
    """
    match seen.op, now.op:
        # Plans of an older version say `update` for an import with an update.
        case ("update" | "import", "update" | "import"):
            wider = not set(now.properties) <= set(seen.properties)
            return "" if wider else _other_id(seen, now) or _other_value(seen, now)
        case ("delete", "delete") | ("replace", "replace" | "delete"):
            return _other_id(seen, now)
        case ("create" | "replace", "create"):
            return None
        case ("create" | "replace", "import"):
            ours = begun and _bare(now.id) != seen.id
            return None if ours else f": {now.id}, which no run of this plan created"
        case _:
            return ""


def _other_id(seen: Operation, now: Operation) -> str | None:
    """That two operations are on different objects. Only DigitalOcean's count, not a Command or a password."""
    if not now.type.startswith("digitalocean:") or _bare(seen.id) == _bare(now.id):
        return None
    return f": {now.id}, but {seen.id or 'none'} was reviewed"


def _other_value(seen: Operation, now: Operation) -> str | None:
    """That an update sets another value than the reviewed one. A value that was not known then may be any."""
    values = dict(now.values)
    for name, value in seen.values:
        if name in now.properties and values.get(name) != value:
            return f": {name} {values.get(name, 'known after the apply')}, but {value} was reviewed"
    return None


def _other_objects(seen: Row, now: Row) -> Iterator[str]:
    """The objects of a tenant that differ from those reviewed, unless the reviewed plan creates or imports them."""
    if seen.objects is None or now.objects is None:
        return
    before = dict(seen.objects)
    made = {operation.role for operation in seen.operations if operation.op in ("create", "replace")}
    before |= {operation.role: _bare(operation.id) or "" for operation in seen.operations if operation.op == "import"}
    for role, id_ in now.objects:
        if role not in made and before.get(role) != id_:
            yield f"its {role} is {id_}, but {before.get(role, 'none')} was reviewed"


def _bare(id_: str | None) -> str | None:
    """An object's id as in the state. The import id of a record is the domain, a comma and that id."""
    return None if id_ is None else id_.rsplit(",", 1)[-1]


def _fact(operation: Operation) -> list[Any]:
    id_ = operation.id if operation.type.startswith("digitalocean:") else None
    return [operation.op, operation.urn, sorted(operation.properties), id_, operation.values]


def _parent(step: Mapping[str, Any]) -> str | None:
    state = step.get("newState") or step.get("oldState") or {}
    parent: str | None = state.get("parent")
    return parent


def _tenant(urn: str | None, parents: Mapping[str, str | None]) -> str | None:
    """The tenant that a resource belongs to: itself the component, or a descendant of it."""
    while urn is not None:
        if urns.type_of(urn) == TENANT:
            return urns.name_of(urn)
        urn = parents.get(urn)
    return None


def _operations(steps: Iterable[Mapping[str, Any]], tenant: str) -> tuple[Operation, ...]:
    """One operation a resource, although a replacement has two or three steps.

    So has the import of an object that differs: one step imports it, and one updates it.
    """
    found: dict[str, Operation] = {}
    for step in steps:
        operation = _operation(step, tenant)
        old = found.get(operation.urn)
        both = () if old is None else (old.op, operation.op)
        if old is not None and "replace" in both:
            # Before imports: the imported object would be deleted.
            operation = _joined(old, operation).model_copy(update={"op": "replace"})
        elif old is not None and "import" in both:
            imported = old if old.op == "import" else operation
            operation = _joined(old, operation).model_copy(update={"op": "import", "id": imported.id})
        found[operation.urn] = operation
    return _in_order(found)


def _joined(first: Operation, second: Operation) -> Operation:
    """Two steps on one resource as one."""
    return second.model_copy(
        update={
            "properties": tuple(sorted({*first.properties, *second.properties})),
            "id": first.id or second.id,
            # The deleting step has only the old values, the creating step only the new ones.
            "idle": first.idle and second.idle,
            "object_name": first.object_name or second.object_name,
            "values": tuple(sorted({**dict(first.values), **dict(second.values)}.items())),
        }
    )


def _operation(step: Mapping[str, Any], tenant: str) -> Operation:
    urn, old, new = step["urn"], step.get("oldState") or {}, step.get("newState") or {}
    inputs = new.get("inputs") or old.get("inputs") or {}
    op = OPERATIONS[step["op"]]
    object_name = inputs.get("name")
    properties = _properties(step) if old and new and op in {"update", "replace"} else ()
    at_digitalocean = op == "update" and urns.type_of(urn).startswith("digitalocean:")
    return Operation(
        op=op,
        urn=urn,
        type=urns.type_of(urn),
        role=urns.name_of(urn).removeprefix(f"{tenant}-"),
        properties=properties,
        id=(new.get("importID") or new.get("id")) if op == "import" else old.get("id"),
        idle=inputs.get("triggers") == [""],
        object_name=object_name if isinstance(object_name, str) and object_name != UNKNOWN else None,
        values=tuple(_values(properties, inputs)) if at_digitalocean else (),
    )


def _values(properties: Iterable[str], inputs: Mapping[str, JsonValue]) -> Iterator[tuple[str, str]]:
    """See `Operation.values`."""
    for name in properties:
        text = json.dumps(inputs.get(name))
        if UNKNOWN not in text and SECRET not in text:
            yield name, _text(inputs.get(name)) or "none"


def _properties(step: Mapping[str, Any]) -> tuple[str, ...]:
    """The top-level properties that make an update or a replacement necessary."""
    paths = step.get("replaceReasons") or step.get("diffReasons") or list(step.get("detailedDiff") or {})
    if not paths:
        old = (step.get("oldState") or {}).get("inputs") or {}
        new = (step.get("newState") or {}).get("inputs") or {}
        paths = [name for name in {*old, *new} if old.get(name) != new.get(name)]
    return tuple(sorted({path.split(".")[0].split("[")[0] for path in paths}))


def _objects(tenant: str, ids: Ids | None) -> tuple[tuple[str, str], ...] | None:
    """See `Row.objects`."""
    if ids is None:
        return None
    return tuple((ROLES[type_], ids[tenant, type_]) for type_ in OBJECTS if (tenant, type_) in ids)


def _row(tenant: str, steps: list[Mapping[str, Any]]) -> Row:
    component = next((step for step in steps if urns.type_of(step["urn"]) == TENANT), None)
    operations = _operations(steps, tenant)
    change = change_of(operations)
    old, new = _inputs(component, "oldState"), _inputs(component, "newState")
    reasons = _reasons(change, old, new, steps, operations)
    options = frozenset(reason.what for reason in reasons if reason.option)
    return Row(
        tenant=tenant,
        change=change,
        reasons=reasons,
        effects=impact.effects(change, operations, options, _login(component, operations)),
        cost=None if component is None else Cost(before=_cost(_paid(old, new, operations)), after=_cost(new)),
        team=str(team) if (team := (new or old).get("database_team")) else None,
        operations=operations,
    )


def change_of(operations: Iterable[Operation]) -> Change:
    """What happens to a tenant, by the operations on its component and its resources."""
    known = tuple(operations)
    whole = {operation.op for operation in known if operation.type == TENANT}
    machines = [operation for operation in known if operation.type in (Type.DROPLET, Type.CLUSTER)]
    if "delete" in whole:
        return Change.DESTROYED
    if any(operation.op == "import" for operation in machines):
        return Change.ADOPTED
    if "create" in whole:
        return Change.CREATED
    if any(operation.op in ("replace", "create", "delete") for operation in machines):
        return Change.REPLACED
    return Change.CHANGED


def _login(component: Mapping[str, Any] | None, operations: Iterable[Operation]) -> LoginOutcome | None:
    """What happens to the login that the tenant's droplet was or is adopted with; None for any other."""
    droplet = next((operation.op for operation in operations if operation.type == Type.DROPLET), None)
    if component is None or component["op"] == "delete":
        # An unchanged component is not in the preview: then a killed run has declared the tenant.
        return LoginOutcome.BEGUN if component is None and droplet == "import" else None
    old, new = _inputs(component, "oldState"), _inputs(component, "newState")
    if kept_logins.keeps_login(new):
        return LoginOutcome.KEPT if droplet == "import" else None
    if droplet == "import" and component["op"] != "create":
        return LoginOutcome.OURS
    if droplet != "import" and not kept_logins.keeps_secrets(old):
        return None
    if kept_logins.keeps_secrets(new) or droplet not in {None, "import", "update"}:
        return LoginOutcome.PASSWORD if droplet == "import" or kept_logins.keeps_login(old) else None
    return LoginOutcome.ALL_NEW


def _inputs(step: Mapping[str, Any] | None, state: str) -> Mapping[str, JsonValue]:
    return ((step or {}).get(state) or {}).get("inputs") or {}


def _paid(
    old: Mapping[str, JsonValue], new: Mapping[str, JsonValue], operations: Iterable[Operation]
) -> Mapping[str, JsonValue]:
    """What a tenant costs before: an adopted droplet and cluster cost the same already."""
    imported = {operation.type for operation in operations if operation.op == "import"}
    return new if not old and imported >= {Type.DROPLET, Type.CLUSTER} else old


def _cost(options: Mapping[str, JsonValue]) -> Decimal | None:
    """Zero for a tenant that does not exist."""
    return prices.monthly(options.get("droplet_size"), options.get("database_size")) if options else Decimal(0)


def _reasons(
    change: Change,
    old: Mapping[str, JsonValue],
    new: Mapping[str, JsonValue],
    steps: Iterable[Mapping[str, Any]],
    operations: Iterable[Operation],
) -> tuple[Reason, ...]:
    if change is Change.DESTROYED:
        return (Reason(what="its entry is gone", option=True),)
    adopted = [
        f"{ROLES[operation.type]} {operation.object_name or operation.id}"
        for operation in operations
        if operation.op == "import" and operation.type in ROLES
    ]
    if adopted:
        return (Reason(what="adopts " + ", ".join(adopted)), *_on_the_way(steps))
    if change is Change.CREATED:
        return (Reason(what="a new entry", option=True),)
    old, new = _options(old), _options(new)
    options = tuple(
        Reason(what=option, before=_text(old.get(option)), after=_text(new.get(option)), option=True)
        for option in sorted({*old, *new})
        if old.get(option) != new.get(option)
    )
    if all(reason.what != "rebuild" for reason in options):
        options += tuple(_rebuilds(steps))
    stated = {(reason.before, reason.after) for reason in options}
    causes = _causes(steps, explained=bool(options))
    return (*options, *(reason for reason in causes if (reason.before, reason.after) not in stated))


def _on_the_way(steps: Iterable[Mapping[str, Any]]) -> Iterator[Reason]:
    """What an object that is taken over gets otherwise than it has it, such as a record's TTL."""
    steps = list(steps)
    imported = {step["urn"] for step in steps if OPERATIONS[step["op"]] == "import"}
    for step in sorted(steps, key=lambda step: urns.name_of(step["urn"])):
        kind = ROLES.get(urns.type_of(step["urn"]))
        if kind is not None and step["urn"] in imported and OPERATIONS[step["op"]] != "import":
            yield from _at_digitalocean(step, kind, moved=False, explained=True)


def _rebuilds(steps: Iterable[Mapping[str, Any]]) -> Iterator[Reason]:
    """A rebuild that a killed run has begun: the component has the new count already, the droplet has not."""
    for step in steps:
        before, after = ((step.get(state) or {}).get("replacementTrigger") for state in ("oldState", "newState"))
        if urns.type_of(step["urn"]) == Type.DROPLET and None not in (before, after) and before != after:
            yield Reason(what="rebuild", before=_text(before), after=_text(after), option=True)


def _options(inputs: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """A component's inputs without those about its login, which the effects describe."""
    options = {name: value for name, value in inputs.items() if name != kept_logins.DROPLET}
    adopt = options.pop("adopt", None)
    names = {name: value for name, value in adopt.items() if name != "login"} if isinstance(adopt, dict) else {}
    return {**options, "adopt": names} if names else options


def _causes(steps: Iterable[Mapping[str, Any]], *, explained: bool) -> Iterator[Reason]:
    """What differs at a tenant's resources, causes only.

    What follows from a new droplet or cluster is known only after the apply, and is no reason. Neither is what an
    option of the entry changes on the droplet or at a password.
    """
    steps = [step for step in steps if urns.type_of(step["urn"]) != TENANT]
    moved = any(
        urns.type_of(step["urn"]) in (Type.DROPLET, Type.CLUSTER) and OPERATIONS[step["op"]] != "update"
        for step in steps
    )
    for step in sorted(steps, key=lambda step: urns.name_of(step["urn"])):
        kind = ROLES.get(urns.type_of(step["urn"]))
        if kind is not None:
            yield from _at_digitalocean(step, kind, moved=moved, explained=explained)
        elif not explained and not moved:
            yield Reason(what=f"the program declares {urns.name_of(step['urn'])} differently")


def _at_digitalocean(step: Mapping[str, Any], kind: str, *, moved: bool, explained: bool) -> Iterator[Reason]:
    operation = OPERATIONS[step["op"]]
    if operation not in ("update", "replace"):
        yield Reason(what=f"{kind} is {'missing' if operation == 'create' else 'no longer wanted'}")
        return
    old, new = _inputs(step, "oldState"), _inputs(step, "newState")
    actual = (step.get("oldState") or {}).get("outputs") or {}
    for name in _properties(step):
        if not (moved and UNKNOWN in json.dumps(new.get(name))):
            # A refresh notes what was changed by hand among the outputs, not always among the inputs.
            before = _text(actual.get(name) if old.get(name) == new.get(name) and name in actual else old.get(name))
            after = _text(new.get(name))
            if before != after:
                yield Reason(what=f"{kind} {name}", before=before, after=after)
            elif not explained:  # a secret, or not an input
                yield Reason(what=f"{kind} {name}")


def _text(value: JsonValue) -> str | None:
    """A value as in YAML; the engine has replaced secrets with `[secret]`."""
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(_stated(value), ensure_ascii=False)
    return text.replace(UNKNOWN, "known after the apply")


def _stated(value: JsonValue) -> JsonValue:
    """A value without the plugins' own mark of defaults."""
    if isinstance(value, dict):
        return {name: _stated(inner) for name, inner in value.items() if name != "__defaults"}
    return [_stated(inner) for inner in value] if isinstance(value, list) else value
