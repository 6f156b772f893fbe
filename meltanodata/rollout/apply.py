"""How a plan is applied: canaries first, then batches, each examined before the next; and the outcome.

This module decides the order and the outcome. What runs the engine and examines the tenants is passed in.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from meltanodata.engine import urns
from meltanodata.engine.resource_types import TENANT
from meltanodata.errors import InterruptedRunError, UserError
from meltanodata.rollout import approval, preview_plan
from meltanodata.rollout.plan import Change

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from meltanodata.config.settings import Rollout
    from meltanodata.engine.stack_state import StackState
    from meltanodata.rollout.plan import Plan, Row


class Engine(Protocol):
    """What applies a plan."""

    def state(self) -> StackState:
        """What exists, see `pulumi_cli.state`."""

    def preview(self) -> Mapping[str, Any]:
        """What is left to do, see `pulumi_cli.preview`."""

    def up(self, targets: Sequence[str] | None) -> Iterator[Mapping[str, Any]]:
        """Apply, see `pulumi_cli.up`."""


Examine: TypeAlias = "Callable[[Collection[str]], Mapping[str, str]]"
"""What `doctor` finds wrong with tenants, and what to do, by tenant; nothing about those that are well."""


@dataclass(frozen=True)
class Stage:
    """Tenants that are applied at the same time."""

    name: str
    tenants: frozenset[str]
    holds_up: bool = True
    """Whether a failure in it stops the stages after it."""


@dataclass(frozen=True)
class Result:
    """The outcome for one tenant."""

    tenant: str
    change: str
    stage: str
    problems: tuple[str, ...]
    """Empty when everything planned was done, and the tenant is well."""
    applied: bool = True
    """False for a tenant in a stage that was not begun."""

    @property
    def well(self) -> bool:
        """Whether the tenant is as planned."""
        return self.applied and not self.problems


def stages(plan: Plan, rollout: Rollout) -> list[Stage]:
    """The order in which a plan is applied: the canaries that it touches, removals, then batches by name.

    Removed tenants have a stage of their own, since a run in which anything fails removes nothing (`sdk_patches`). Its
    failures stop no other stage, and only the canaries' failures stop it. There is at least one stage, also for a plan
    without tenants.
    """
    removed = [row.tenant for row in plan.rows if row.change is Change.DESTROYED]
    staying = [row.tenant for row in plan.rows if row.change is not Change.DESTROYED]
    canaries = frozenset(rollout.canaries).intersection(staying)
    rest = [tenant for tenant in staying if tenant not in canaries]
    parts = [rest[start : start + rollout.batch] for start in range(0, len(rest), rollout.batch)]
    order = [Stage("canaries", canaries)] if canaries else []
    order += [Stage("removals", frozenset(removed), holds_up=False)] if removed else []
    order += [Stage(f"batch {number} of {len(parts)}", frozenset(part)) for number, part in enumerate(parts, 1)]
    return order or [Stage("batch 1 of 1", frozenset())]


@dataclass
class Progress:
    """What the events of one `up` report."""

    done: set[str] = field(default_factory=set)
    """URNs with an operation that succeeded."""
    errors: dict[str, list[str]] = field(default_factory=dict)
    """The engine's messages by URN; those of the run as a whole under the empty one."""
    interrupted: InterruptedRunError | None = None

    def note(self, event: Mapping[str, Any]) -> str | None:
        """Record an event. Returns a line for the reader if there is something to say."""
        if "resOutputsEvent" in event:
            step = event["resOutputsEvent"]["metadata"]
            operation = preview_plan.OPERATIONS.get(step["op"])
            if operation is not None:
                new = step["urn"] not in self.done
                self.done.add(step["urn"])
                return f"{operation} of {urns.name_of(step['urn'])}" if new else None
        elif "resOpFailedEvent" in event:
            self.errors.setdefault(event["resOpFailedEvent"]["metadata"]["urn"], [])
        elif "diagnosticEvent" in event:
            line = event["diagnosticEvent"]
            if message := preview_plan.error(line):
                self.errors.setdefault(line.get("urn") or "", []).append(message)
                return f"error: {message}"
            return _announced(line)
        return None


def _announced(line: Mapping[str, Any]) -> str | None:
    """What the program says about a tenant, such as that it is ready; see `program.announcements`."""
    about_tenant = urns.type_of(line["urn"]) == TENANT if line.get("urn") else False
    message = str(line.get("message") or "").strip()
    return message if about_tenant and line.get("severity") == "info" and message else None


def result(row: Row, stage: Stage, progress: Progress) -> Result:
    """The outcome of an `up` for a tenant."""
    problems = []
    missing = []
    for operation in row.operations:
        if operation.urn in progress.errors:
            problems.append(f"{operation}: {' '.join(progress.errors[operation.urn]) or 'failed'}")
        elif operation.urn not in progress.done:
            missing.append(str(operation))
    if missing:
        problems.append(f"not done: {', '.join(missing)}")
    return Result(row.tenant, row.change, stage.name, tuple(problems))


