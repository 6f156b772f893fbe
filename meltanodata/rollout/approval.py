"""What an approval covers: a plan against the reviewed one. Why: docs/decisions/reviewed-plans.md.

Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from meltanodata.rollout.plan import Change, describe

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from meltanodata.rollout.impact import Operation
    from meltanodata.rollout.plan import Plan, Row

_Value = TypeVar("_Value")

_DOES_MORE = ("update", "import", "create", "replace", "delete")
"""The operations, by how much they do."""


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


def _both(one: Row, other: Row) -> Row:
    operations = _more({operation.urn: operation for operation in one.operations}, other.operations)
    changes = list(Change)
    reasons = tuple(dict.fromkeys([*one.reasons, *other.reasons]))
    most = max(one, other, key=lambda row: changes.index(row.change))
    return most.model_copy(update={"operations": _in_order(operations), "reasons": reasons})


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


def _in_order(by_key: Mapping[str, _Value]) -> tuple[_Value, ...]:
    return tuple(by_key[key] for key in sorted(by_key))
