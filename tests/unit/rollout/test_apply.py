from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meltanodata.config.settings import Rollout
from meltanodata.engine.resource_types import Type
from meltanodata.engine.stack_state import StackState
from meltanodata.errors import InterruptedRunError, UserError
from meltanodata.rollout import apply, preview_plan
from meltanodata.rollout.apply import Result, stages
from tests import previews
from tests.previews import Step, child, created, destroyed, preview, renewed, replaced, updated

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from meltanodata.rollout.plan import Plan

PROVIDER = f"{previews.PREFIX}pulumi:providers:digitalocean::MeltanoData DBs 2"


class World:
    """An engine that does what it is told, except where it is told to fail; and everything around it."""

    def __init__(self, *steps: Step) -> None:
        self.left = list(steps)
        self.fails: dict[str, str] = {}
        """The engine's message by URN; what comes after it in the same tenant is not done."""
        self.interrupted: int | None = None
        """The number of the `up` that is interrupted, when all that it began is done."""
        self.unwell: dict[str, str] = {}
        """What doctor finds wrong."""
        self.ups: list[set[str] | None] = []
        self.waits: list[float] = []
        self.checked: list[list[str]] = []
        self.said: list[str] = []
        self.logs: list[dict[str, Any]] = []
        """What the program logs."""
        self.between: list[Step] = []
        """What somebody changes in the world while it is applied."""
        self.databases: dict[str, str] = {}
        """The ids of clusters that the state has, by the tenant's key."""

    def state(self) -> StackState:
        urns = {previews.urn(key, "database"): id_ for key, id_ in self.databases.items()}
        resources = [{"urn": urn, "type": Type.CLUSTER, "id": id_} for urn, id_ in urns.items()]
        return StackState({"deployment": {"resources": resources}})

    def preview(self) -> Mapping[str, Any]:
        return preview(*self.left, *self.between)

    def up(self, targets: Sequence[str] | None) -> Iterator[Mapping[str, Any]]:
        self.ups.append(None if targets is None else set(targets))
        yield from self._applied(targets)
        if len(self.ups) == self.interrupted:
            raise InterruptedRunError("Interrupted")

    def _applied(self, targets: Sequence[str] | None) -> Iterator[Mapping[str, Any]]:
        stuck: set[str] = set()
        for step in list(self.left):
            urn = step["urn"]
            tenant = urn.rsplit("::", 1)[1].split("-")[0]
            if (targets is not None and urn not in targets) or tenant in stuck:
                continue
            metadata = {"op": step["op"], "urn": urn}
            yield {"resourcePreEvent": {"metadata": metadata}}
            if urn in self.fails:
                stuck.add(tenant)
                yield from self._failed(metadata, self.fails[urn])
            else:
                self.left.remove(step)
                yield {"resOutputsEvent": {"metadata": metadata}}
        yield from ({"diagnosticEvent": line} for line in self.logs)
        yield {"diagnosticEvent": {"severity": "debug", "message": "properties of something"}}
        yield {"resOutputsEvent": {"metadata": {"op": "same", "urn": previews.ROOT}}}
        yield {"summaryEvent": {}}

    def examine(self, tenants: Collection[str]) -> Mapping[str, str]:
        self.checked.append(list(tenants))
        return {tenant: self.unwell[tenant] for tenant in tenants if tenant in self.unwell}

    def _failed(self, metadata: Mapping[str, str], message: str) -> Iterator[Mapping[str, Any]]:
        yield {"resOpFailedEvent": {"metadata": metadata}}
        # The digitalocean plugin says it first in its own way, and is not to be heard.
        said = f"sdk-v2/provider2.go:571: sdk.helper_schema: {message}: provider=digitalocean@4.76.1"
        yield {"diagnosticEvent": {"urn": metadata["urn"], "severity": "error", "message": said}}
        yield {"diagnosticEvent": {"urn": metadata["urn"], "severity": "error", "message": f"{message}\n"}}

    def deploy(self, **rollout: Any) -> list[Result]:
        found = preview_plan.read(self.preview(), self.state())
        return list(self.running(found, **rollout))

    def running(self, found: Plan, **rollout: Any) -> Iterator[Result]:
        return apply.run(
            found, Rollout(**rollout), self, examine=self.examine, wait=self.waits.append, say=self.said.append
        )


def of(kind: Any, *keys: str) -> list[Step]:
    return [step for key in keys for step in kind(key)]


def applied(results: list[Result]) -> dict[str, bool]:
    return {result.tenant: result.applied and not result.problems for result in results}


@pytest.mark.parametrize("kind", [created, destroyed])
def test_a_small_change_is_one_up_without_a_pause(kind: Any) -> None:
    world = World(*of(kind, "acme", "bolt"))
    assert applied(world.deploy()) == {"acme": True, "bolt": True}
    looked = [["acme", "bolt"]] if kind is created else []
    assert (world.ups, world.waits, world.checked) == ([None], [], looked)
    assert world.left == []


