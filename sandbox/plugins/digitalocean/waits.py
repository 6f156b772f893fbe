"""The waits of the provider: never shortened, for an operator's patience is planned by them.

Source: the schedules of Terraform's SDK (`retry.StateChangeConf`) with the provider's settings, and its ticker.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

from sandbox.plugins.package import ProviderError

DELAY = 10.0
"""Seconds before the first look."""
_SHORTEST, _LONGEST = 3.0, 10.0
"""Seconds between looks."""
_SHORTEST_RETRY = 0.5
TICK = 15.0
"""Seconds between looks at a database, the first included."""

Look = Callable[[], Awaitable["str | None"]]
"""The object's state now, None when it is not found."""


def gaps(shortest: float = _SHORTEST) -> Iterator[float]:
    """Seconds between the looks: they double within their bounds."""
    gap = 0.1
    while True:
        gap = min(max(gap * 2, shortest), _LONGEST)
        yield gap


@dataclass(frozen=True)
class Wait:
    """What to wait for."""

    target: str
    pending: frozenset[str]
    seconds: float
    """After which it is given up."""
    not_found: int = 20
    """How many looks in a row may find nothing."""


async def wait_for(wait: Wait, look: Look) -> None:
    """Look until the object is in the wanted state.

    Raises:
        ProviderError: It was not found, came into another state, or did not get there in time.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + wait.seconds
    state, missing, gap = "", 0, DELAY
    schedule = gaps()
    while True:
        await asyncio.sleep(min(gap, max(0.0, end - loop.time())))
        if loop.time() >= end:
            raise ProviderError(_late(wait, state))
        now = await look()
        missing = missing + 1 if now is None else 0
        if missing > wait.not_found:
            raise ProviderError(f"couldn't find resource ({missing} retries)")
        if now == wait.target:
            return
        if now is not None and now not in wait.pending:
            raise ProviderError(f"unexpected state '{now}', wanted target '{wait.target}'. last error: %!s(<nil>)")
        state, gap = now or "", next(schedule)


def _late(wait: Wait, state: str) -> str:
    last = f"last state: '{state}', " if state else ""
    return f"timeout while waiting for state to become '{wait.target}' ({last}timeout: {_duration(wait.seconds)})"


def _duration(seconds: float) -> str:
    """As Go writes it: `1h0m0s`, `5m0s`, `45s`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


async def retried(work: Callable[[], Awaitable[bool]], seconds: float) -> None:
    """Do it until it succeeds.

    Raises:
        ProviderError: It did not in time, or failed.
    """
    end = asyncio.get_running_loop().time() + seconds
    for gap in gaps(_SHORTEST_RETRY):
        if await work():
            return
        if asyncio.get_running_loop().time() + gap > end:
            raise ProviderError(f"timeout while waiting for state to become 'success' (timeout: {_duration(seconds)})")
        await asyncio.sleep(gap)
