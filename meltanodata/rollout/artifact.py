"""A plan that comes from a job which runs the request's own code: data, and nothing more.

Pure. Such a job may write what it likes. So a plan is bounded, its names have to be names, and what follows from the
operations (what happens to a tenant, what that means for people) is worked out again from them. The verdict in it is
not read at all. What stays the job's word are the operations, and why they are planned: whether a request brings code
that can lie is what `guard.program_changed` is about, and the deployment makes a plan of its own.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING

from meltanodata.config.options import LABEL
from meltanodata.engine import urns
from meltanodata.errors import UserError
from meltanodata.github import LARGEST_ARTIFACT
from meltanodata.rollout import impact
from meltanodata.rollout import plan as plans
from meltanodata.rollout.guard import Review

if TYPE_CHECKING:
    from meltanodata.rollout.impact import Operation
    from meltanodata.rollout.plan import Plan, Row

_MOST = Decimal(10**6)
"""Dollars a month for a tenant, and tenants of a stack: what is beyond is no number to show."""
_OPERATIONS = frozenset(plans.OPERATIONS.values())


def read(content: bytes, stack: str) -> Plan:
    """The plan that `meltanodata plan --json` wrote.

    Args:
        content: the file's bytes.
        stack: the one that the plan has to be for.

    Raises:
        UserError: it is no plan, not this stack's, or has names that are none.
    """
    if len(content) > LARGEST_ARTIFACT:
        raise UserError(f"it has more than {LARGEST_ARTIFACT} bytes")
    if not content.strip():
        raise UserError("the preview failed, and the job's log says why")
    try:
        plan = Review.model_validate_json(content, extra="ignore").plan  # of a newer program, maybe
    except ValueError:  # pydantic's, which would quote what it was given
        raise UserError("what the preview wrote is no plan") from None
    if plan.stack != stack:
        raise UserError("what the preview wrote is the plan of another stack")
    if wrong := _wrong(plan):
        raise UserError(f"what the preview wrote is no plan: {wrong}")
    return plan.model_copy(
        update={
            "rows": tuple(_derived(row) for row in plan.rows),
            "others": tuple(_typed(operation, "") for operation in plan.others),
            "teams": (),
        }
    )


def _wrong(plan: Plan) -> str | None:
    """What cannot be so, in words that quote nothing of it."""
    prefix = urns.prefix(plan.stack)
    tenants = [row.tenant for row in plan.rows]
    operations = [operation for row in plan.rows for operation in row.operations] + list(plan.others)
    costs = [
        amount for row in plan.rows if row.cost for amount in (row.cost.before, row.cost.after) if amount is not None
    ]
    # Four parts: the stack, the project, the type and the name.
    strange = [it for it in operations if not it.urn.startswith(prefix) or it.urn.count("::") < 3]  # noqa: PLR2004
    wrong = {
        "a tenant's name is none": not all(re.fullmatch(LABEL, tenant) for tenant in tenants),
        "a tenant is there twice": len(set(tenants)) < len(tenants),
        "nothing is done to a tenant of it": not all(row.operations for row in plan.rows),
        "an operation is none of the engine's": any(it.op not in _OPERATIONS for it in operations),
        "a resource is not of this stack": bool(strange),
        "a number is none": not (
            0 <= plan.tenants <= _MOST and all(amount.is_finite() and abs(amount) <= _MOST for amount in costs)
        ),
    }
    return next((what for what, is_so in wrong.items() if is_so), None)


def _derived(row: Row) -> Row:
    """A row with what follows from its operations."""
    operations = tuple(_typed(operation, row.tenant) for operation in row.operations)
    change = plans.change_of(operations)
    options = frozenset(reason.what for reason in row.reasons if reason.option)
    return row.model_copy(
        update={
            "operations": operations,
            "change": change,
            "effects": impact.effects(change, operations, options),
        }
    )


def _typed(operation: Operation, tenant: str) -> Operation:
    """An operation with the type and the role that its URN says."""
    role = urns.name_of(operation.urn).removeprefix(f"{tenant}-")
    return operation.model_copy(update={"type": urns.type_of(operation.urn), "role": role})
