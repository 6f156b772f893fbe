"""Conditions that tests wait for, instead of sleeping."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


PATIENCE = 60.0
"""Seconds after which something that should happen at once has not happened."""


def eventually(condition: Callable[[], Any], seconds: float = PATIENCE, pause: float = 0.01) -> Any:
    """The condition's value once it is true; it is asked again and again, with a pause in seconds between."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(pause)
    return value
