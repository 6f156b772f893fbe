"""Reads a plan from the JSON of `pulumi preview --json`.

Pure. The JSON's shape is the engine's `display.PreviewDigest` (pkg/v3/display/json.go) with `apitype.ResourceV3`
states; its text output is never read. A resource belongs to the tenant whose component is its parent, whatever the
resource's name.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from meltanodata.engine import left_alone, urns
from meltanodata.engine.resource_types import OBJECTS, PROVIDER, ROLES, STACK, TENANT, Type
from meltanodata.errors import UserError
from meltanodata.inventory import kept_logins
from meltanodata.rollout import prices
from meltanodata.rollout.impact import LoginOutcome, Operation
from meltanodata.rollout.plan import SELF_SIGNED, Change, Cost, LeftAlone, Plan, Reason, Row, change_of, effects_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pydantic import JsonValue

    from meltanodata.engine.stack_state import Ids, StackState

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

_MACHINES = (Type.DROPLET, Type.CLUSTER)


@dataclass(frozen=True)
class _Step:
    """One step of a preview."""

    json: Mapping[str, Any]
    urn: str
    op: str
    """One of our names; empty if the step changes nothing."""
    type: str
    old: Mapping[str, Any]
    """The resource's state before the step; empty for a new one."""
    new: Mapping[str, Any]
    """Its state after the step; empty for one that is deleted."""

    @classmethod
    def of(cls, json_: Mapping[str, Any]) -> _Step:
        urn, old, new = json_["urn"], json_.get("oldState") or {}, json_.get("newState") or {}
        return cls(json_, urn, OPERATIONS.get(json_["op"], ""), urns.type_of(urn), old, new)

    @property
    def inputs_before(self) -> Mapping[str, JsonValue]:
        return self.old.get("inputs") or {}

    @property
    def inputs(self) -> Mapping[str, JsonValue]:
        return self.new.get("inputs") or {}

    @property
    def parent(self) -> str | None:
        parent: str | None = (self.new or self.old).get("parent")
        return parent

    @property
    def properties(self) -> tuple[str, ...]:
        """The top-level properties that make an update or a replacement necessary."""
        before, after = self.inputs_before, self.inputs
        paths = (
            self.json.get("replaceReasons")
            or self.json.get("diffReasons")
            or list(self.json.get("detailedDiff") or {})
            or [name for name in {*before, *after} if before.get(name) != after.get(name)]
        )
        return tuple(sorted({path.split(".")[0].split("[")[0] for path in paths}))

    def operation(self, tenant: str) -> Operation:
        """What the step does with the resource, which belongs to a tenant ("" for none)."""
        inputs = self.inputs or self.inputs_before
        object_name = inputs.get("name")
        properties = self.properties if self.old and self.new and self.op in {"update", "replace"} else ()
        sets_values = self.op == "update" and self.type.startswith("digitalocean:")
        return Operation(
            op=self.op,
            urn=self.urn,
            type=self.type,
            role=urns.name_of(self.urn).removeprefix(f"{tenant}-"),
            properties=properties,
            id=(self.new.get("importID") or self.new.get("id")) if self.op == "import" else self.old.get("id"),
            idle=inputs.get("triggers") == [""],
            object_name=object_name if isinstance(object_name, str) and object_name != UNKNOWN else None,
            values=tuple(_known_values(properties, inputs)) if sets_values else (),
        )


def read(preview: Mapping[str, Any], before: StackState | None = None) -> Plan:
    """The plan from a preview.

    Args:
        preview: the parsed output of `pulumi preview --json`, which omits unchanged resources.
        before: the stack's state before the preview, for `Row.objects`.

    Raises:
        UserError: the preview failed, with the engine's own errors; or it is no preview.
    """
    if errors := [message for line in preview.get("diagnostics") or [] if (message := error(line))]:
        errors = [message for message in errors if not message.startswith(_PROGRAM_ENDED)] or errors
        raise UserError("The preview failed, so there is no plan:\n" + "\n".join(errors))
    steps = [_Step.of(step) for step in preview.get("steps") or []]
    root = next((step for step in steps if step.type == STACK), None)
    if root is None:
        raise UserError("This is not an output of `pulumi preview --json`: it does not contain the stack.")
    parents = {step.urn: step.parent for step in steps}
    by_tenant: dict[str, list[_Step]] = defaultdict(list)
    others: list[_Step] = []
    providers: set[str] = set()
    for step in steps:
        # The stack itself is nobody's object: the first run of a new one creates it in the state alone.
        if not step.op or step is root:
            continue
        if step.type.startswith(PROVIDER):
            providers.add(step.urn)
        elif (tenant := _tenant(step.urn, parents)) is None:
            others.append(step)
        else:
            by_tenant[tenant].append(step)
    outputs = root.old.get("outputs") or {}
    ids = None if before is None else before.ids
    return Plan(
        stack=urns.stack_of(root.urn),
        tenants=sum(UNKNOWN not in of_tenant.values() for of_tenant in (outputs.get("tenants") or {}).values()),
        rows=tuple(_row(tenant, by_tenant[tenant], ids) for tenant in sorted(by_tenant)),
        others=_operations(others, ""),
        providers=tuple(sorted(providers)),
        left_alone=_left_alone(preview.get("diagnostics") or ()),
    )


