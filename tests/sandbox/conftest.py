"""A light sandbox in this process, for tests of the API and of clients; the real engine for those of programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox.control import Control
from sandbox.engine.obtain import Engine, obtain
from sandbox.home import Home
from sandbox.running import Running
from tests.sandbox.api import Background, Client
from tests.sandbox.programs import Program, plugin_server
from tests.sandbox.repository import Repository, repository_on
from tests.sandbox.world import World, started

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A light sandbox, one per test module."""
    with Background(Home(tmp_path_factory.mktemp("sandbox"))) as running:
        yield running


@pytest.fixture
def control(running: Running) -> Control:
    """What is done to the sandbox of this module."""
    return Control(running)


@pytest.fixture
def meltano(running: Running, control: Control) -> Client:
    """The droplet team, in a sandbox that holds what it held at first."""
    control.reset()
    return Client(running.api_url, running.teams["Meltano"].token)


@pytest.fixture
def dbs(running: Running, control: Control) -> Client:
    """The first database team, in a sandbox that holds what it held at first."""
    control.reset()
    return Client(running.api_url, running.teams["MeltanoData DBs 1"].token)


@pytest.fixture(scope="session")
def engine() -> Engine:
    """Pulumi's CLI, from the cache that the sandbox uses; made once, however many workers the tests have."""
    return obtain(print)


@pytest.fixture(scope="session")
def attach() -> Iterator[str]:
    """The stand-in plugins' addresses, for PULUMI_DEBUG_PROVIDERS."""
    with plugin_server() as address:
        yield address


@pytest.fixture
def program(tmp_path: Path, engine: Engine, attach: str) -> Program:
    """An empty Pulumi program with a stack."""
    return Program(tmp_path / "program", engine, attach)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A light sandbox in processes of its own, one per test module."""
    home = Home(tmp_path_factory.mktemp("sandbox"))
    with started(home, "light"):
        yield home


@pytest.fixture
def world(home: Home) -> World:
    """What its teams hold."""
    return World(Running.load(home))


@pytest.fixture
def repository(home: Home, tmp_path: Path) -> Iterator[Repository]:
    """A git repository with the project, deployed to it by the workflows' own steps."""
    with repository_on(home, tmp_path / "repository") as repository:
        yield repository
