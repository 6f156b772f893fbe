"""How a plan is applied: canaries first, then batches, each looked at before the next one, and what came of it.

The order and the outcome are decided here; what runs the engine and looks at the tenants is handed in.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from meltanodata.engine import urns
from meltanodata.errors import UserError
from meltanodata.rollout import plan as plans
from meltanodata.rollout.plan import Change

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from meltanodata.config.settings import Rollout
    from meltanodata.engine.stack_state import StackState
    from meltanodata.rollout.plan import Plan, Row


class Engine(Protocol):
    """What applies a plan."""

    def state(self) -> StackState:
        """What there is, see `engine.export`."""

    def preview(self) -> Mapping[str, Any]:
        """What is still to be done, see `engine.preview`."""

    def up(self, targets: Sequence[str] | None) -> Iterator[Mapping[str, Any]]:
        """Apply, see `engine.up`."""


Examine: TypeAlias = "Callable[[Collection[str]], Mapping[str, str]]"
"""What `doctor` finds wrong with tenants: of those that are not well, what it is and what to do."""


@dataclass(frozen=True)
class Stage:
    """Tenants that are applied at the same time."""

    name: str
    tenants: frozenset[str]
    holds_up: bool = True
    """Whether the stages after it wait for one in which all went well."""


@dataclass(frozen=True)
class Result:
    """What came of one tenant."""

    tenant: str
    change: str
    stage: str
    problems: tuple[str, ...]
    """Empty when everything planned was done, and the tenant is well."""
    applied: bool = True
    """False for a tenant whose turn did not come."""

    @property
    def well(self) -> bool:
        """Whether it is as planned."""
        return self.applied and not self.problems


def stages(plan: Plan, rollout: Rollout) -> list[Stage]:
    """The order in which a plan is applied: the canaries that it touches, removals, then batches by name.

    Tenants that go have a stage of their own, since a run in which anything fails removes nothing (`isolation`). They
    hold up nobody, and after the canaries nobody holds them up. One stage at least, also for a plan without tenants.
    """
    going = [row.tenant for row in plan.rows if row.change is Change.DESTROYED]
    staying = [row.tenant for row in plan.rows if row.change is not Change.DESTROYED]
    canaries = frozenset(rollout.canaries).intersection(staying)
    rest = [tenant for tenant in staying if tenant not in canaries]
    parts = [rest[start : start + rollout.batch] for start in range(0, len(rest), rollout.batch)]
    found = [Stage("canaries", canaries)] if canaries else []
    found += [Stage("removals", frozenset(going), holds_up=False)] if going else []
    found += [Stage(f"batch {number} of {len(parts)}", frozenset(part)) for number, part in enumerate(parts, 1)]
    return found or [Stage("batch 1 of 1", frozenset())]


@dataclass
class Progress:
    """What the events of one `up` tell."""

    done: set[str] = field(default_factory=set)
    """URNs with an operation that succeeded."""
    errors: dict[str, list[str]] = field(default_factory=dict)
    """The engine's messages by URN; those of the run as a whole under the empty one."""

    def note(self, event: Mapping[str, Any]) -> str | None:
        """Take an event in; returns a line for the reader, where it has something to tell."""
        if "resOutputsEvent" in event:
            step = event["resOutputsEvent"]["metadata"]
            operation = plans.OPERATIONS.get(step["op"])
            if operation is not None:
                new = step["urn"] not in self.done
                self.done.add(step["urn"])
                return f"{operation} of {urns.name_of(step['urn'])}" if new else None
        elif "resOpFailedEvent" in event:
            self.errors.setdefault(event["resOpFailedEvent"]["metadata"]["urn"], [])
        elif "diagnosticEvent" in event:
            line = event["diagnosticEvent"]
            if said := plans.error(line):
                self.errors.setdefault(line.get("urn") or "", []).append(said)
                return f"error: {said}"
        return None