def test_who_is_ready_and_what_a_wipe_dropped_is_said_and_nothing_else_that_is_logged() -> None:
    world = World(*created("acme"))
    ready, acme = "acme is ready: https://acme.meltanodata.com", previews.urn("acme")
    world.logs = [
        {"urn": acme, "severity": "info", "message": f"{ready}\n"},
        {"urn": acme, "severity": "debug", "message": "properties"},
        {"urn": acme, "severity": "info", "message": "\n"},
        {"urn": previews.urn("acme", "droplet"), "severity": "info", "message": "of a plugin"},
        {"severity": "info", "message": "of the engine"},
        {"urn": previews.ROOT, "severity": "info", "message": "of the stack"},
    ]
    assert applied(world.deploy()) == {"acme": True}
    assert [line for line in world.said if "of " not in line and "acme is" in line] == [f"  {ready}"]
    assert not any(word in line for line in world.said for word in ("properties", "plugin", "of the engine"))


def test_removals_are_a_run_of_their_own_after_the_canaries() -> None:
    world = World(*of(renewed, "acme", "core"), *of(destroyed, "bolt", "demo"))
    results = world.deploy(canaries=("core", "demo"), pause=7.0)
    assert [(result.tenant, result.stage) for result in results] == [
        ("core", "canaries"),
        ("bolt", "removals"),
        ("demo", "removals"),
        ("acme", "batch 1 of 1"),
    ]
    assert world.ups == [
        {step["urn"] for step in renewed("core")},
        {step["urn"] for step in of(destroyed, "bolt", "demo")},
        None,
    ]
    assert world.waits == [7.0]
    assert world.left == []


def test_a_removal_that_fails_holds_up_nobody() -> None:
    world = World(*created("acme"), *destroyed("bolt"))
    world.fails = {step["urn"]: "it is locked" for step in destroyed("bolt")[:1]}
    assert applied(world.deploy()) == {"bolt": False, "acme": True}


def test_a_removal_is_not_held_up_by_a_tenant_that_fails() -> None:
    world = World(*created("acme"), *destroyed("bolt"))
    world.fails = {previews.urn("acme", "files"): "connection refused"}
    assert applied(world.deploy()) == {"bolt": True, "acme": False}


def test_canaries_come_first_and_are_looked_at_before_the_rest() -> None:
    world = World(*of(renewed, "acme", "bolt", "core"))
    results = world.deploy(canaries=("core", "not-touched"), pause=7.0)
    assert [(result.tenant, result.stage) for result in results] == [
        ("core", "canaries"),
        ("acme", "batch 1 of 1"),
        ("bolt", "batch 1 of 1"),
    ]
    assert world.ups == [{step["urn"] for step in renewed("core")}, None]
    assert (world.waits, world.checked) == ([7.0], [["not-touched"], ["core"], ["acme", "bolt"]])


def test_an_unwell_canary_holds_up_everybody_else() -> None:
    world = World(*of(renewed, "acme", "core"))
    world.unwell = {"core": "meltano.service failed"}
    assert world.deploy(canaries=("core",)) == [
        Result("core", "changed", "canaries", ("not well afterwards: meltano.service failed",)),
        Result("acme", "changed", "", (), applied=False),
    ]
    assert len(world.ups) == 1


def test_an_unwell_canary_holds_up_the_next_run_too() -> None:
    world = World(*of(created, "acme"), *destroyed("bolt"))
    world.unwell = {"core": "no A record"}
    assert world.deploy(canaries=("core",)) == [
        Result("core", "untouched", "canaries", ("not well: no A record",)),
        Result("acme", "created", "", (), applied=False),
        Result("bolt", "destroyed", "", (), applied=False),
    ]
    assert world.ups == []
    world.unwell = {}
    assert applied(world.deploy(canaries=("core",))) == {"acme": True, "bolt": True}
    assert world.checked == [["core"], ["core"], ["acme"]]


def test_an_unwell_canary_holds_up_no_removal() -> None:
    world = World(*destroyed("bolt"))
    world.unwell = {"core": "no A record"}
    assert applied(world.deploy(canaries=("core",))) == {"bolt": True}


def test_whoever_was_touched_is_looked_at_unless_it_failed_or_is_gone() -> None:
    world = World(updated("acme", "record", "value"), *destroyed("bolt"), *of(renewed, "core", "dax"))
    world.fails = {previews.urn("dax", "files"): "timed out"}
    world.unwell = {"acme": "dns: no A record"}
    assert applied(world.deploy()) == {"acme": False, "bolt": True, "core": True, "dax": False}
    assert world.checked == [["acme", "core"]]


def test_batches_stop_at_the_first_that_fails() -> None:
    world = World(*of(renewed, "t1", "t2", "t3", "t4", "t5"))
    world.fails = {previews.urn("t3", "files"): "timed out"}
    results = world.deploy(batch=2)
    assert applied(results) == {"t1": True, "t2": True, "t3": False, "t4": True, "t5": False}
    assert [result.tenant for result in results if not result.applied] == ["t5"]
    assert len(world.ups) == 2


