"""Injected faults: errors, delays and broken connections that a request may meet at DigitalOcean."""

from __future__ import annotations

import fnmatch
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Fault(BaseModel):
    """Which requests it affects, and what happens to them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    effect: Literal["status", "hang", "reset", "stuck", "delay"]
    """status: the answer is an error. hang: there is no answer until the client disconnects. reset: the connection is
    reset. stuck: what the request creates never becomes active or online. delay: the answer is late."""
    method: str = "*"
    path: str = "*"
    """With `*` for any text, such as `/v2/droplets/*`."""
    team: str = "*"
    times: int | None = Field(default=1, ge=1)
    """How many matching requests it affects; None: all until it is cleared."""
    after_work: bool = False
    """The request takes effect first: a create that succeeds is answered with an error."""
    status: int = Field(default=500, ge=400, le=599)
    message: str = "an injected fault"
    """In the answer with the status."""
    retry_after: int | None = Field(default=None, ge=0)
    """Seconds, sent as `Retry-After` with the status."""
    delay: float = Field(default=0.0, ge=0)
    """Seconds before anything else."""

    def matches(self, method: str, path: str, team: str) -> bool:
        """Whether the fault affects this request."""
        return all(
            fnmatch.fnmatchcase(value, pattern)
            for value, pattern in ((method, self.method.upper()), (path, self.path), (team, self.team))
        )


class Faults:
    """The active faults, by number; a stopped sandbox forgets them."""

    def __init__(self) -> None:
        self._ordered: dict[int, Fault] = {}
        self._last = 0

    def add(self, fault: Fault) -> int:
        """Inject a fault; returns its number."""
        self._last += 1
        self._ordered[self._last] = fault
        return self._last

    def take(self, method: str, path: str, team: str) -> Fault | None:
        """The oldest fault that affects this request, with one use of it spent."""
        for number, fault in self._ordered.items():
            if fault.matches(method, path, team):
                if fault.times == 1:
                    del self._ordered[number]
                elif fault.times is not None:
                    self._ordered[number] = fault.model_copy(update={"times": fault.times - 1})
                return fault
        return None

    def remove(self, number: int) -> bool:
        """Clear one; False when none has that number."""
        return self._ordered.pop(number, None) is not None

    def clear(self) -> None:
        """Clear all."""
        self._ordered.clear()

    def all(self) -> dict[int, Fault]:
        """The active faults, with the uses that are left."""
        return dict(self._ordered)