def run(
    plan: Plan,
    rollout: Rollout,
    engine: Engine,
    *,
    examine: Examine,
    wait: Callable[[float], None],
    say: Callable[[str], None],
) -> Iterator[Result]:
    """Apply a plan that may be applied, and yield each tenant's outcome as soon as its stage has ended.

    A tenant that fails stops nobody in its stage and everybody in the stages after it, unless it is being removed (see
    `stages`). Each tenant's own last Command verifies it (the guide's step 6); after the pause `doctor` examines it.
    Canaries that the plan does not touch have to be well before other tenants are touched.

    Args:
        plan: the one that the guard let pass.
        rollout: the stack's.
        engine: runs Pulumi.
        examine: see there.
        wait: sleeps for so many seconds.
        say: prints a line about the progress.

    Raises:
        UserError: the engine failed outside the tenants, or the plan has changed between two stages.
        InterruptedRunError: the engine was interrupted; comes behind all outcomes.
    """
    order = stages(plan, rollout)
    if unwell := _idle_canaries(plan, rollout, examine, say):
        yield from (Result(tenant, "untouched", "canaries", (problem,)) for tenant, problem in unwell.items())
        yield from (Result(row.tenant, row.change, "", (), applied=False) for row in plan.rows)
        return
    tenants = {operation.urn for row in plan.rows for operation in row.operations}
    for number, stage in enumerate(order):
        last = number == len(order) - 1
        now = plan if number == 0 else _still_reviewed(plan, _left(engine))
        rows = [row for row in now.rows if row.tenant in stage.tenants]
        say(f"{stage.name}: {', '.join(row.tenant for row in rows) or 'no tenant'}")
        # The last stage has no targets: it also applies what belongs to no tenant, and updates the stack's outputs.
        progress = _apply(engine, None if last else _targets(now, rows), say)
        outcomes = {row.tenant: result(row, stage, progress) for row in rows}
        if progress.interrupted is not None:
            yield from outcomes.values()
            yield from _not_begun(plan, order[number + 1 :])
            raise progress.interrupted
        if stage.holds_up and not last:
            wait(rollout.pause)
        for tenant, problem in _unwell(examine, [row for row in rows if outcomes[row.tenant].well], say):
            outcomes[tenant] = replace(outcomes[tenant], problems=(problem,))
        yield from outcomes.values()
        if not stage.holds_up and not last:
            continue
        if not all(outcome.well for outcome in outcomes.values()):
            yield from _not_begun(plan, order[number + 1 :])
            return
        if others := [line for urn, lines in progress.errors.items() if urn not in tenants for line in lines]:
            raise UserError("\n".join(others))


def _not_begun(plan: Plan, waiting: Iterable[Stage]) -> Iterator[Result]:
    """The outcomes for the tenants of stages that were not begun."""
    later = {tenant for stage in waiting for tenant in stage.tenants}
    return (Result(row.tenant, row.change, "", (), applied=False) for row in plan.rows if row.tenant in later)


def _idle_canaries(plan: Plan, rollout: Rollout, examine: Examine, say: Callable[[str], None]) -> Mapping[str, str]:
    """The canaries that are not well and that the plan does not touch: an earlier run did, and stopped there."""
    idle = [tenant for tenant in rollout.canaries if tenant not in {row.tenant for row in plan.rows}]
    others = [row for row in plan.rows if row.change is not Change.DESTROYED and row.tenant not in rollout.canaries]
    if not idle or not others:
        return {}
    say(f"examining the canaries: {', '.join(idle)}")
    return {tenant: f"not well: {problem}" for tenant, problem in examine(idle).items()}


def _unwell(examine: Examine, rows: Iterable[Row], say: Callable[[str], None]) -> Iterator[tuple[str, str]]:
    """The tenants that are not well, and why; without removed ones."""
    asked = [row.tenant for row in rows if row.change is not Change.DESTROYED]
    if asked:
        say(f"examining {', '.join(asked)}")
        for tenant, problem in examine(asked).items():
            yield tenant, f"not well afterwards: {problem}"


def _left(engine: Engine) -> Plan:
    """The plan of what is left to do, with the ids of the tenants' objects."""
    before = engine.state()
    return preview_plan.read(engine.preview(), before)


def _still_reviewed(plan: Plan, now: Plan) -> Plan:
    """What is left of a plan between two stages. Stop if it does something that was not reviewed."""
    if news := approval.unreviewed(plan, now, begun=True):
        lines = "\n".join(f"- {line}" for line in news)
        raise UserError(
            f"The plan changed while it was applied, so the remaining stages were not begun. What is new:\n{lines}"
        )
    return now


def _apply(engine: Engine, targets: Sequence[str] | None, say: Callable[[str], None]) -> Progress:
    progress = Progress()
    try:
        for event in engine.up(targets):
            if line := progress.note(event):
                say(f"  {line}")
    except InterruptedRunError as error:
        progress.interrupted = error
    return progress


def _targets(plan: Plan, rows: Iterable[Row]) -> list[str]:
    """The targets of an `up` for some tenants: their planned operations, and the connections to the teams."""
    return [*plan.providers, *(operation.urn for row in rows for operation in row.operations)]
