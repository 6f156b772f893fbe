"""A sandbox for one benchmark, and what it counts."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter, deque
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from sandbox.control import Control
from sandbox.home import PROJECT, Home
from sandbox.running import Running

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from sandbox.api.traffic import Seen
    from sandbox.running import PluginKind

A_MINUTE = 250
"""What DigitalOcean allows a token."""
_STOP_SECONDS = 60
_TOO_MANY = 429


class WorldError(Exception):
    """The sandbox does not do what the benchmark needs."""


@dataclass(frozen=True)
class Requests:
    """What was asked of the API in some time."""

    by_token: Mapping[str, int]
    """By the team's name."""
    most_a_minute: int
    """Of one token, in any 60 seconds."""
    refused: int
    """Answered 429."""

    @property
    def total(self) -> int:
        """Of all tokens."""
        return sum(self.by_token.values())


class World:
    """A running sandbox."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.running = Running.load(home)
        self.control = Control(self.running)

    def plugins(self) -> list[int]:
        """The processes that stand in for plugins: they work for whoever runs Pulumi."""
        return [
            child.pid for child in psutil.Process(self.running.pid).children() if "sandbox.plugins" in child.cmdline()
        ]

    def empty(self) -> None:
        """Destroy everything, and forget how many requests were made."""
        self.control.reset()

    def new_hour(self) -> None:
        """Begin as if all before had been an hour ago: two operations on 500 tenants do not fit into one of a token."""
        self.control.new_hour()

    def requests(self, since: float) -> Requests:
        """What was asked since then.

        Args:
            since: seconds since the epoch.
        """
        # The sandbox keeps the newest 20,000, more than the hours of all tokens hold.
        seen = self.control.requests(since)
        return count(seen)


def count(seen: Iterable[Seen]) -> Requests:
    """Count requests, in the order of time."""
    by_token: Counter[str] = Counter()
    windows: dict[str, deque[float]] = {}
    most = refused = 0
    for request in seen:
        by_token[request.team] += 1
        if request.status == _TOO_MANY:
            refused += 1
            continue
        window = windows.setdefault(request.team, deque())
        window.append(request.time)
        while window[0] <= request.time - 60:
            window.popleft()
        most = max(most, len(window))
    return Requests(dict(by_token), most, refused)


@contextmanager
def world(folder: Path, plugins: PluginKind) -> Iterator[World]:
    """A sandbox in a folder of its own, as long as the context lasts.

    Raises:
        WorldError: it does not start; its last words.
    """
    home = Home(folder)
    home.folder(".")
    argv = [sys.executable, "-m", "bench.server", "--plugins", plugins]
    environment = {**os.environ, "SANDBOX_HOME": str(home.path)}
    with (
        (home.path / "sandbox.log").open("ab") as log,
        subprocess.Popen(
            argv, cwd=PROJECT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        ) as server,
    ):
        try:
            said = ""
            for line in server.stdout or ():
                if line.strip() == "ready":
                    break
                said = line.strip()
            else:
                raise WorldError(f"the sandbox does not start ({said}); its log is {home.path / 'sandbox.log'}")
            yield World(home)
        finally:
            server.terminate()
            try:
                server.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                server.kill()


def wait_for_room(world: World, team: str, requests: int) -> None:
    """Wait until a token may make so many requests within a minute, so that no run starts on another one's budget."""
    while True:
        now = time.time()
        used = sum(seen.team == team for seen in world.control.requests(now - 60))
        if used + requests <= A_MINUTE:
            return
        time.sleep(1)
