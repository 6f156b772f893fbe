"""Shows the progress of work that takes minutes: each step as it begins, and the time so far."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Steps:
    """Announces the steps of one piece of work."""

    def __init__(self, work: str, total: int, say: Callable[[str], None]) -> None:
        """Begin.

        Args:
            work: Its name, such as `snapshot`.
            total: How many steps it has.
            say: Called with a line per step.
        """
        self._work = work
        self._total = total
        self._say = say
        self._done = 0
        self._began = time.monotonic()

    def begin(self, step: str) -> None:
        """Announce the next step, such as `building Caddy 1.0.5`."""
        self._done += 1
        self._say(f"{self._work} {self._done}/{self._total}, {self._elapsed()}: {step}")

    def end(self, result: str) -> None:
        """Announce that all is done, such as `ready`."""
        self._say(f"{self._work}: {result} after {self._elapsed()}")

    def _elapsed(self) -> str:
        minutes, seconds = divmod(int(time.monotonic() - self._began), 60)
        return f"{minutes} min {seconds:02} s" if minutes else f"{seconds} s"
