"""An event loop whose clock jumps to the next timer instead of waiting: an hour of polling in milliseconds."""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

Result = TypeVar("Result")


class _Selector(selectors.DefaultSelector):
    """Asks who is ready; when nobody is, the time until the next timer has passed."""

    def __init__(self) -> None:
        super().__init__()
        self.passed = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout:
            self.passed += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """For work that talks to nobody outside this process; its clock starts at 0 and stands still meanwhile."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        """Seconds waited so far."""
        return self._virtual.passed


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """What the work returns, on a loop of its own."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)
