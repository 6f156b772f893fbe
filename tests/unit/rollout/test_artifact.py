"""What a job wrote that ran the request's own code."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meltanodata.config.settings import Guard
from meltanodata.errors import UserError
from meltanodata.github import LARGEST_ARTIFACT
from meltanodata.rollout import artifact, guard, plan, preview_plan
from meltanodata.rollout.guard import DATA_LOSS, MANY_DESTROYED, Review, Stop
from tests.previews import Step, created, destroyed, preview, renewed


def written(*steps: Step, **changes: Any) -> dict[str, Any]:
    """What `plan --json` prints, with some of it edited by whoever ran it."""
    found: dict[str, Any] = json.loads(Review(plan=preview_plan.read(preview(*steps))).model_dump_json())
    found["plan"].update(changes)
    return found


def read(content: dict[str, Any]) -> plan.Plan:
    return artifact.read(json.dumps(content).encode(), "prod")


def test_an_honest_plan_is_read_as_it_was_written() -> None:
    honest = preview_plan.read(preview(*created("acme"), *destroyed("bolt"), *renewed("core")))
    assert artifact.read(Review(plan=honest).model_dump_json().encode(), "prod") == honest


def test_the_verdict_in_it_is_not_believed() -> None:
    forged = written(*destroyed("acme"))
    forged["stops"] = [Stop(label=DATA_LOSS, message="reviewed by @boss", allowed=True).model_dump()]
    found = guard.review(read(forged), Guard(), named=["acme"])
    assert [(stop.label, stop.allowed) for stop in found.stops] == [(DATA_LOSS, False)]
    assert "@boss" not in str(found.stops)


def test_what_follows_from_the_operations_is_worked_out_again() -> None:
    forged = written(*destroyed("acme"), *destroyed("bolt"), *destroyed("core"), teams=[])
    for row in forged["plan"]["rows"]:
        row |= {"change": "changed", "effects": [{"text": "nobody notices", "severity": 0, "about": ""}]}
        for operation in row["operations"]:
            operation |= {"type": "random:index/randomPassword:RandomPassword", "role": "secret-key"}
    found = read(forged)
    assert {row.change for row in found.rows} == {plan.Change.DESTROYED}
    assert all("data loss" in str(row.effects) and "nobody notices" not in str(row.effects) for row in found.rows)
    stops = guard.review(found, Guard(), named=["acme", "bolt", "core"]).stops
    assert {DATA_LOSS, MANY_DESTROYED} <= {stop.label for stop in stops}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "the preview failed"),
        (b" \n", "the preview failed"),
        (b"<html>", "is not a plan"),
        (b"[]", "is not a plan"),
        (b"{}", "is not a plan"),
        (b"[" * 100_000, "is not a plan"),
        (b"\xff", "is not a plan"),
        (b"0" * (LARGEST_ARTIFACT + 1), "more than 16777216 bytes"),
    ],
)
def test_what_is_no_plan_is_said_and_not_quoted(content: bytes, told: str) -> None:
    with pytest.raises(UserError, match=told) as error:
        artifact.read(content, "prod")
    assert len(str(error.value)) < 200


def test_the_plan_of_another_stack_is_refused() -> None:
    with pytest.raises(UserError, match="the plan of another stack"):
        artifact.read(json.dumps(written(*created("acme"))).encode(), "prod-2")


def edited(path: str, value: Any) -> dict[str, Any]:
    content = written(*created("acme"), *created("bolt"))
    at: Any = content["plan"]
    *most, last = path.split(".")
    for part in most:
        at = at[int(part) if part.isdigit() else part]
    at[last] = value
    return content


@pytest.mark.parametrize(
    "content",
    [
        edited("rows.0.tenant", "acme | x"),
        edited("rows.0.tenant", "bolt"),
        edited("rows.0.tenant", "<!-- meltanodata plan -->"),
        edited("rows.0.operations", []),
        edited("rows.0.operations.0.op", "reviewed"),
        edited("rows.0.operations.0.urn", "urn:pulumi:prod-2::p::t::acme"),
        edited("rows.0.operations.0.urn", "urn:pulumi:prod::acme"),
        edited("rows.0.cost", {"before": "1e999999", "after": "1"}),
        edited("rows.0.cost", {"before": "NaN", "after": "1"}),
        edited("tenants", 10**30),
        edited("tenants", -1),
    ],
)
def test_names_and_numbers_that_are_none_are_refused(content: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="is not a plan"):
        read(content)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)
ROW = ("tenant", "operations.0.urn", "operations.0.op", "reasons", "effects", "team", "cost", "change")
PATHS = st.sampled_from(
    [*(f"rows.0.{name}" for name in ROW), "others", "teams", "providers", "tenants", "stack", "rows"]
)


@given(path=PATHS, value=JSON)
def test_nothing_in_it_brings_more_than_a_message(path: str, value: Any) -> None:
    try:
        found = read(edited(path, value))
    except UserError:
        return
    guard.review(found, Guard(), named=[])


def test_the_plan_of_a_newer_program_with_more_in_it_is_read() -> None:
    newer = written(*destroyed("acme"))
    newer["by"] = newer["plan"]["by"] = newer["plan"]["rows"][0]["by"] = "a newer program"
    newer["plan"]["rows"][0]["operations"][0]["value"] = 1
    assert read(newer) == read(written(*destroyed("acme")))
