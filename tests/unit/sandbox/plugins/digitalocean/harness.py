"""The stand-in digitalocean plugin on the sandbox's API, both in this process and on a virtual clock."""

from __future__ import annotations

import asyncio
import fnmatch
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import httpx

from sandbox.api.app import create_app
from sandbox.api.cloud import Cloud
from sandbox.api.projects import add_project
from sandbox.api.state import State, Team
from sandbox.databases.light import LightDatabases
from sandbox.home import Home
from sandbox.plugins.digitalocean import PACKAGE
from sandbox.plugins.digitalocean.client import Client, Settings
from sandbox.plugins.digitalocean.resource import BridgedResource
from sandbox.plugins.package import Call, Found, PartiallyDone
from sandbox.plugins.package import State as Kept

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.backends import Machine
    from sandbox.plugins.values import Properties

from typing import TYPE_CHECKING

SETTINGS = Settings("token", "http://127.0.0.1", 4, 1.0, 30.0, 0.0)
TEAM = "Meltano"
RESOURCES = {
    resource.token.rpartition(":")[2]: resource
    for resource in PACKAGE.resources
    if isinstance(resource, BridgedResource)
}


class _Machines:
    """Droplets of which there is nothing but the time that they take."""

    seconds = 5.0
    cannot = frozenset[str]()

    async def create(self, machine: Machine) -> None:
        del machine
        await asyncio.sleep(self.seconds)

    power_on = power_off = destroy = create

    async def take_snapshot(self, machine: Machine, snapshot: int) -> int:
        del snapshot
        await self.create(machine)
        return 0

    async def delete_snapshot(self, snapshot: int) -> None:
        pass

    async def delete_other_snapshots(self, kept: frozenset[int]) -> None:
        pass

    async def close(self) -> None:
        pass


class _Addresses:
    """Addresses that nobody listens on."""

    gateway = "127.9.0.1"
    resolver = ("127.9.0.1", 53)

    async def up(self) -> None:
        pass

    async def down(self) -> None:
        pass

    async def assign(self, address: str) -> None:
        pass

    async def release(self, address: str) -> None:
        pass

    def droplet_address(self, index: int) -> str:
        return f"127.9.1.{index + 1}"

    def database_address(self, index: int) -> str:
        return f"127.9.2.{index + 1}"


class World(httpx.AsyncBaseTransport):
    """A team's API as a transport: keeps what was asked and when, and can be told to misbehave."""

    def __init__(self, folder: Path) -> None:
        home, state = Home(folder), State(":memory:")
        state.teams.put(
            Team(
                name=TEAM,
                uuid="5e3f3b1c-0000-4000-8000-000000000000",
                token="token",
                read_token="read",
                droplet_limit=9,
                database_limit=9,
            )
        )
        self.project = add_project(state, TEAM, "Meltano", is_default=True)
        self.machines = _Machines()
        self.cloud = Cloud(state, self.machines, LightDatabases(home), _Addresses(), _Addresses())
        app: Any = create_app(self.cloud, "control", lambda: None)
        self._api = httpx.ASGITransport(app)
        self.requests: list[tuple[float, str, str]] = []
        """Seconds since the start, method, path."""
        self.answers: list[tuple[str, str, httpx.Response | Exception]] = []
        """Method, path pattern, what comes instead of the API's answer, every time."""
        self.client = Client(SETTINGS, self)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The API's answer, or one that is on order."""
        now = round(asyncio.get_running_loop().time(), 1)
        self.requests.append((now, request.method, request.url.raw_path.decode()))
        for method, path, answer in self.answers:
            if request.method == method and fnmatch.fnmatch(request.url.path, path):
                if isinstance(answer, Exception):
                    raise answer
                return httpx.Response(answer.status_code, content=answer.content, headers=answer.headers)
        return await self._api.handle_async_request(request)

    def times(self, method: str, path: str) -> list[float]:
        """When a path that matches the whole of this expression was asked for."""
        return [time for time, asked, place in self.requests if asked == method and re.fullmatch(path, place)]

    async def close(self) -> None:
        """Let go of what is open."""
        await self.cloud.jobs.cancel()
        self.cloud.state.close()


@dataclass(frozen=True)
class Kind:
    """One type of resource, with the steps that an engine takes."""

    world: World
    name: str
    resource: BridgedResource = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "resource", RESOURCES[self.name])

    def call(self, seconds: float = 0) -> Call[Client]:
        """An operation; seconds are a custom time limit."""
        return Call(self.world.client, f"urn:pulumi:s::p::{self.resource.token}::it", seconds)

    def inputs(self, properties: Properties, old: Properties | None = None) -> Properties:
        """What a program says, checked."""
        inputs, failures = self.resource.checked("it", properties, old or {}, b"")
        assert failures == []
        return inputs

    async def create(self, properties: Properties, seconds: float = 0) -> Thing:
        """Check and create."""
        inputs = self.inputs(properties)
        created = await self.resource.create(self.call(seconds), inputs)
        return Thing(self, created.id, Kept(inputs, created.outputs))

    async def find(self, id_: str) -> Found | None:
        """As `import` does."""
        return await self.resource.read(self.call(), id_, None)


@dataclass(frozen=True)
class Thing:
    """One resource in a state."""

    kind: Kind
    id: str
    state: Kept

    @property
    def outputs(self) -> Properties:
        """What the state has."""
        return self.state.outputs

    def changes(self, **properties: Any) -> dict[str, str]:
        """What an update with these inputs changed would do: by path `UPDATE`, `ADD_REPLACE` …"""
        inputs = self.kind.inputs({**self.state.inputs, **properties}, self.state.inputs)
        plan = self.kind.resource.plan(self.state, inputs, ())
        return {path: item.change.value + "_REPLACE" * item.replaces for path, item in plan.changes.items()}

    async def update(self, **properties: Any) -> Thing:
        """Do it."""
        inputs = self.kind.inputs({**self.state.inputs, **properties}, self.state.inputs)
        outputs = await self.kind.resource.update(self.kind.call(), self.id, self.state, inputs)
        return replace(self, state=Kept(inputs, outputs))

    async def refresh(self) -> Found | None:
        """As it is now."""
        return await self.kind.resource.read(self.kind.call(), self.id, self.state)

    async def delete(self, seconds: float = 0) -> None:
        """Remove it."""
        await self.kind.resource.delete(self.kind.call(seconds), self.id, self.state)


def kept(error: PartiallyDone) -> Kept:
    """What the engine keeps of an object that is not ready."""
    return Kept({}, error.outputs)


DOWN = httpx.ConnectError("All connection attempts failed")
DOWN.__cause__ = ConnectionRefusedError(111, "Connection refused")
