"""What a killed run leaves in the state, and the state repaired."""

from __future__ import annotations

from typing import Any

import pytest

from meltanodata.engine.recovery import Lock, lock, repaired, uncertain, why_kept
from meltanodata.engine.resource_types import Type
from meltanodata.engine.stack_state import Pending, StackState

PREFIX = "urn:pulumi:prod::meltanodata::meltanodata:index:Tenant$"
DROPLET = f"{PREFIX}digitalocean:index/droplet:Droplet::acme-droplet"
RECORD = f"{PREFIX}digitalocean:index/dnsRecord:DnsRecord::acme-record"
FILES = f"{PREFIX}command:remote:Command::acme-files"


def state_of(resources: list[dict[str, Any]] | None = None, *noted: tuple[str, str]) -> StackState:
    """A state as `pulumi stack export` prints it."""
    deployment: dict[str, Any] = {"manifest": {"version": "3.259.0"}, "metadata": {}}
    if resources is not None:
        deployment["resources"] = resources
    if noted:
        deployment["pending_operations"] = [{"type": kind, "resource": {"urn": urn}} for kind, urn in noted]
    return StackState({"version": 3, "deployment": deployment})


def droplet(**more: Any) -> dict[str, Any]:
    return {"urn": DROPLET, "type": "digitalocean:index/droplet:Droplet", "id": "7", **more}


def record(**more: Any) -> dict[str, Any]:
    return {"urn": RECORD, "type": "digitalocean:index/dnsRecord:DnsRecord", "id": "8", **more}


def test_a_state_without_notes_is_left_alone() -> None:
    for state in (state_of(), state_of([droplet()])):
        assert state.pending == ()
        assert state.awaiting_replacement == ()
        assert repaired(state) == state.exported


def test_notes_are_read_and_dropped() -> None:
    state = state_of([record()], ("creating", DROPLET), ("deleting", RECORD))
    assert state.pending == (Pending("creating", DROPLET), Pending("deleting", RECORD))
    assert [str(it) for it in state.pending] == ["creating acme-droplet", "deleting acme-record"]
    assert repaired(state) == state_of([record()]).exported


def test_the_given_state_is_not_changed() -> None:
    state = state_of([droplet(pendingReplacement=True), record(dependencies=[DROPLET])], ("creating", DROPLET))
    repaired(state)
    assert state == state_of([droplet(pendingReplacement=True), record(dependencies=[DROPLET])], ("creating", DROPLET))


def test_what_was_deleted_to_be_replaced_is_forgotten_with_every_reference_to_it() -> None:
    other = f"{PREFIX}random:index/randomPassword:RandomPassword::acme-salt"
    referring = record(
        parent="urn:pulumi:prod::meltanodata::meltanodata:index:Tenant::acme",
        dependencies=[other, DROPLET],
        propertyDependencies={"value": [DROPLET], "name": None, "ttl": [other]},
        deletedWith=DROPLET,
    )
    state = state_of([{"urn": other, "type": Type.PASSWORD}, droplet(pendingReplacement=True), referring])
    assert [it.urn for it in state.awaiting_replacement] == [DROPLET]
    assert repaired(state)["deployment"]["resources"] == [
        {"urn": other, "type": Type.PASSWORD},
        record(
            parent="urn:pulumi:prod::meltanodata::meltanodata:index:Tenant::acme",
            dependencies=[other],
            propertyDependencies={"value": [], "name": None, "ttl": [other]},
        ),
    ]


def test_references_to_a_successor_stay() -> None:
    state = state_of([droplet(id="9"), droplet(pendingReplacement=True), record(dependencies=[DROPLET])])
    assert repaired(state)["deployment"]["resources"] == [droplet(id="9"), record(dependencies=[DROPLET])]


def test_deletedwith_another_one_stays() -> None:
    state = state_of([droplet(pendingReplacement=True), record(deletedWith=FILES)])
    assert repaired(state)["deployment"]["resources"] == [record(deletedWith=FILES)]


def test_only_begun_deletions_of_what_the_state_still_has_are_uncertain() -> None:
    state = state_of([droplet(), record()], ("deleting", RECORD), ("creating", FILES), ("updating", DROPLET))
    assert uncertain(state) == [RECORD]
    assert uncertain(state_of([], ("deleting", RECORD))) == []


LOCK = Lock("ci", "runner-1", 4711, "2026-11-23T00:44:22.5Z")


def test_the_lock_of_a_process_that_is_gone_is_not_kept() -> None:
    assert why_kept(LOCK, "prod", "runner-1", runs=lambda _: False, hidden=lambda _: False) is None


def test_a_process_at_work_keeps_its_lock() -> None:
    reason = why_kept(LOCK, "prod", "runner-1", runs=lambda pid: pid == LOCK.pid, hidden=lambda _: True)
    assert reason == (
        "the stack is locked by ci@runner-1 (process 4711) since 2026-11-23 00:44:22, which is still running."
        " Wait until it ends"
    )


@pytest.mark.parametrize("runs", [True, False])
def test_another_machines_lock_is_explained_and_kept(runs: bool) -> None:
    reason = why_kept(LOCK, "prod", "runner-2", runs=lambda _: runs, hidden=lambda _: False)
    assert reason is not None
    assert "ci@runner-1" in reason
    assert "pulumi cancel" in reason


def test_a_lock_that_may_be_another_containers_is_kept_and_says_how_to_remove_it() -> None:
    reason = why_kept(LOCK, "prod", "runner-1", runs=lambda _: False, hidden=lambda since: since == LOCK.since)
    assert reason is not None
    assert "another PID namespace" in reason
    assert "pulumi cancel --yes --stack prod" in reason


def test_a_lock_is_read_as_pulumi_writes_it() -> None:
    content = '{"pid":4711,"username":"ci","hostname":"runner-1","timestamp":"2026-11-23T00:44:22.5Z"}'
    assert lock(content.encode()) == LOCK


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b'{"pid":4711,"userna',
        b"[]",
        b"null",
        b"{}",
        b"\xff",
        b'{"pid":"1","username":"ci","hostname":"x","timestamp":"y"}',
        b'{"pid":-1,"username":"ci","hostname":"x","timestamp":"y"}',
        b'{"pid":true,"username":"ci","hostname":"x","timestamp":"y"}',
        b'{"pid":1,"username":null,"hostname":"x","timestamp":"y"}',
    ],
)
def test_what_is_no_lock_is_said(content: bytes) -> None:
    with pytest.raises(ValueError, match="it is "):
        lock(content)
