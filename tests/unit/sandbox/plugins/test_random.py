"""Passwords of the stand-in random plugin."""

from __future__ import annotations

import asyncio
import string
from typing import Any

import bcrypt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.plugins.package import Call, ProviderError, State
from sandbox.plugins.random import RandomPassword

CALL: Call[None] = Call(None, "urn:pulumi:s::p::t::pw", 0)
SPECIAL = "!@#$%&*()-_=+[]{}<>:?"


def create(**inputs: Any) -> dict[str, Any]:
    return asyncio.run(RandomPassword().create(CALL, inputs)).outputs


@settings(max_examples=10, deadline=None)  # bcrypt takes its time
@given(st.integers(1, 40), st.lists(st.integers(0, 5), min_size=4, max_size=4))
def test_a_password_has_its_length_and_the_least_of_each_class(length: int, least: list[int]) -> None:
    options = dict(zip(("minLower", "minUpper", "minNumeric", "minSpecial"), least, strict=True))
    inputs = {"length": length + sum(least), **options}
    assert RandomPassword().check(inputs) == []
    password = create(**inputs)["result"]
    assert len(password) == inputs["length"]
    for alphabet, count in zip(
        (string.ascii_lowercase, string.ascii_uppercase, string.digits, SPECIAL), least, strict=True
    ):
        assert sum(character in alphabet for character in password) >= count


def test_classes_can_be_left_out() -> None:
    assert set(create(length=200, lower=False, upper=False, special=False)["result"]) <= set(string.digits)
    assert set(create(length=200, lower=False, upper=False, number=False, overrideSpecial="%!")["result"]) <= set("%!")


def test_outputs_hold_every_option_and_the_hash() -> None:
    outputs = create(length=80, number=False)
    assert bcrypt.checkpw(outputs["result"].encode()[:72], outputs["bcryptHash"].encode())
    assert outputs["bcryptHash"].startswith("$2a$10$")
    assert (outputs["id"], outputs["numeric"], outputs["number"], outputs["minUpper"]) == ("none", False, False, 0)


@pytest.mark.parametrize(
    ("inputs", "path"),
    [
        ({"length": 0}, "length"),
        ({"length": 3, "minUpper": 2, "minLower": 2}, "length"),
        ({"length": 3, "lower": False, "upper": False, "numeric": False, "special": False}, "numeric"),
    ],
)
def test_impossible_options_are_refused(inputs: dict[str, Any], path: str) -> None:
    assert [failure.path for failure in RandomPassword().check(inputs)] == [path]


def test_both_names_of_numeric_must_agree() -> None:
    with pytest.raises(ProviderError, match="number and numeric"):
        create(length=8, number=True, numeric=False)


@pytest.mark.parametrize(
    "inputs", [{"length": 8, "special": True}, {"length": 8, "number": True}, {"length": 8, "minUpper": 0}]
)
def test_a_default_that_is_spelt_out_changes_nothing(inputs: dict[str, Any]) -> None:
    assert RandomPassword().diff(State({"length": 8}, {}), inputs) == {}


@pytest.mark.parametrize(
    "inputs", [{"length": 9}, {"length": 8, "special": False}, {"length": 8, "keepers": {"a": "1"}}]
)
def test_any_change_makes_another_password(inputs: dict[str, Any]) -> None:
    changes = RandomPassword().diff(State({"length": 8}, {}), inputs)
    assert changes
    assert all(change.replaces for change in changes.values())


def test_the_engine_is_told_which_options_changed_and_no_more() -> None:
    plan = RandomPassword().plan(State({"length": 8}, {}), {"length": 9}, ())
    assert (list(plan.changes), plan.detailed) == (["length"], False)


def test_a_state_says_of_which_version_it_is() -> None:
    assert create(length=8)["__meta"] == '{"schema_version":"3"}'


def test_an_import_takes_the_id_for_the_password() -> None:
    found = asyncio.run(RandomPassword().read(CALL, "s3cret", None))
    assert found
    assert found.id == "none"
    assert found.state.outputs["result"] == "s3cret"
    assert found.state.inputs["length"] == 6
