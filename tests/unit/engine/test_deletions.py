"""Whose database may be deleted, and whose would be without anybody being asked."""

from __future__ import annotations

from typing import Any

import pytest

from meltanodata.engine import deletions
from meltanodata.engine.resource_types import Type
from meltanodata.engine.stack_state import StackState
from meltanodata.rollout import preview_plan
from tests.previews import child, created, destroyed, inputs, preview, renewed, replaced

GUARDED = {"BeforeDelete": [deletions.HOOK]}


def state(*resources: dict[str, Any]) -> StackState:
    return StackState({"version": 3, "deployment": {"resources": list(resources)}})


def resource(name: str, type_: str, **more: Any) -> dict[str, Any]:
    urn = f"urn:pulumi:prod::meltanodata::meltanodata:index:Tenant${type_}::{name}"
    return {"urn": urn, "type": type_, "id": "7", **more}


def tenant(key: str, hooks: dict[str, list[str]] | None = None, **more: Any) -> list[dict[str, Any]]:
    kinds = {"database": Type.CLUSTER, "record": Type.RECORD, "verify": Type.COMMAND}
    given = {"resourceHooks": hooks} if hooks else {}
    return [resource(f"{key}-{role}", type_, **given, **more) for role, type_ in kinds.items()]


@pytest.mark.parametrize("text", ["acme,bolt-2", " acme, bolt-2 ,", "acme\nbolt-2", "bolt-2 acme acme"])
def test_the_tenants_that_an_environment_names(text: str) -> None:
    assert deletions.named({deletions.VARIABLE: text}) == {"acme", "bolt-2"}


@pytest.mark.parametrize("environment", [{}, {deletions.VARIABLE: ""}, {deletions.VARIABLE: " , "}])
def test_an_environment_that_names_nobody(environment: dict[str, str]) -> None:
    assert deletions.named(environment) == frozenset()


def test_what_is_named_is_read_again() -> None:
    assert deletions.named(deletions.variable(["bolt-2", "acme"])) == {"acme", "bolt-2"}
    assert deletions.named(deletions.variable([])) == frozenset()


def test_a_plan_names_those_whose_databases_it_deletes_or_replaces() -> None:
    steps = [*destroyed("acme"), replaced("bolt-2", "database", "name"), *created("core"), *renewed("dax")]
    steps.append(child("delete", "eve", "record", old=inputs("eve", "record")))
    lone = child("delete", "fay", "database", old=inputs("fay", "database"))
    del lone["oldState"]["parent"]
    assert preview_plan.read(preview(*steps, lone)).deleted_databases == {"acme", "bolt-2", "fay"}


def test_the_databases_that_a_state_has() -> None:
    deleted, *_ = tenant("core", delete=True)
    gone, *_ = tenant("dax", pendingReplacement=True)
    assert deletions.with_database(state(*tenant("acme"), *tenant("bolt-2", GUARDED), deleted, gone)) == {
        "acme",
        "bolt-2",
    }


def test_a_state_of_an_older_version_has_nobody_asked() -> None:
    assert deletions.unguarded(state(*tenant("acme"), *tenant("bolt")), ["bolt"]) == ["acme"]
    assert deletions.unguarded(state(*tenant("acme", {"OnError": ["cluster-name"]})), []) == ["acme"]


def test_a_state_of_this_version_has_the_hook_asked() -> None:
    assert deletions.unguarded(state(*tenant("acme", GUARDED), *tenant("bolt")), ["bolt"]) == []


def test_a_tenant_only_some_of_whose_resources_have_the_hook_counts_as_unguarded() -> None:
    database, *others = tenant("acme", GUARDED)
    older = tenant("acme")
    assert deletions.unguarded(state(database, *others[:1], *older[2:]), []) == ["acme"]
    assert deletions.unguarded(state(older[0], *others), []) == ["acme"]


def test_a_tenant_without_a_database_may_go() -> None:
    assert deletions.unguarded(state(*tenant("acme")[1:]), []) == []
    assert deletions.unguarded(state(*tenant("acme", pendingReplacement=True)), []) == []
    assert deletions.unguarded(state(), []) == []


def test_a_database_that_a_killed_run_left_to_be_deleted_counts_although_its_tenant_stays() -> None:
    old, *_ = tenant("acme", delete=True)
    assert deletions.unguarded(state(*tenant("acme", GUARDED), old), ["acme"]) == ["acme"]


def test_a_refusal_names_everybody_and_the_word() -> None:
    *lines, last = deletions.refusal({"bolt", "acme"}).splitlines()
    assert [line.split(":")[0] for line in lines] == ["acme", "bolt"]
    assert last.index("restore its entry") < last.index("--allow guard:data-loss")
    assert last.endswith("MELTANODATA_DELETE_DATABASES=acme,bolt")
