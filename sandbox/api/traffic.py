"""Which requests came, for tests, budgets and `status`."""

from __future__ import annotations

import time
from collections import Counter, deque

from pydantic import BaseModel


class Seen(BaseModel):
    """One request and its answer."""

    time: float
    """Seconds since the epoch."""
    team: str
    """Empty if the token is unknown."""
    read_only: bool
    method: str
    path: str
    """With the query."""
    status: int
    """0 when there was no answer: a fault broke the connection or the client went."""


class Minute(BaseModel):
    """What one token did in one minute of the clock."""

    team: str
    read_only: bool
    minute: int
    """Minutes since the epoch."""
    requests: int
    refused: int
    """Of them, answered 429."""


class Traffic:
    """Counts since the start, and the newest requests one by one."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, bool, int]] = Counter()
        self._refused: Counter[tuple[str, bool, int]] = Counter()
        self.newest: deque[Seen] = deque(maxlen=20_000)

    def add(self, team: str, *, read_only: bool, method: str, path: str, status: int) -> None:
        """Note a request."""
        now = time.time()
        token = (team, read_only, int(now // 60))
        self._requests[token] += 1
        if status == 429:  # noqa: PLR2004 (Too Many Requests)
            self._refused[token] += 1
        self.newest.append(Seen(time=now, team=team, read_only=read_only, method=method, path=path, status=status))

    def minutes(self) -> list[Minute]:
        """Per token and minute, oldest first."""
        return [
            Minute(team=team, read_only=read_only, minute=minute, requests=count, refused=self._refused[key])
            for key, count in sorted(self._requests.items(), key=lambda item: item[0][2])
            for team, read_only, minute in [key]
        ]