def _left_alone(diagnostics: Iterable[Mapping[str, Any]]) -> tuple[LeftAlone, ...]:
    reasons: dict[str, list[str]] = defaultdict(list)
    for diagnostic in diagnostics:
        warning = left_alone.read(str(diagnostic.get("message") or ""))
        if warning is not None and diagnostic.get("severity") == "warning":
            tenant, reason = warning
            reasons[tenant].append(reason)
    return tuple(LeftAlone(tenant=tenant, reasons=tuple(reasons[tenant])) for tenant in sorted(reasons))


_PROGRAM_ENDED = "error: an unhandled error occurred: program exited with non-zero exit code"
"""What the engine adds to the errors of a program that ended by them. It tells nothing new, and misleads."""


def error(diagnostic: Mapping[str, Any]) -> str | None:
    """The error in one of the engine's diagnostics; None for other lines.

    The digitalocean plugin logs an error under the name of its source file, before the engine reports the same.
    """
    message = str(diagnostic.get("message") or "").strip()
    is_error = diagnostic.get("severity") == "error" and not message.startswith("sdk-v2/")
    return message if message and is_error else None


def _tenant(urn: str | None, parents: Mapping[str, str | None]) -> str | None:
    """The tenant that a resource belongs to: itself the component, or a descendant of it."""
    while urn is not None:
        if urns.type_of(urn) == TENANT:
            return urns.name_of(urn)
        urn = parents.get(urn)
    return None


def _operations(steps: Iterable[_Step], tenant: str) -> tuple[Operation, ...]:
    """One operation a resource, although a replacement has two or three steps.

    So has the import of an object that differs: one step imports it, and one updates it.
    """
    operations: dict[str, Operation] = {}
    for step in steps:
        operation = step.operation(tenant)
        earlier = operations.get(operation.urn)
        ops = () if earlier is None else (earlier.op, operation.op)
        if earlier is not None and "replace" in ops:
            # Before imports: the imported object would be deleted.
            operation = _joined(earlier, operation).model_copy(update={"op": "replace"})
        elif earlier is not None and "import" in ops:
            imported = earlier if earlier.op == "import" else operation
            operation = _joined(earlier, operation).model_copy(update={"op": "import", "id": imported.id})
        operations[operation.urn] = operation
    return tuple(operations[urn] for urn in sorted(operations))


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


def _known_values(properties: Iterable[str], inputs: Mapping[str, JsonValue]) -> Iterator[tuple[str, str]]:
    """See `Operation.values`."""
    for name in properties:
        text = json.dumps(inputs.get(name))
        if UNKNOWN not in text and SECRET not in text:
            yield name, _text(inputs.get(name)) or "none"


def _row(tenant: str, steps: Sequence[_Step], ids: Ids | None) -> Row:
    component = next((step for step in steps if step.type == TENANT), None)
    operations = _operations(steps, tenant)
    change = change_of(operations)
    old = component.inputs_before if component else {}
    new = component.inputs if component else {}
    reasons = _reasons(change, old, new, steps, operations)
    return Row(
        tenant=tenant,
        change=change,
        reasons=reasons,
        effects=effects_of(change, operations, reasons, _login(component, operations)),
        cost=None if component is None else Cost(before=_cost(_paid(old, new, operations)), after=_cost(new)),
        team=str(team) if (team := (new or old).get("database_team")) else None,
        operations=operations,
        objects=None
        if ids is None
        else tuple((ROLES[type_], ids[tenant, type_]) for type_ in OBJECTS if (tenant, type_) in ids),
    )


def _login(component: _Step | None, operations: Iterable[Operation]) -> LoginOutcome | None:
    """What happens to the login that the tenant's droplet was or is adopted with; None for any other."""
    droplet = next((operation.op for operation in operations if operation.type == Type.DROPLET), None)
    if component is None or component.op == "delete":
        # An unchanged component is not in the preview: then a killed run has declared the tenant.
        return LoginOutcome.BEGUN if component is None and droplet == "import" else None
    old, new = component.inputs_before, component.inputs
    if kept_logins.keeps_login(new):
        return LoginOutcome.KEPT if droplet == "import" else None
    if droplet == "import" and component.op != "create":
        return LoginOutcome.OURS
    if droplet != "import" and not kept_logins.keeps_secrets(old):
        return None
    if kept_logins.keeps_secrets(new) or droplet not in {None, "import", "update"}:
        return LoginOutcome.PASSWORD if droplet == "import" or kept_logins.keeps_login(old) else None
    return LoginOutcome.ALL_NEW


def _paid(
    old: Mapping[str, JsonValue], new: Mapping[str, JsonValue], operations: Iterable[Operation]
) -> Mapping[str, JsonValue]:
    """What a tenant costs before: an adopted droplet and cluster cost the same already."""
    imported = {operation.type for operation in operations if operation.op == "import"}
    return new if not old and imported.issuperset(_MACHINES) else old


