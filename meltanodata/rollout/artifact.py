"""A plan from a job that runs the pull request's own code, read as untrusted data.

Pure. Such a job can write anything. So a plan's size is bounded, its names are checked, and what follows from the
operations (the change and its effects) is derived from them again. The guard's verdict in it is ignored. The operations
and their reasons remain the job's word: `guard.program_changed` stops a pull request whose code could forge them, and
the deployment makes a plan of its own.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING

from meltanodata.config.options import LABEL
from meltanodata.engine import urns
from meltanodata.errors import UserError
from meltanodata.github import LARGEST_ARTIFACT
from meltanodata.rollout import preview_plan
from meltanodata.rollout.guard import Review
from meltanodata.rollout.plan import change_of, effects_of

if TYPE_CHECKING:
    from meltanodata.rollout.impact import Operation
    from meltanodata.rollout.plan import Plan, Row

_MOST = Decimal(10**6)
"""The most dollars a month for a tenant, and the most tenants of a stack, that are shown."""
_OPERATIONS = frozenset(preview_plan.OPERATIONS.values())


def read(content: bytes, stack: str) -> Plan:
    """The plan that `meltanodata plan --json` wrote.

    Args:
        content: the file's bytes.
        stack: the stack that the plan must be for.

    Raises:
        UserError: it is no plan, not this stack's, or has invalid names.
    """
    if len(content) > LARGEST_ARTIFACT:
        raise UserError(f"the plan has more than {LARGEST_ARTIFACT} bytes")
    if not content.strip():
        raise UserError("the preview failed; the job's log says why")
    try:
        plan = Review.model_validate_json(content, extra="ignore").plan  # a newer program may have more
    except ValueError:  # pydantic's message would quote the content
        raise UserError("the preview's output is not a plan") from None
    if plan.stack != stack:
        raise UserError("the preview's output is the plan of another stack")
    if wrong := _wrong(plan):
        raise UserError(f"the preview's output is not a plan: {wrong}")
    return plan.model_copy(
        update={
            "rows": tuple(_derived(row) for row in plan.rows),
            "others": tuple(_typed(operation, "") for operation in plan.others),
            "teams": (),
        }
    )


def _wrong(plan: Plan) -> str | None:
    """What is invalid, in words that quote nothing of it."""
    prefix = urns.prefix(plan.stack)
    tenants = [row.tenant for row in plan.rows]
    operations = [operation for row in plan.rows for operation in row.operations] + list(plan.others)
    costs = [
        amount for row in plan.rows if row.cost for amount in (row.cost.before, row.cost.after) if amount is not None
    ]
    # Four parts: the stack, the project, the type and the name.
    foreign = [each for each in operations if not each.urn.startswith(prefix) or each.urn.count("::") < 3]  # noqa: PLR2004
    wrong = {
        "a tenant's name is invalid": not all(re.fullmatch(LABEL, tenant) for tenant in tenants),
        "a tenant occurs twice": len(set(tenants)) < len(tenants),
        "a tenant has no operation": not all(row.operations for row in plan.rows),
        "an operation is not one of the engine's": any(each.op not in _OPERATIONS for each in operations),
        "a resource is not of this stack": bool(foreign),
        "a number is out of range": not (
            0 <= plan.tenants <= _MOST and all(amount.is_finite() and abs(amount) <= _MOST for amount in costs)
        ),
    }
    return next((what for what, is_so in wrong.items() if is_so), None)


def _derived(row: Row) -> Row:
    """A row with its change and effects derived from its operations."""
    operations = tuple(_typed(operation, row.tenant) for operation in row.operations)
    change = change_of(operations)
    effects = effects_of(change, operations, row.reasons)
    return row.model_copy(update={"operations": operations, "change": change, "effects": effects})


def _typed(operation: Operation, tenant: str) -> Operation:
    """An operation with the type and the role from its URN."""
    role = urns.name_of(operation.urn).removeprefix(f"{tenant}-")
    return operation.model_copy(update={"type": urns.type_of(operation.urn), "role": role})
