"""A light sandbox in this process, for tests of the API and of clients; the real engine for those of programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox.control import Control
from sandbox.engine.obtain import Engine, obtain
from sandbox.home import Home
from tests.sandbox.api import Background, Client
from tests.sandbox.programs import Program, plugin_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sandbox.running import Running


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