def test_one_tenant_that_fails_holds_up_nobody_in_its_stage() -> None:
    world = World(*of(created, "acme", "bolt"))
    world.fails = {previews.urn("acme", "files"): "connection refused"}
    acme, bolt = world.deploy()
    assert bolt.problems == ()
    assert acme.problems == (
        "create of acme-files: connection refused",
        "not done: create of acme-meltano, create of acme-verify",
    )
    assert "  error: connection refused" in world.said


def test_what_goes_wrong_can_be_done_again() -> None:
    world = World(*of(created, "acme", "bolt"))
    world.fails = {previews.urn("acme", "files"): "connection refused"}
    world.deploy()
    world.fails = {}
    assert applied(world.deploy()) == {"acme": True}
    assert world.left == []


def test_a_replacement_counts_once() -> None:
    world = World(replaced("acme", "droplet", "image"))
    world.left.append({**world.left[0], "op": "delete-replaced"})
    world.deploy()
    assert [line for line in world.said if "droplet" in line] == ["  replace of acme-droplet"]


def test_connections_to_teams_are_made_in_every_stage() -> None:
    world = World(*of(created, "acme", "bolt"))
    world.left.append({"op": "create", "urn": PROVIDER, "detailedDiff": None})
    world.deploy(batch=1)
    first, second = world.ups
    assert first is not None
    assert PROVIDER in first
    assert second is None


def test_a_plan_that_touches_no_tenant_is_applied_too() -> None:
    shared = {"op": "create", "urn": f"{previews.PREFIX}digitalocean:index/tag:Tag::production", "detailedDiff": None}
    world = World(shared)
    assert world.deploy() == []
    assert (world.ups, world.left) == ([None], [])


def test_it_ends_when_the_plan_becomes_another_one() -> None:
    world = World(*of(renewed, "t1", "t2"))
    world.between = []
    results = apply.run(
        preview_plan.read(world.preview()),
        Rollout(batch=1),
        world,
        examine=world.examine,
        wait=lambda _: world.between.extend(destroyed("t1")),
        say=world.said.append,
    )
    assert next(results).tenant == "t1"
    with pytest.raises(UserError, match=r"stages were not begun. What is new:\n- t1: destroyed instead of changed"):
        next(results)
    assert len(world.ups) == 1


def test_a_tenant_that_was_made_anew_while_others_were_applied_is_not_wiped_for_the_old_one() -> None:
    """What is done on a droplet names no object."""
    wipes = [child("create", key, "wipe", None, {"triggers": ["2026-11-23"]}) for key in ("t1", "t2")]
    world = World(*wipes)
    world.databases = {"t1": "1", "t2": "2"}
    results = apply.run(
        preview_plan.read(world.preview(), world.state()),
        Rollout(batch=1),
        world,
        examine=world.examine,
        wait=lambda _: world.databases.update(t2="9"),
        say=world.said.append,
    )
    assert next(results).tenant == "t1"
    with pytest.raises(UserError, match="- t2: another tenant was reviewed: its database is 9, but 2 was reviewed"):
        next(results)
    assert len(world.ups) == 1


def test_an_error_of_no_tenants_is_not_swallowed() -> None:
    world = World(*created("acme"))
    shared = f"{previews.PREFIX}digitalocean:index/tag:Tag::production"
    world.left.append({"op": "create", "urn": shared, "detailedDiff": None})
    world.fails = {shared: "no such team"}
    with pytest.raises(UserError, match="no such team"):
        world.deploy()


KEYS = st.lists(st.from_regex(r"[a-z]{1,6}", fullmatch=True), unique=True, min_size=1, max_size=30)


@given(keys=KEYS, canaries=st.sets(st.from_regex(r"[a-z]{1,6}", fullmatch=True)), batch=st.integers(1, 7))
def test_everybody_is_in_one_stage_and_canaries_are_in_the_first(
    keys: list[str], canaries: set[str], batch: int
) -> None:
    found = preview_plan.read(preview(*of(renewed, *keys)))
    chosen = {*canaries, *keys[::5]}
    order = stages(found, Rollout(canaries=tuple(chosen), batch=batch))
    assert sorted(tenant for stage in order for tenant in stage.tenants) == sorted(keys)
    assert order[0].tenants == chosen.intersection(keys)
    assert all(0 < len(stage.tenants) <= batch for stage in order[1:])


def test_an_interrupt_ends_the_deployment_though_its_stage_was_done() -> None:
    world = World(*of(renewed, "acme", "core"))
    world.interrupted = 1
    running = world.running(preview_plan.read(world.preview(), world.state()), canaries=("core",), pause=7.0)
    core, acme = next(running), next(running)
    with pytest.raises(InterruptedRunError):
        next(running)
    assert (core.tenant, core.well, acme.tenant, acme.applied) == ("core", True, "acme", False)
    assert (len(world.ups), world.waits, world.checked) == (1, [], [])
