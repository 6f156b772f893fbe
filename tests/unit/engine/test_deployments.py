"""When a tenant was deployed last, and by whom."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from meltanodata.engine import deployments
from meltanodata.engine.deployments import Deployment
from meltanodata.engine.resource_types import Type
from meltanodata.engine.stack_state import StackState
from tests.unit.engine.parts import component, part, state


def run(begins: str, ends: str, who: str, commit: str) -> dict[str, Any]:
    """As `pulumi stack history --json` has it."""
    environment = {"exec.kind": "cli", "git.author": who, "git.head": commit, "git.dirty": "true"}
    return {"kind": "update", "startTime": begins, "endTime": ends, "environment": environment, "result": "succeeded"}


HISTORY = [
    run("2026-11-20T10:00:00.000Z", "2026-11-20T10:05:07.000Z", "Ann", "a" * 40),
    run("2026-11-18T09:00:00.000Z", "2026-11-18T09:01:00.000Z", "Bob", "b" * 40),
]


def last(*resources: dict[str, Any], history: list[dict[str, Any]] | None = None) -> Deployment | None:
    (tenant,) = StackState(state(*resources)).tenants.values()
    return deployments.last(tenant, deployments.updates(HISTORY if history is None else history))


def changed(at: str, role: str = "files") -> dict[str, Any]:
    return {**part("acme", Type.COMMAND, role), "created": "2026-11-18T09:00:30.5Z", "modified": at}


def test_the_latest_change_of_anything_of_the_tenant_and_the_run_that_made_it() -> None:
    resources = component("acme"), changed("2026-11-18T09:00:31Z"), changed("2026-11-20T10:05:07.622687382Z", "verify")
    at = datetime(2026, 11, 20, 10, 5, 7, 622687, tzinfo=UTC)
    assert last(*resources) == Deployment(at, "Ann", "a" * 40)


def test_a_run_that_left_the_tenant_as_it_was_does_not_count() -> None:
    assert last(changed("2026-11-18T09:00:31Z")) == Deployment(
        datetime(2026, 11, 18, 9, 0, 31, tzinfo=UTC), "Bob", "b" * 40
    )


def test_a_run_that_the_history_lacks_or_without_a_repository_has_nobody() -> None:
    killed = datetime(2026, 11, 19, 12, tzinfo=UTC)
    assert last(changed("2026-11-19T12:00:00Z")) == Deployment(killed, None, None)
    bare = [{"startTime": "2026-11-19T11:00:00Z", "endTime": "2026-11-19T13:00:00Z"}]
    assert last(changed("2026-11-19T12:00:00Z"), history=bare) == Deployment(killed, None, None)


@pytest.mark.parametrize("odd", [None, "", "yesterday", "2026-11-19", "2026-11-19T12:00:00", 7])
def test_a_time_that_cannot_be_read_is_none(odd: Any) -> None:
    assert last({**part("acme", Type.COMMAND, "files"), "created": odd, "modified": odd}) is None
    assert deployments.updates([{"startTime": odd, "endTime": "2026-11-19T13:00:00Z"}]) == []
