"""The stand-in command plugin beside the official one: the same calls, the same answers, the same runs over SSH."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, ClassVar

import asyncssh
import pytest

from sandbox.plugins.command import PACKAGE
from sandbox.plugins.values import UNKNOWN, Properties, Secret
from tests.fakes.ssh_server import SshServer
from tests.parity.worlds import Engine, World, official, stand_in

if TYPE_CHECKING:
    from collections.abc import Callable

KIND = "Command"
HOST_KEY, CLIENT_KEY, ANOTHER_KEY = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(3))
PRIVATE_KEY, ANOTHER_PRIVATE_KEY = (key.export_private_key().decode() for key in (CLIENT_KEY, ANOTHER_KEY))
"""Written once: every export of the same key is another text."""


class Commands(World):
    """The plugin, and a machine that it runs commands on."""

    package = PACKAGE
    same: ClassVar[tuple[str, ...]] = (
        *(r"127\.0\.0\.1:\d+", r'(?<="port": )\d+\.0', r"\bit[0-9a-f]{8}\b"),
        r"(?<=lookup nowhere\.invalid)( on \S+)?(?=: )",  # Go says whom it asked
        r"(said before|went wrong)\\\\n(said before|went wrong)",  # which comes first is chance
    )

    accepts_secrets = True

    def __init__(self, target: str, engine: Engine, server: SshServer) -> None:
        self.server = server
        super().__init__(target, engine, {})

    def check(self, kind: str, inputs: Properties) -> Properties:
        """The stand-in refuses the same inputs, in words of its own."""
        checked = super().check(kind, inputs)
        if not checked:
            self.said[-1] = "refused"
        return checked

    def inputs(self, **changes: object) -> Properties:
        """A command's, valid but for the changes; those of `connection` are its own."""
        own = changes.pop("connection", {})
        assert isinstance(own, dict)
        connection = {
            "host": "127.0.0.1",
            "port": self.server.port,
            "privateKey": Secret(PRIVATE_KEY),
            "hostKey": self.server.public_key,
            "dialErrorLimit": 1,
            **own,
        }
        given = {"connection": connection, "create": "print created", "triggers": ["1"], "logging": "none", **changes}
        return {name: value for name, value in given.items() if value is not None}


SECRET = Secret("hunter2")
CHANGES: tuple[Properties, ...] = (
    *({}, {"create": None}, {"create": "print other"}, {"create": UNKNOWN}, {"create": SECRET}, {"create": 1}),
    *({"update": "print updated"}, {"delete": "print deleted"}, {"stdin": "x"}, {"stdin": SECRET}, {"stdin": UNKNOWN}),
    *({"triggers": None}, {"triggers": []}, {"triggers": ["2"]}, {"triggers": ["1", "2"]}),
    *({"triggers": [UNKNOWN]}, {"triggers": UNKNOWN}, {"triggers": [SECRET]}, {"triggers": [1, True, {"a": "b"}]}),
    *({"logging": None}, {"logging": "stdout"}, {"logging": "loud"}, {"logging": UNKNOWN}),
    *({"addPreviousOutputInEnv": False}, {"addPreviousOutputInEnv": "no"}, {"environment": {"A": "b"}}),
    *({"environment": {"A": SECRET}}, {"environment": {"A": UNKNOWN}}, {"environment": {"A": 1}}, {"nope": 1}),
    *({"connection": change} for change in ({"host": "localhost"}, {"host": UNKNOWN}, {"user": UNKNOWN})),
    *({"connection": change} for change in ({"port": 23}, {"port": "22"}, {"user": "meltano"}, {"nope": 1})),
    *({"connection": {"dialErrorLimit": limit}} for limit in (-1, "3")),
    *({"connection": {"perDialTimeout": seconds}} for seconds in (3, "x")),
    *({"connection": {"privateKey": key}} for key in ("another", Secret("another"))),
    *({"connection": {"hostKey": key}} for key in ("another", UNKNOWN)),
)


def inputs_of_all_sorts(world: Commands) -> None:
    """Checks and previews, which dial nobody."""
    for change in CHANGES:
        world.preview(KIND, world.check(KIND, world.inputs(**change)))
    without: tuple[Properties, ...] = ({}, {"connection": {}}, {"connection": "x"})
    for inputs in without:
        world.preview(KIND, world.check(KIND, {"create": "true", **inputs}))


def changes_of_all_sorts(world: Commands) -> None:
    """What an update would do, and what its preview says."""
    for was in ({}, {"stdin": SECRET, "environment": {"A": "b"}}, {"stdin": "x", "update": "print", "logging": None}):
        old = world.check(KIND, world.inputs(**was))
        made = world.create(KIND, old)
        for change in CHANGES:
            new = world.check(KIND, world.inputs(**{**was, **change}))
            if new:
                world.diff(KIND, made, new, was=old)
                world.diff(KIND, made, new, "connection.privateKey", "stdin", was=old)
                world.preview_update(KIND, made, new, was=old)


def a_command(world: Commands) -> None:
    """Its whole life."""
    inputs = world.check(KIND, world.inputs(create="cat", stdin=SECRET, update="print updated", delete="print deleted"))
    made = world.create(KIND, inputs)
    world.read(KIND, *made, inputs)
    world.read(KIND, made[0], {}, {})
    made = world.update(KIND, made, {**inputs, "triggers": ["2"]}, was=inputs)
    world.update(KIND, made, {**inputs, "update": "fail 3"}, was=inputs)
    world.delete(KIND, made)
    inputs = world.check(KIND, world.inputs(create=None, stdin="x"))
    silent = world.create(KIND, inputs)
    world.update(KIND, silent, world.check(KIND, world.inputs(create=None, stdin="y")), was=inputs)
    world.delete(KIND, silent)


def failures(world: Commands) -> None:
    """What goes wrong on the way and over there."""
    for command in ("fail 3", "break", "print \N{SNOWMAN} \"quoted\" <b> & 'more'\\"):
        world.create(KIND, world.check(KIND, world.inputs(create=command)))
    with socket.socket() as taken:  # bound and not listening
        taken.bind(("127.0.0.1", 0))
        for connection in (
            {"port": taken.getsockname()[1]},
            {"port": taken.getsockname()[1], "dialErrorLimit": 0},
            {"hostKey": ANOTHER_KEY.export_public_key().decode()},
            {"hostKey": "junk"},
            {"privateKey": ANOTHER_PRIVATE_KEY},
            {"privateKey": "junk"},
            {"privateKey": None},
            {"host": "nowhere.invalid"},
            {"agentSocketPath": "/nowhere/agent"},
        ):
            world.create(KIND, world.check(KIND, world.inputs(connection=connection)))
        endless = world.inputs(connection={"port": taken.getsockname()[1], "dialErrorLimit": -1})
        world.create(KIND, world.check(KIND, endless), seconds=2)


SCENARIOS = (inputs_of_all_sorts, changes_of_all_sorts, a_command, failures)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda it: it.__name__)
def test_both_plugins_do_the_same(scenario: Callable[[Commands], None]) -> None:
    worlds = []
    for plugin in (official, stand_in):
        server = SshServer()
        server.host_key, server.client_key = HOST_KEY, CLIENT_KEY
        with plugin("command") as target, server, Engine() as engine:
            world = Commands(target, engine, server)
            scenario(world)
            world.note("logged", engine.logged)
            world.note("runs", [[run.command, run.stdin] for run in server.runs])
            worlds.append(world)
    assert worlds[1].said == worlds[0].said
    assert worlds[1].seconds[1:] == pytest.approx(worlds[0].seconds[1:], abs=2.5)