def _cost(options: Mapping[str, JsonValue]) -> Decimal | None:
    """Zero for a tenant that does not exist."""
    return prices.monthly(options.get("droplet_size"), options.get("database_size")) if options else Decimal(0)


def _reasons(
    change: Change,
    old: Mapping[str, JsonValue],
    new: Mapping[str, JsonValue],
    steps: Iterable[_Step],
    operations: Iterable[Operation],
) -> tuple[Reason, ...]:
    if change is Change.DESTROYED:
        return (Reason(what="its entry is gone", option=True),)
    adopted = [
        f"{ROLES[operation.type]} {operation.object_name or operation.id}"
        for operation in operations
        if operation.op == "import" and operation.type in ROLES
    ]
    # Of what is new the other options say nothing to people; browsers will warn of this one.
    warned = [("tls", SELF_SIGNED)] if new.get("tls") == SELF_SIGNED != old.get("tls") else []
    if adopted:
        taken_over = Reason(what="adopts " + ", ".join(adopted))
        return (taken_over, *(Reason(what=what, after=to) for what, to in warned), *_on_the_way(steps))
    if change is Change.CREATED:
        new_entry = Reason(what="a new entry", option=True)
        return (new_entry, *(Reason(what=what, after=to, option=True) for what, to in warned))
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


def _on_the_way(steps: Iterable[_Step]) -> Iterator[Reason]:
    """What differs at an adopted object from what it has, such as a record's TTL."""
    steps = list(steps)
    imported = {step.urn for step in steps if step.op == "import"}
    for step in sorted(steps, key=lambda step: urns.name_of(step.urn)):
        role = ROLES.get(step.type)
        if role is not None and step.urn in imported and step.op != "import":
            yield from _at_digitalocean(step, role, moved=False, explained=True)


def _rebuilds(steps: Iterable[_Step]) -> Iterator[Reason]:
    """A rebuild that a killed run has begun: the component has the new count already, the droplet has not."""
    for step in steps:
        before, after = step.old.get("replacementTrigger"), step.new.get("replacementTrigger")
        if step.type == Type.DROPLET and None not in (before, after) and before != after:
            yield Reason(what="rebuild", before=_text(before), after=_text(after), option=True)


def _options(inputs: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """A component's inputs without those about its login, which the effects describe."""
    options = {name: value for name, value in inputs.items() if name != kept_logins.DROPLET}
    adopt = options.pop("adopt", None)
    names = {name: value for name, value in adopt.items() if name != "login"} if isinstance(adopt, dict) else {}
    return {**options, "adopt": names} if names else options


def _causes(steps: Iterable[_Step], *, explained: bool) -> Iterator[Reason]:
    """What differs at a tenant's resources, causes only.

    What follows from a new droplet or cluster is known only after the apply, and is no reason. Neither is what an
    option of the entry changes on the droplet or at a password.
    """
    steps = [step for step in steps if step.type != TENANT]
    moved = any(step.type in _MACHINES and step.op != "update" for step in steps)
    requested = any(_on_request(step) for step in steps)
    for step in sorted(steps, key=lambda step: urns.name_of(step.urn)):
        role = ROLES.get(step.type)
        if role is not None:
            yield from _at_digitalocean(step, role, moved=moved, explained=explained)
        elif not explained and not moved and not (requested and step.properties == ("triggers",)):
            yield Reason(what=_elsewhere(step))


def _on_request(step: _Step) -> bool:
    """Whether a Command or a password is replaced although nothing in it differs, as `--replace` does."""
    return step.op == "replace" and step.type not in ROLES and not step.properties


def _elsewhere(step: _Step) -> str:
    """What happens to a resource that is not at DigitalOcean, such as a Command."""
    name = urns.name_of(step.urn)
    match step.op:
        case "create":
            return f"{name} is missing"
        case "delete":
            return f"{name} is no longer wanted"
        case "replace" if _on_request(step):
            return f"{name} is replaced on request (--replace)"
    return f"the program declares {name} differently"


def _at_digitalocean(step: _Step, role: str, *, moved: bool, explained: bool) -> Iterator[Reason]:
    if step.op not in ("update", "replace"):
        yield Reason(what=f"{role} is {'missing' if step.op == 'create' else 'no longer wanted'}")
        return
    actual = step.old.get("outputs") or {}
    for name in step.properties:
        if not (moved and UNKNOWN in json.dumps(step.inputs.get(name))):
            stated, after = step.inputs_before.get(name), _text(step.inputs.get(name))
            # A refresh notes what was changed by hand among the outputs, not always among the inputs.
            before = _text(actual[name] if name in actual and stated == step.inputs.get(name) else stated)
            if before != after:
                yield Reason(what=f"{role} {name}", before=before, after=after)
            elif not explained:  # a secret, or not an input
                yield Reason(what=f"{role} {name}")


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
