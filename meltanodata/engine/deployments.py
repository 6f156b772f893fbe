"""When a tenant was deployed last, and by whom: from the stack's state and its history. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from meltanodata.engine.stack_state import TenantState


@dataclass(frozen=True)
class Update:
    """A run that wrote a stack's state, as Pulumi's history has it."""

    began: datetime
    ended: datetime
    author: str | None
    """The author of the commit that was checked out, which is all that Pulumi notes of a person."""
    commit: str | None
    """That commit's full id."""


@dataclass(frozen=True)
class Deployment:
    """The last time that a run changed something of a tenant."""

    at: datetime
    author: str | None
    """None if the history does not say, or does not have the run."""
    commit: str | None


def updates(history: Iterable[Mapping[str, Any]]) -> list[Update]:
    """The runs in a history as `pulumi stack history --json` prints it; one whose times cannot be read is left out."""
    runs = []
    for run in history:
        began, ended = _time(run.get("startTime")), _time(run.get("endTime"))
        if began and ended:
            environment = run.get("environment") or {}
            runs.append(Update(began, ended, environment.get("git.author"), environment.get("git.head")))
    return runs


def last(tenant: TenantState, runs: Iterable[Update]) -> Deployment | None:
    """The last change of anything of a tenant, with the run that made it; None if the state has no times."""
    resources = [*tenant.resources.values(), *([tenant.component] if tenant.component else [])]
    times = [_time(resource.json.get(when)) for resource in resources for when in ("created", "modified")]
    at = max((time for time in times if time), default=None)
    if at is None:
        return None
    # The history has whole seconds.
    run = next((run for run in runs if run.began <= at <= run.ended + timedelta(seconds=1)), None)
    return Deployment(at, run.author if run else None, run.commit if run else None)


def _time(text: object) -> datetime | None:
    """RFC 3339, as the engine writes it; None for anything else, and for a time without a zone."""
    try:
        time = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return time.astimezone(UTC) if time and time.tzinfo else None
