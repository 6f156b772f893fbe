"""What a run puts in order before it begins: here without an engine, see `test_deploying` and `tests/sandbox`."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from meltanodata.cli import recovery
from meltanodata.config.stacks import Project
from meltanodata.engine import pulumi_cli
from meltanodata.engine.resource_types import Type
from meltanodata.engine.stack_state import StackState
from tests import previews
from tests.program import builders

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

DROPLET = builders.droplet(id=1)


def state_of(*tenants: str) -> StackState:
    """Each with a droplet of the account and a database of none."""
    resources: list[dict[str, Any]] = [{"urn": previews.ROOT, "type": "pulumi:pulumi:Stack"}]
    for tenant in tenants:
        resources.append({"urn": previews.urn(tenant), "type": previews.COMPONENT, "parent": previews.ROOT})
        for role, kind, id_ in (("droplet", Type.DROPLET, "1"), ("database", Type.CLUSTER, "2")):
            parent = previews.urn(tenant)
            resources.append({"urn": previews.urn(tenant, role), "type": kind, "id": id_, "parent": parent})
    return StackState({"version": 3, "deployment": {"resources": resources}})


@pytest.fixture
def refreshed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The URNs that the engine is told to refresh."""
    urns: list[str] = []

    def refresh(_: str, __: Path, more: Sequence[str]) -> None:
        urns.extend(more)

    monkeypatch.setattr(pulumi_cli, "refresh", refresh)
    return urns


def test_what_was_deleted_by_hand_is_removed_from_the_state_before_the_run_would_delete_it(
    folder: Path, refreshed: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where no run was interrupted: a DELETE that finds nothing fails, and so would every run."""
    monkeypatch.setattr(pulumi_cli, "state", lambda *_: state_of("acme", "cork"))
    account = SimpleNamespace(inventory=builders.accounts(droplets=[DROPLET]))
    monkeypatch.setattr(recovery, "account", lambda _: account)
    recovery.recover("prod", Project(folder))
    assert refreshed == [previews.urn("cork", "database")]
    assert capsys.readouterr().out.splitlines() == [
        "Removing from the state what no longer exists, deleted by hand or by an interrupted run:",
        "  cork-database",
    ]


def test_where_nothing_is_about_to_be_deleted_no_account_is_asked(
    folder: Path, refreshed: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pulumi_cli, "state", lambda *_: state_of("acme"))
    monkeypatch.setattr(recovery, "account", lambda _: pytest.fail("asked"))
    recovery.recover("prod", Project(folder))
    assert (refreshed, capsys.readouterr().out) == ([], "")
