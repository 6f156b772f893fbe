"""What the stand-in command plugin plans and foretells; the expected answers are those of the official plugin 1.2.1."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sandbox.plugins.command import Command
from sandbox.plugins.package import Call, State
from sandbox.plugins.values import UNKNOWN

INPUTS: dict[str, Any] = {"connection": {"host": "127.0.0.1", "port": 22}, "create": "true"}
OLD = State(INPUTS, {**INPUTS, "stdout": "said", "stderr": ""})


@pytest.mark.parametrize(
    ("change", "stdout"),
    [
        ({}, "said"),
        ({"create": "false"}, UNKNOWN),
        ({"stdin": "new"}, "said"),
        ({"stdin": UNKNOWN}, UNKNOWN),
        ({"environment": {"A": UNKNOWN}}, "said"),
        ({"connection": {"host": UNKNOWN, "port": 22}}, UNKNOWN),
    ],
)
def test_what_it_will_print_is_known_until_an_input_changes(change: dict[str, Any], stdout: object) -> None:
    assert Command().preview_update(OLD, {**INPUTS, **change})["stdout"] == stdout


def test_changes_are_told_as_of_outputs() -> None:
    assert not Command().plan(OLD, {**INPUTS, "create": "false"}, ()).of_inputs


def test_a_read_is_what_the_state_says() -> None:
    call: Call[None] = Call(None, "urn:pulumi:s::p::t::it", 0)
    for old in (OLD, None):
        found = asyncio.run(Command().read(call, "it1", old))
        assert found
        assert (found.id, found.state) == ("it1", old or State({}, {}))
