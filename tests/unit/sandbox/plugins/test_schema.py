"""Inputs are checked and compared by their table."""

from __future__ import annotations

import pytest

from sandbox.plugins.schema import (
    Change,
    Field,
    Fields,
    ListOf,
    MapOf,
    PropertyChange,
    check,
    difference,
    join,
    mirrored,
    without,
)
from sandbox.plugins.values import UNKNOWN, Secret

FIELDS: Fields = {
    "name": Field(required=True, replaces=True),
    "port": Field("number", default=22),
    "token": Field(secret=True),
    "tags": Field(ListOf("string")),
    "labels": Field(MapOf("string"), replaces=True),
    "connection": Field(
        {"host": Field(required=True), "key": Field(secret=True), "tries": Field("integer", default=10)}
    ),
}


def test_defaults_are_filled_in_and_secrets_wrapped() -> None:
    checked, failures = check(FIELDS, {"name": "a", "token": "t", "connection": {"host": "h", "key": Secret("k")}})
    assert not failures
    assert checked == {
        "name": "a",
        "port": 22,
        "token": Secret("t"),
        "connection": {"host": "h", "key": Secret("k"), "tries": 10},
    }


def test_every_failure_is_reported_with_its_path() -> None:
    values = {
        "port": "x",
        "tags": ["a", 1],
        "labels": {"a.b": 2},
        "connection": Secret({"tries": 1.5}),
        "colour": "red",
    }
    _, failures = check(FIELDS, values)
    assert [failure.path for failure in failures] == [
        "colour", "name", "port", "tags[1]", 'labels["a.b"]', "connection.host", "connection.tries",
    ]  # fmt: skip


def test_no_failure_shows_a_value() -> None:
    _, failures = check(FIELDS, {"name": "a", "token": ["hunter2"]})
    assert [failure.path for failure in failures] == ["token"]
    assert "hunter2" not in failures[0].reason


@pytest.mark.parametrize("value", [True, 1, "x", [1], {"a": 1}])
def test_an_unknown_value_fits_every_type(value: object) -> None:
    values = dict.fromkeys(FIELDS, UNKNOWN) | {"name": UNKNOWN}
    assert check(FIELDS, values)[1] == []
    assert check({"x": Field("any")}, {"x": value})[1] == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"name": "a"}, {"name": "a"}, {}),
        ({"name": Secret("a")}, {"name": "a"}, {}),
        ({"name": "a"}, {"name": "b"}, {"name": PropertyChange(Change.UPDATE, replaces=True)}),
        ({}, {"port": 1}, {"port": PropertyChange(Change.ADD)}),
        ({"port": 1}, {"port": True}, {"port": PropertyChange(Change.UPDATE)}),
        ({"port": 1}, {}, {"port": PropertyChange(Change.DELETE)}),
        ({"port": 1}, {"port": UNKNOWN}, {"port": PropertyChange(Change.UPDATE)}),
        ({"port": UNKNOWN}, {"port": UNKNOWN}, {"port": PropertyChange(Change.UPDATE)}),
        (
            {"tags": ["a"]},
            {"tags": ["b", "c"]},
            {"tags[0]": PropertyChange(Change.UPDATE), "tags[1]": PropertyChange(Change.ADD)},
        ),
        ({"labels": {"x.y": "1"}}, {"labels": {}}, {'labels["x.y"]': PropertyChange(Change.DELETE, replaces=True)}),
        (
            {"connection": {"host": "a"}},
            {"connection": Secret({"host": "b"})},
            {"connection.host": PropertyChange(Change.UPDATE)},
        ),
        ({"connection": {"host": "a"}}, {"connection": "b"}, {"connection": PropertyChange(Change.UPDATE)}),
    ],
)
def test_difference(old: dict[str, object], new: dict[str, object], expected: dict[str, PropertyChange]) -> None:
    assert difference(FIELDS, old, new) == expected


def test_an_ignored_path_covers_what_is_below_it_and_nothing_beside_it() -> None:
    changes = dict.fromkeys(["a", "a.b", "a[0]", "ab", "c.d", "c.de"], PropertyChange(Change.UPDATE))
    assert set(without(changes, ["a", "c.d"])) == {"ab", "c.de"}


@pytest.mark.parametrize(
    ("path", "name", "expected"),
    [("", "a", "a"), ("a", "b", "a.b"), ("a", "b.c", 'a["b.c"]'), ("a", 'b"c', 'a["b\\"c"]'), ("a", "", 'a[""]')],
)
def test_paths_are_in_the_engines_notation(path: str, name: str, expected: str) -> None:
    assert join(path, name) == expected


def test_an_output_that_repeats_an_input_is_as_secret() -> None:
    inputs = {"a": Secret("x"), "b": {"c": Secret("y")}, "d": Secret(UNKNOWN)}
    outputs = {"a": "x", "b": {"c": "y"}, "d": "known", "e": "x"}
    assert mirrored(inputs, outputs) == {"a": Secret("x"), "b": {"c": Secret("y")}, "d": "known", "e": "x"}
    assert mirrored(inputs, outputs, preview=True)["d"] == Secret(UNKNOWN)
