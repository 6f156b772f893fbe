"""The sandbox of a benchmark, and the requests that it counts."""

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
"""Requests that DigitalOcean allows a token."""
_STOP_SECONDS = 60
_TOO_MANY = 429


class WorldError(Exception):
    """The sandbox does not start."""


@dataclass(frozen=True)
class Requests:
    """The API's requests in a period."""

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
        """The processes of the stand-in plugins, which work for every run of Pulumi."""
        return [
            child.pid for child in psutil.Process(self.running.pid).children() if "sandbox.plugins" in child.cmdline()
        ]

    def empty(self) -> None:
        """Destroy everything, and forget how many requests were made."""
        self.control.reset()

    def new_hour(self) -> None:
        """Begin a new hour of every token's limit: two operations on 500 tenants do not fit into one."""
        self.control.new_hour()

    def requests(self, since: float) -> Requests:
        """Count the requests since then.

        Args:
            since: seconds since the epoch.
        """
        # The sandbox keeps the newest 20,000, more than all tokens may make in an hour.
        return count(self.control.requests(since))


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
        WorldError: it does not start; the message has its last line.
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
            last_line = ""
            for line in server.stdout or ():
                if line.strip() == "ready":
                    break
                last_line = line.strip()
            else:
                raise WorldError(f"the sandbox does not start ({last_line}); its log is {home.path / 'sandbox.log'}")
            yield World(home)
        finally:
            server.terminate()
            try:
                server.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                server.kill()


def wait_for_room(world: World, team: str, requests: int) -> None:
    """Wait until a token may make so many requests within a minute, however many the run before has made."""
    while True:
        now = time.time()
        used = sum(seen.team == team for seen in world.control.requests(now - 60))
        if used + requests <= A_MINUTE:
            return
        time.sleep(1)
