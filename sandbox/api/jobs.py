"""Work that goes on after a request was answered."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

log = logging.getLogger(__name__)


class Jobs:
    """Background work, in order for each machine or cluster, side by side for different ones."""

    def __init__(self) -> None:
        self._last: dict[str, asyncio.Task[None]] = {}
        self.failures: list[str] = []
        """What went wrong since the start, in words, for `status`."""

    def start(self, subject: str, work: Callable[[], Awaitable[None]], *, after: Iterable[str] = ()) -> None:
        """Run work once everything started before for the same subject is done.

        Args:
            subject: whom it is about, such as `droplet 412345678`.
            work: what to do; an exception ends it and is listed in `failures`.
            after: other subjects whose work so far is waited for, too.
        """
        before = [self._last[other] for other in (subject, *after) if other in self._last]
        task = asyncio.create_task(self._run(subject, before, work))
        self._last[subject] = task
        task.add_done_callback(lambda done: self._forget(subject, done))

    async def idle(self) -> None:
        """Wait until nothing is under way."""
        while self._last:
            await asyncio.wait(self._last.values())

    async def cancel(self) -> None:
        """Break off what is under way."""
        tasks = list(self._last.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, subject: str, before: list[asyncio.Task[None]], work: Callable[[], Awaitable[None]]) -> None:
        if before:
            await asyncio.wait(before)
        try:
            await work()
        except Exception as error:
            log.exception("%s", subject)
            self.failures.append(f"{subject}: {type(error).__name__}: {error}")

    def _forget(self, subject: str, done: asyncio.Task[None]) -> None:
        if self._last.get(subject) is done:
            del self._last[subject]
