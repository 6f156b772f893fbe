"""What there is in a sandbox, whichever team has it; and the end of a machine."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sandbox.control import Control
from sandbox.home import PROJECT, Home
from tests.sandbox.api import Client
from tests.sandbox.programs import PLUGINS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.running import Kind, Running


class World:
    """A light sandbox, and what DigitalOcean's control panel would show of it."""

    def __init__(self, running: Running) -> None:
        self.control = Control(running)
        self.running = running
        self.meltano = self.team("Meltano")

    def team(self, name: str) -> Client:
        """The API as a team sees it."""
        return Client(self.running.api_url, self.running.teams[name].token)

    def droplets(self) -> dict[str, int]:
        """Ids by name; a name that is there twice fails."""
        found = [(droplet.name.split(".")[0], droplet.id) for droplet in self.control.droplets()]
        assert len(dict(found)) == len(found), found
        return dict(found)

    def records(self) -> dict[str, dict[str, Any]]:
        """The A records by name."""
        answer = self.meltano.get("/v2/domains/meltanodata.com/records?per_page=200&type=A")
        return {record["name"]: record for record in answer["domain_records"]}

    def clusters(self) -> dict[str, str]:
        """Ids by tenant."""
        teams = [self.team(name) for name in self.running.teams if name != "Meltano"]
        answers = [team.get("/v2/databases") for team in teams]
        found = [(it["name"].split("-", 4)[4], it["id"]) for answer in answers for it in answer["databases"] or []]
        assert len(dict(found)) == len(found), found
        return dict(found)

    def everything(self) -> tuple[dict[str, int], set[str], dict[str, str]]:
        return self.droplets(), set(self.records()), self.clusters()

    def writes(self) -> int:
        """Requests so far that were meant to change something."""
        return sum(seen.method != "GET" for seen in self.control.requests())


@contextmanager
def started(home: Home, kind: Kind, *options: str) -> Iterator[None]:
    """A sandbox in a folder, with droplets and databases of this kind, started as a person would."""
    environment = {**os.environ, "SANDBOX_HOME": str(home.path)}
    modes = ["--droplets", kind, "--databases", kind, "--plugins", PLUGINS, *options]
    subprocess.run([sys.executable, "-m", "sandbox", "start", *modes], cwd=PROJECT, env=environment, check=True)
    try:
        yield
    finally:
        subprocess.run([sys.executable, "-m", "sandbox", "stop"], cwd=PROJECT, env=environment, check=True)