def result(row: Row, stage: Stage, progress: Progress) -> Result:
    """What came of a tenant in an `up`."""
    problems = []
    missing = []
    for operation in row.operations:
        if operation.urn in progress.errors:
            said = " ".join(progress.errors[operation.urn]) or "failed"
            problems.append(f"{operation}: {said}")
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
    """Apply a plan that may be applied, and say what came of each tenant as soon as its stage has ended.

    One tenant that fails holds up nobody in its stage, and everybody in the stages after it, unless it was to be
    removed (see `stages`). Each tenant's own last Command verifies it (the guide's step 6); after the pause `doctor`
    looks at everything else, too. Canaries that the plan does not touch have to be well before others are touched.

    Args:
        plan: as the guard has seen it.
        rollout: the stack's.
        engine: runs Pulumi.
        examine: see there.
        wait: sleeps for so many seconds.
        say: tells the reader how far it is.

    Raises:
        UserError: the engine could not work at all, or between two stages the plan has become another one.
    """
    order = stages(plan, rollout)
    if sick := _idle_canaries(plan, rollout, examine, say):
        yield from (Result(tenant, "untouched", "canaries", (problem,)) for tenant, problem in sick.items())
        yield from (Result(row.tenant, row.change, "", (), applied=False) for row in plan.rows)
        return
    tenants = {operation.urn for row in plan.rows for operation in row.operations}
    for number, stage in enumerate(order):
        last = number == len(order) - 1
        now = plan if number == 0 else _still_reviewed(plan, _left(engine))
        rows = [row for row in now.rows if row.tenant in stage.tenants]
        say(f"{stage.name}: {', '.join(row.tenant for row in rows) or 'no tenant'}")
        # The last one without targets: what is no tenant's, and the stack's outputs, are brought up to date too.
        progress = _apply(engine, None if last else _targets(now, rows), say)
        found = {row.tenant: result(row, stage, progress) for row in rows}
        if stage.holds_up and not last:
            wait(rollout.pause)
        for tenant, problem in _unwell(examine, [row for row in rows if found[row.tenant].well], say):
            found[tenant] = replace(found[tenant], problems=(problem,))
        yield from found.values()
        if not stage.holds_up and not last:
            continue
        if not all(it.well for it in found.values()):
            later = {tenant for waiting in order[number + 1 :] for tenant in waiting.tenants}
            for row in plan.rows:
                if row.tenant in later:
                    yield Result(row.tenant, row.change, "", (), applied=False)
            return
        if others := [line for urn, lines in progress.errors.items() if urn not in tenants for line in lines]:
            raise UserError("\n".join(others))


def _idle_canaries(plan: Plan, rollout: Rollout, examine: Examine, say: Callable[[str], None]) -> Mapping[str, str]:
    """The canaries that are not well and that the plan does not touch: an earlier run has, and stopped there."""
    idle = [tenant for tenant in rollout.canaries if tenant not in {row.tenant for row in plan.rows}]
    others = [row for row in plan.rows if row.change is not Change.DESTROYED and row.tenant not in rollout.canaries]
    if not idle or not others:
        return {}
    say(f"looking at the canaries: {', '.join(idle)}")
    return {tenant: f"not well: {problem}" for tenant, problem in examine(idle).items()}


def _unwell(examine: Examine, rows: Iterable[Row], say: Callable[[str], None]) -> Iterator[tuple[str, str]]:
    """The tenants that are not well, and why; not those that are gone."""
    asked = [row.tenant for row in rows if row.change is not Change.DESTROYED]
    if asked:
        say(f"looking at {', '.join(asked)}")
        for tenant, problem in examine(asked).items():
            yield tenant, f"not well afterwards: {problem}"


def _left(engine: Engine) -> Plan:
    """What is still to be done, with the objects of those to whom it is done."""
    before = engine.state()
    return plans.read(engine.preview(), before)


def _still_reviewed(plan: Plan, now: Plan) -> Plan:
    """What is left of a plan between two stages, unless it has become another one."""
    if news := plans.unreviewed(plan, now, begun=True):
        lines = "\n".join(f"- {line}" for line in news)
        raise UserError(
            f"While it was applied, the plan has become another one; nothing more is done. What is new:\n{lines}"
        )
    return now


def _apply(engine: Engine, targets: Sequence[str] | None, say: Callable[[str], None]) -> Progress:
    progress = Progress()
    for event in engine.up(targets):
        if line := progress.note(event):
            say(f"  {line}")
    return progress


def _targets(plan: Plan, rows: Iterable[Row]) -> list[str]:
    """What an `up` for some tenants is confined to: their planned operations, and the connections to the teams."""
    return [*plan.providers, *(operation.urn for row in rows for operation in row.operations)]
