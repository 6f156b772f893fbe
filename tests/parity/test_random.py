"""The stand-in random plugin beside the official one: the same calls, the same answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pytest

from sandbox.plugins.random import PACKAGE
from sandbox.plugins.values import UNKNOWN, Properties
from tests.parity.worlds import Engine, World, official, stand_in

if TYPE_CHECKING:
    from collections.abc import Callable

KIND = "RandomPassword"
OPTIONS: tuple[Properties, ...] = (
    *({}, {"length": 3}, {"length": 0}, {"length": UNKNOWN}, {"special": False}, {"numeric": False}, {"number": False}),
    *({"upper": UNKNOWN}, {"overrideSpecial": "%!"}, {"overrideSpecial": ""}, {"minUpper": 3}, {"minUpper": 30}),
    *({"minUpper": 20, "minLower": 20}, {"minUpper": UNKNOWN, "minLower": 30}, {"keepers": {"generation": "2"}}),
    *({"keepers": {}}, {"keepers": {"generation": UNKNOWN}}),
    {"upper": False, "lower": False, "numeric": False, "special": False},
)


class Passwords(World):
    """The plugin."""

    package = PACKAGE
    # What is random.
    same: ClassVar[tuple[str, ...]] = (r'(?<="value": ")[^"]+', r'(?<="result": ")[^"]+', r'(?<="bcryptHash": ")[^"]+')

    def check(self, kind: str, inputs: Properties) -> Properties:
        """The stand-in refuses the same inputs, in words of its own."""
        checked = super().check(kind, inputs)
        if not checked:
            self.said[-1] = "refused"
        return checked


def inputs_of_all_sorts(world: Passwords) -> None:
    """Checks and previews."""
    for options in OPTIONS:
        world.preview(KIND, world.check(KIND, {"length": 24, **options}))
    world.check(KIND, {})


def a_password(world: Passwords) -> None:
    """Its whole life."""
    inputs = world.check(KIND, {"length": 24, "keepers": {"generation": "1"}, "minUpper": 3})
    made = world.create(KIND, inputs)
    for options in OPTIONS:
        world.diff(KIND, made, {**inputs, **options}, was=inputs)
    for name in ("keepers", "minUpper"):
        world.diff(KIND, made, {key: value for key, value in inputs.items() if key != name}, was=inputs)
    world.diff(KIND, made, {**inputs, "keepers": {"generation": "2"}, "length": 3}, "keepers", was=inputs)
    world.read(KIND, *made, inputs)
    world.delete(KIND, made)


def an_import(world: Passwords) -> None:
    """A password that exists; the next preview changes nothing."""
    for password in ("s3cret", "x"):
        found = world.read(KIND, password, {}, {})
        for options in ({}, {"length": 9}, {"special": False}):
            world.diff(KIND, found, {"length": len(password), **options}, was={"length": len(password)})


@pytest.mark.parametrize("scenario", [inputs_of_all_sorts, a_password, an_import], ids=lambda it: it.__name__)
def test_both_plugins_do_the_same(scenario: Callable[[Passwords], None]) -> None:
    said = []
    for plugin in (official, stand_in):
        with plugin("random") as target, Engine() as engine:
            world = Passwords(target, engine, {})
            scenario(world)
            world.note("logged", [line for line in engine.logged if line[0] == "ERROR"])
            said.append(world.said)
    assert said[1] == said[0]
