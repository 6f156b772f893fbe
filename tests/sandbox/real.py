"""The repository's tenants on a sandbox with real droplets and databases."""

from __future__ import annotations

import io
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console

from sandbox import demo
from sandbox.choice import obstacle
from sandbox.demo import Sandbox, Stack
from tests.sandbox.processes import process_list
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.checks import Instance, Person
    from sandbox.home import Home

REASON = obstacle("droplets") or obstacle("databases")


@dataclass
class World:
    """A sandbox, its stack with tenants, and a person who looks at them."""

    sandbox: Sandbox
    person: Person
    stack: Stack
    said: str
    """What preview and up printed."""
    arguments: set[str]
    """Every argument of every process that was seen while they ran."""

    @property
    def instances(self) -> list[Instance]:
        return self.stack.instances()


@contextmanager
def real_tenants(home: Home) -> Iterator[World]:
    """The tenants of the repository's fleet file, made by the program."""
    sandbox = Sandbox(home, Console(file=io.StringIO()))
    sandbox.run("start", "--droplets=real", "--databases=real")
    try:
        with process_list(pause=0.05) as arguments:
            said = sandbox.pulumi("preview", "--diff") + sandbox.pulumi("up", "--yes", "--skip-preview")
        yield World(sandbox, sandbox.person(), sandbox.stack(), said, arguments)
    finally:
        sandbox.run("stop")
        eventually(lambda: demo._leftovers(home) == [])
